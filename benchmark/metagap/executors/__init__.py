"""Executors: many cells, wherever they run. Torch-free objects, one in each file, found by an entry point of the group
`metagap.executors` or as `path/to/file.py:NAME`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metagap import registry
from metagap.errors import at
from metagap.executors.executor import Again, Done, End, Event, Executor, Failure, Held, Progress, Remark, parsed

__all__ = ["Again", "Done", "End", "Event", "Executor", "Failure", "Held", "Progress", "Remark", "find"]


def find(name: str, settings: Sequence[str] | Mapping[str, Any] = ()) -> Executor:
    """The executor of this name, with settings, which may be written as `key=value`.

    Raises UserError where there is none, it cannot be imported, or has no such settings.
    """
    given = settings if isinstance(settings, Mapping) else parsed(settings)
    with at("--launch"):
        executor = registry.load_named("executor", name)
    return executor.with_settings(given)
