"""`[task]`: the form of every task."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from metagap import kinds
from metagap.errors import UserError
from metagap.suite.schema.section import PositiveInt, Section


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

    @model_validator(mode="after")
    def _ways(self) -> Task:
        if fault := kinds.find(self.kind).fault_of_ways(self.ways):
            raise ValueError(fault)
        return self
