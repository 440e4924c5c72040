"""The outer loop."""

from __future__ import annotations

import pytest
import torch

from benchmark.algorithms.maml import MAML
from benchmark.engine.outer import OuterLoop
from benchmark.engine.plan import Plan
from benchmark.models.mlp import MLP
from benchmark.suite import Training
from benchmark.tasks.episode import Episode, TaskSpec


@pytest.mark.parametrize("clip", [None, 10.0, 0.05])
def test_gradients_are_clipped_element_by_element(clip):
    torch.manual_seed(0)
    network, x = MLP((1,), 1, [8]).double(), torch.randn(3, 7, 1, dtype=torch.float64)
    y = 5 * x.sin()
    episodes = Episode(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:], torch.empty(3, 0, dtype=torch.long))
    algorithm = MAML(inner_lr=0.1).bind(network, TaskSpec("regression", 1, 4, 3))
    meta = algorithm.init(network, 0, torch.Generator())
    before = {name: value.clone() for name, value in meta.items()}
    outer = OuterLoop(algorithm, meta, Training(iterations=1, optimizer="sgd", lr=1.0, clip=clip), Plan("loop"))
    gradient, _ = outer.gradient(episodes)
    largest = max(float(value.abs().max()) for value in gradient.values())
    assert 0.05 < largest < 10.0
    outer.step(episodes)
    for name, value in gradient.items():
        step = value if clip is None else value.clamp(-clip, clip)
        torch.testing.assert_close(meta[name], before[name] - step)
