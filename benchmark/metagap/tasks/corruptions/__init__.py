"""Corruptions of images, one in each file, found by an entry point of the group `metagap.shifts` or as
`path/to/file.py:NAME`."""

from __future__ import annotations

from metagap import registry
from metagap.tasks.corruptions.corruption import SEVERITIES, Corruption, Draws

__all__ = ["SEVERITIES", "Corruption", "Draws", "find"]


def find(name: str) -> Corruption:
    """The corruption of this name. Raises UserError where there is none, or it cannot be imported."""
    return registry.load_named("shift", name)
