"""Kinds of task: torch-free objects, one in each file, found by an entry point of the group `metagap.kinds` or as
`path/to/file.py:NAME`."""

from __future__ import annotations

from metagap import registry
from metagap.kinds.kind import TaskKind

__all__ = ["TaskKind", "find", "names"]


def find(name: str | TaskKind) -> TaskKind:
    """The kind of this name, or the kind itself. Raises UserError where there is none, or it cannot be imported."""
    return name if isinstance(name, TaskKind) else registry.load_named("kind", name)


def names() -> list[str]:
    """The registered kinds of task."""
    return registry.names("kind")
