"""Outer optimizers: torch-free objects, one in each file, found by an entry point of the group `metagap.optimizers` or
as `path/to/file.py:NAME`."""

from __future__ import annotations

from metagap import registry
from metagap.optimizers.optimizer import OuterOptimizer

__all__ = ["OuterOptimizer", "find"]


def find(name: str) -> OuterOptimizer:
    """The outer optimizer of this name. Raises UserError where there is none, or it cannot be imported."""
    return registry.load("optimizer", name)
