"""`[[published]]`: values of papers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import Field, model_validator

from metagap.metrics import Metric
from metagap.suite.schema.section import Count, Section, Text


class Published(Section):
    """A published value to compare with."""

    algorithm: str
    split: str
    step: Count | None = Field(default=None, description="inner steps; default: the headline step")
    value: float = Field(description="accuracy as a fraction, or mean squared error")
    interval: Annotated[float, Ge(0)] | None = Field(default=None, description="half width of the published interval")
    kind: str | None = Field(default=None, description="what the published interval is; needed where there is one")
    source: Text = Field(description="citation")
    mark: Literal["V", "S", "R"] = Field(description="V read at the source, S quoted elsewhere, R recalled")

    @model_validator(mode="after")
    def _kind(self) -> Published:
        if self.interval is not None and not (self.kind or "").strip():
            raise ValueError("an interval needs a kind, such as '95% CI over episodes', or 'not stated'")
        return self

    def faults(self, algorithms: Collection[str], splits: Collection[str], metric: Metric) -> Iterator[str]:
        """What does not fit a suite with these algorithms and splits, where published values are of this metric."""
        if self.split not in splits:
            yield f"a published value is for split '{self.split}'; allowed: {', '.join(splits)}"
        if self.algorithm not in algorithms:
            yield f"no algorithm '{self.algorithm}' in this suite; allowed: {', '.join(algorithms)}"
        low, high = metric.bounds
        if not low <= self.value <= high:
            allowed = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
            yield f"value = {self.value} is no {metric.label}; allowed: {allowed}"
