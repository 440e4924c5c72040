"""Metrics: torch-free objects that say what a number means, each with its tensor function in `functions`.

Built-in ones and plugins are found the same way: by an entry point of the group `metagap.metrics`, or as
`path/to/file.py:NAME`.
"""

from __future__ import annotations

from metagap import registry
from metagap.metrics.metric import Margin, Metric

__all__ = ["Margin", "Metric", "find", "names"]


def find(name: str | Metric) -> Metric:
    """The metric of this name, or the metric itself. Raises UserError where there is none, or it cannot be imported."""
    return name if isinstance(name, Metric) else registry.load_named("metric", name)


def names(kind: str) -> list[str]:
    """The registered metrics for a kind of task; a plugin that cannot be imported is left out."""
    return [name for name in registry.names("metric") if kind in getattr(registry.intact("metric", name), "kinds", ())]
