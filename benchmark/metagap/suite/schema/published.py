"""`[[published]]`: values of papers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import Field, model_validator

from metagap.kinds import TaskKind
from metagap.metrics import Metric
from metagap.suite.schema.section import Count, Section, Text


class Published(Section):
    """A published value to compare with."""

    algorithm: str
    split: str
    step: Count | None = Field(default=None, description="inner steps; default: the headline step")
    metric: Text | None = Field(
        default=None, description="one of the recorded metrics; default: accuracy, in regression mse"
    )
    value: float = Field(description="in the metric's natural unit: accuracy as a fraction, mean squared error")
    interval: Annotated[float, Ge(0)] | None = Field(default=None, description="half width of the published interval")
    kind: str | None = Field(default=None, description="what the published interval is; needed where there is one")
    source: Text = Field(description="citation")
    mark: Literal["V", "S", "R"] = Field(description="V read at the source, S quoted elsewhere, R recalled")

    @model_validator(mode="after")
    def _kind(self) -> Published:
        if self.interval is not None and not (self.kind or "").strip():
            raise ValueError("an interval needs a kind, such as '95% CI over episodes', or 'not stated'")
        return self

    def metric_name(self, kind: TaskKind) -> str:
        """What it is a value of, for tasks of a kind: the default does not change with the headline of a suite."""
        return self.metric or kind.metric.name

    def faults(
        self, algorithms: Collection[str], splits: Collection[str], kind: TaskKind, recorded: Sequence[Metric]
    ) -> Iterator[str]:
        """What does not fit a suite with these algorithms, splits, kind of task and metrics; no metrics: any do."""
        if self.split not in splits:
            yield f"a published value is for split '{self.split}'; allowed: {', '.join(splits)}"
        if self.algorithm not in algorithms:
            yield f"no algorithm '{self.algorithm}' in this suite; allowed: {', '.join(algorithms)}"
        known = {metric.name: metric for metric in recorded}
        if self.metric is not None and recorded and self.metric not in known:
            yield f"key 'metric' = '{self.metric}': evaluation.metrics does not record it; allowed: {', '.join(known)}"
        if (metric := {kind.metric.name: kind.metric, **known}.get(self.metric_name(kind))) is None:
            return
        low, high = metric.bounds
        if not low <= self.value <= high:
            allowed = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
            yield f"value = {self.value} is no {metric.label}; allowed: {allowed}"
