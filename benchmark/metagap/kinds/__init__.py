"""Kinds of task: torch-free objects, one in each file, found by an entry point of the group `metagap.kinds` or as
`path/to/file.py:NAME`."""

from __future__ import annotations

from metagap import registry
from metagap.errors import UserError
from metagap.kinds.kind import TaskKind

__all__ = ["TaskKind", "find", "names"]


def find(name: str | TaskKind) -> TaskKind:
    """The kind of this name, or the kind itself. Raises UserError where there is none, or it cannot be imported."""
    if isinstance(name, TaskKind):
        return name
    found: TaskKind = registry.load("kind", name)
    if found.name != name and ".py:" not in name:
        raise UserError(f"kind '{name}' calls itself '{found.name}'; it has to be registered under its own name")
    return found


def names() -> list[str]:
    """The registered kinds of task."""
    return registry.names("kind")
