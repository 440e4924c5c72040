"""Does a run that is saved and resumed go on as if nothing had happened?"""

from __future__ import annotations

import io
from typing import Any

import torch

from metagap.checking.cases import Case, Subject
from metagap.checking.findings import Fault, during
from metagap.engine.outer import OuterLoop
from metagap.engine.policy import outer_loop
from metagap.engine.strategy import Strategy
from metagap.suite import Training


def saving(subject: Subject) -> str:
    """Whether an outer step after saving and loading is the same as without."""
    subject.need_training()
    for one in subject.cases(torch.float32):
        with during(f"an outer step on {one}"):
            whole = _outer(one)
            _step(whole, one, 0)
        with during(f"saving and loading on {one}"):
            state = _through_a_file(whole.state_dict())
            resumed = _outer(one)
            resumed.load_state_dict(state)
        with during(f"an outer step after loading on {one}"):
            for outer in (whole, resumed):
                _step(outer, one, 1)
        for name, value in whole.meta.items():
            if not torch.equal(value, resumed.meta[name]) and not value.isnan().any():
                raise Fault(f"after saving and loading, training goes on otherwise: '{name}' differs ({one})")
    return "an outer step after saving and loading is the same as without"


def _outer(one: Case) -> OuterLoop:
    return outer_loop(one.algorithm, one.seeded().meta, Training(iterations=4), Strategy("loop"), cores=1)


def _step(outer: OuterLoop, one: Case, seed: int) -> None:
    torch.manual_seed(seed)
    outer.step(one.episodes(2, seed))


def _through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)
