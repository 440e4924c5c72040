"""Seeing where random numbers are drawn from.

Checked on torch 2.15. Uses `torch.utils._python_dispatch.TorchDispatchMode`, which is shown every operation with its
generator. The public way, where it is gone: whether the state of torch's global generator has changed; what is drawn
from further generators goes unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

try:
    from torch.utils._python_dispatch import TorchDispatchMode
except ImportError:
    TorchDispatchMode = None


class Draws:
    """What was seen: whether any random number came from elsewhere than the generator of a seed."""

    seen = False


@contextmanager
def draws_elsewhere(seed: int) -> Iterator[Draws]:
    """Watches for random numbers that are drawn from elsewhere than a generator with this initial seed."""
    draws, before = Draws(), torch.get_rng_state()
    if TorchDispatchMode is None:
        yield draws
        draws.seen = not torch.equal(before, torch.get_rng_state())
        return

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if torch.Tag.nondeterministic_seeded in function.tags:
                given = [v for v in (*args, *(kwargs or {}).values()) if isinstance(v, torch.Generator)]
                draws.seen |= not any(generator.initial_seed() == seed for generator in given)
            return function(*args, **(kwargs or {}))

    with Watch():
        yield draws
