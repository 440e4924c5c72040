"""The random numbers that networks draw from outside the engine, for dropout and the like: seeded, saved, restored."""

from __future__ import annotations

# The streams of NumPy that user code draws from are the legacy ones.
# ruff: noqa: NPY002
import random
import sys
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch

from metagap.engine.internals.drawing import draws_elsewhere


def seed(number: int) -> None:
    """Start the streams of torch, Python and NumPy."""
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number % 2**32)


def state(device: torch.device) -> dict[str, Any]:
    """Where the streams are: tensors and plain values."""
    kind, keys, *rest = cast("tuple[str, np.ndarray, int, int, float]", np.random.get_state())
    found = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), *rest),
    }
    return found | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def restore(state: dict[str, Any], device: torch.device) -> None:
    """Go on from there."""
    torch.set_rng_state(state["torch"].cpu())
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def is_drawn(function: Callable[[], Any], device: torch.device) -> bool:
    """Whether a function draws from any stream of random numbers; afterwards these are where they were."""
    before, others = state(device), _others()
    with draws_elsewhere(seed=-1) as draws:  # no generator has this seed
        function()
    found = draws.seen or _others() != others
    restore(before, device)
    return found


def _others() -> str:
    with np.printoptions(threshold=sys.maxsize):
        return f"{random.getstate()} {np.random.get_state()}"
