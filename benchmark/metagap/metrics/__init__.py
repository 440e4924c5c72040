"""Metrics: torch-free objects that say what a number means, each with its tensor function in `functions`.

Built-in ones and plugins are found the same way: by an entry point of the group `metagap.metrics`, or as
`path/to/file.py:NAME`.
"""

from __future__ import annotations

from metagap import registry
from metagap.errors import UserError
from metagap.metrics.metric import Margin, Metric

__all__ = ["Margin", "Metric", "find", "names"]


def find(name: str | Metric) -> Metric:
    """The metric of this name, or the metric itself. Raises UserError where there is none, or it cannot be imported."""
    if isinstance(name, Metric):
        return name
    found: Metric = registry.load("metric", name)
    if found.name != name and ".py:" not in name:
        raise UserError(f"metric '{name}' calls itself '{found.name}'; it has to be registered under its own name")
    return found


def names(kind: str) -> list[str]:
    """The registered metrics for a kind of task; a plugin that cannot be imported is left out."""
    return [name for name in registry.names("metric") if kind in getattr(registry.intact("metric", name), "kinds", ())]
