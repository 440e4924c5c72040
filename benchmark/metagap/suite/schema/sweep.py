"""`[sweep]`: a key of the suite that takes several values; two of them make a grid."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from metagap.suite.schema.section import Section, Text, distinct


class Axis(Section):
    """A key of the suite and the values that it takes: each makes a suite of its own, and one page shows them all."""

    key: Text = Field(
        description="below task, model, source, training, evaluation or algorithms, such as source.train_classes; "
        "algorithms.*.KEY is the key of all algorithms that have it"
    )
    values: list[int | float] = Field(description="two numbers or more")
    label: str = Field(default="", description="what figures and tables call it; default: the end of the key")
    scale: Literal["linear", "log"] = Field(
        default="linear", description="how figures space the values; slopes are per unit, or per doubling for log"
    )

    @field_validator("values")
    @classmethod
    def _several(cls, values: list[int | float]) -> list[int | float]:
        if len(distinct(values)) < 2:
            raise ValueError("a sweep is over two values or more")
        return sorted(values)

    @model_validator(mode="after")
    def _on_its_scale(self) -> Axis:
        if self.scale == "log" and self.values[0] <= 0:
            raise ValueError(f"values has {self.values[0]}, and scale = 'log' is for values above 0")
        return self

    @property
    def name(self) -> str:
        """What it is called."""
        return self.label or self.key.rpartition(".")[2].replace("_", " ")

    @property
    def unit(self) -> str:
        """What a slope is per."""
        return "doubling" if self.scale == "log" else "unit"
