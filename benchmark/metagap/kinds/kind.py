"""What a kind of task is: what an episode holds, which loss and metrics apply, how its shape and a sample are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from metagap import metrics, registry
from metagap.conditions import Diagnostic
from metagap.metrics import Metric

Function = str | Callable[..., Any]
"""A function, or `package.module:name` of it, so that a kind can be looked at without torch."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TaskKind:
    """A kind of task. It equals its name, so that `spec.kind == "regression"` and tables by name work."""

    name: str
    about: str
    """One sentence on what an episode holds."""
    has_ways: bool
    """True: targets are class indices (n,), an episode holds `shots` examples of each of its `ways` classes, and the
    network gives a logit for each. False: targets are real (n, ...), `shots` counts all examples, and `ways` is 1."""
    acts: bool = False
    """True: tasks answer back, so learners are policies, and an example is a rollout to be: see `tasks.control`."""
    metrics: tuple[str | Metric, ...]
    """Recorded where a suite names none. The first is the training score, and what published values are by default. A
    name, or the metric itself."""
    loss: Function
    """Of outputs and targets of one task; differentiable, shape ()."""
    trivial_loss: Function
    """Of targets (tasks, n, ...) and ways: the loss (tasks,) of the predictor that knows nothing."""
    divergence: float | None = None
    """An episode whose loss exceeds this multiple of the trivial one diverged; None: only one that is not finite."""
    diagnostics: tuple[Diagnostic, ...] = get_args(Diagnostic)
    """The further conditions that such tasks can be scored under."""
    drawing: Function
    """Of the arrays of a sample episode it gives a matplotlib figure; imported by reports only."""
    sampled: str = ""
    """What the drawing shows: the sentences above the samples of a page."""
    shot: str = "shot"
    """What one of the `shots` of a task without ways is called."""
    terms: tuple[tuple[str, str], ...] = ()
    """Words that a page uses and what they mean for such tasks, where that is not what they mean for labelled examples:
    support, queries, inner step."""
    revision: int = 1
    """Raised by its author when other weights or scores come of the same settings, as after a correction of a loss."""

    def __eq__(self, other: object) -> bool:
        return self.name == (other.name if isinstance(other, TaskKind) else other)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name

    @property
    def least_ways(self) -> int:
        """The fewest ways that a task may have."""
        return 2 if self.has_ways else 1

    @property
    def default_metrics(self) -> tuple[Metric, ...]:
        """`metrics`, looked up."""
        return tuple(metrics.find(one) for one in self.metrics)

    @property
    def metric(self) -> Metric:
        """The metric of training curves, and of published values where they do not name another."""
        return metrics.find(self.metrics[0])

    def allows(self, metric: Metric) -> bool:
        """Whether a metric can be computed on such tasks."""
        return self.name in metric.kinds or metric.name in {one.name for one in self.default_metrics}

    def shape(self, ways: int, shots: int) -> str:
        """The shape of a task in the words of the field: "5-way 1-shot", or "10-shot" where there are no ways."""
        return f"{ways}-way {shots}-shot" if self.has_ways else f"{shots}-{self.shot}"

    def fault_of_ways(self, ways: int) -> str:
        """What is wrong with a suite whose tasks have this number of ways; empty where nothing is."""
        if self.has_ways and ways < self.least_ways:
            return f"{self.name} needs ways of {self.least_ways} or more"
        if not self.has_ways and ways != 1:
            return f"{self.name} has no ways: leave the key out"
        return ""

    def loss_function(self) -> Callable[..., Any]:
        """`loss`, imported."""
        return registry.function(self.loss, f"the loss of kind '{self.name}'")

    def trivial_loss_function(self) -> Callable[..., Any]:
        """`trivial_loss`, imported."""
        return registry.function(self.trivial_loss, f"the trivial loss of kind '{self.name}'")

    def drawing_function(self) -> Callable[..., Any]:
        """`drawing`, imported."""
        return registry.function(self.drawing, f"the drawing of kind '{self.name}'")
