"""Random numbers of another generator than the one that is meant."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metagap.engine.internals import drawing
from metagap.engine.internals.drawing import draws_elsewhere

SEED = 4321


def of_seed(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


DRAWN = {
    "nothing": (lambda: torch.zeros(3), False),
    "of the seed": (lambda: torch.randn(3, generator=of_seed(SEED)), False),
    "global": (lambda: torch.zeros(3).normal_(), True),
    "a layer": (lambda: nn.Linear(2, 2), True),
    "another": (lambda: torch.randn(3, generator=of_seed(SEED + 1)), True),
}


@pytest.mark.parametrize("what", DRAWN)
def test_what_is_drawn_elsewhere_is_seen(what):
    draw, elsewhere = DRAWN[what]
    with draws_elsewhere(SEED) as draws:
        draw()
    assert draws.seen == elsewhere


@pytest.mark.parametrize("what", [one for one in DRAWN if one != "another"])
def test_without_torchs_insides_the_global_generator_tells(what, monkeypatch):
    monkeypatch.setattr(drawing, "TorchDispatchMode", None)
    draw, elsewhere = DRAWN[what]
    with draws_elsewhere(SEED) as draws:
        draw()
    assert draws.seen == elsewhere
