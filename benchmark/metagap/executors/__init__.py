"""Executors: many cells, wherever they run. Torch-free objects, one in each file, found by an entry point of the group
`metagap.executors` or as `path/to/file.py:NAME`."""

from __future__ import annotations

from metagap import registry
from metagap.executors.executor import Again, Done, End, Event, Executor, Failure, Held, Progress, Remark

__all__ = ["Again", "Done", "End", "Event", "Executor", "Failure", "Held", "Progress", "Remark", "find"]


def find(name: str) -> Executor:
    """The executor of this name. Raises UserError where there is none, or it cannot be imported."""
    return registry.load_named("executor", name)
