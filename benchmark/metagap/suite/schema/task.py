"""`[task]`: the form of every task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from metagap import kinds
from metagap.errors import UserError
from metagap.suite.schema.section import PositiveInt, Section

Imbalance = Literal["none", "linear", "step", "random", "meta-dataset"]


def _kind(value: str) -> str:
    try:
        kinds.find(value)
    except UserError as error:
        raise ValueError(str(error)) from None
    return value


class Task(Section):
    """The form of every task."""

    kind: Annotated[str, AfterValidator(_kind)] = Field(
        default="classification", description="classification, regression, or that of a plugin"
    )
    ways: PositiveInt = Field(default=1, description="classes in a task; 1 for regression")
    shots: PositiveInt = Field(description="support examples per class (regression: per task)")
    queries: PositiveInt = Field(description="query examples per class (regression: per task)")

    imbalance: Imbalance = Field(
        default="none",
        exclude_if=lambda value: value == "none",
        description="how many support examples a class has: none: `shots`; otherwise from 1 to 2 shots - 1, with a "
        "mean of `shots`. linear: evenly spaced; step: half of the classes have 1; random: all numbers are equally "
        "likely; meta-dataset: about as classes are large",
    )

    @model_validator(mode="after")
    def _form(self) -> Task:
        if fault := kinds.find(self.kind).fault_of_ways(self.ways) or self.fault_of_imbalance:
            raise ValueError(fault)
        return self

    @property
    def fault_of_imbalance(self) -> str:
        """What is wrong with its imbalance; empty where nothing is."""
        if self.imbalance == "none":
            return ""
        if not kinds.find(self.kind).has_ways:
            return f"imbalance = '{self.imbalance}', but {self.kind} has no classes: leave the key out"
        if self.shots < 2:
            return f"imbalance = '{self.imbalance}' needs shots of 2 or more, and shots = {self.shots}"
        return ""

    @property
    def shape(self) -> str:
        """Its form in the words of the field: "5-way 1-shot", "10-shot", "5-way 5-shot, linear imbalance"."""
        shape = kinds.find(self.kind).shape(self.ways, self.shots)
        return shape if self.imbalance == "none" else f"{shape}, {self.imbalance} imbalance"
