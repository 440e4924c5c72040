"""`[evaluation]` and `[[splits]]`: what is scored, and how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, field_validator, model_validator

from metagap import kinds, metrics, registry
from metagap.conditions import Diagnostic
from metagap.errors import UserError
from metagap.kinds import TaskKind
from metagap.metrics import Metric
from metagap.suite.schema.section import Count, Name, PositiveInt, Section, Text, distinct
from metagap.suite.schema.task import Task

Role = Literal["meta-train", "meta-val", "recurring-task", "in-distribution", "cross-domain"]


class Evaluation(Section):
    """How the splits are scored."""

    episodes: PositiveInt = Field(default=600, description="test episodes of every split")
    steps: Count = Field(description="inner steps at test: the headline scores")
    curve_steps: Count | None = Field(
        default=None, description="inner steps that the adaptation curves go to; default: steps"
    )
    batch_norm: Literal["transductive", "inductive"] = Field(
        default="transductive",
        description="query statistics: of the whole query set, or of the support set and one query",
    )
    diagnostics: Annotated[list[Diagnostic], AfterValidator(distinct)] = Field(
        default=list(get_args(Diagnostic)),
        description="further conditions: for the transduction gap, memorization, and the interval over new images",
    )
    diagnostic_episodes: PositiveInt = Field(
        default=200, description="at most this number of episodes of each further condition"
    )
    metrics: Annotated[list[Text], Field(min_length=1), AfterValidator(distinct)] | None = Field(
        default=None,
        description="what is recorded of every episode and step, the headline first; default: accuracy, in regression "
        "mse; `metagap list metrics` has them all",
    )

    @model_validator(mode="after")
    def _curve(self) -> Evaluation:
        if self.curve_steps is not None and self.curve_steps < self.steps:
            raise ValueError(f"curve_steps = {self.curve_steps} is less than steps = {self.steps}")
        return self

    @property
    def path_steps(self) -> int:
        """How many inner steps are taken on each episode."""
        return self.steps if self.curve_steps is None else self.curve_steps

    def found_metrics(self, kind: TaskKind) -> tuple[Metric, ...]:
        """What is recorded of tasks of a kind, the headline first."""
        return tuple(metrics.find(name) for name in self.metrics or kind.metrics)

    def faults_of_metrics(self, kind: TaskKind) -> Iterator[str]:
        """What is wrong with the metrics, for tasks of a kind."""
        known: dict[str, str] = {}
        for i, name in enumerate(self.metrics or ()):
            place = f"evaluation.metrics.{i}"
            if ".py:" not in name and name not in registry.names("metric"):
                yield f"{place}: unknown metric '{name}'{registry.suggest(name, metrics.names(kind.name))}"
                continue
            try:
                found = metrics.find(name)
            except UserError as error:
                yield f"{place}: {error}"
                continue
            if not kind.allows(found):
                allowed = f"allowed: {', '.join(metrics.names(kind.name))}"
                yield f"{place}: metric '{name}' is for {' and '.join(found.kinds)}, not for {kind}; {allowed}"
            elif (other := known.setdefault(found.name, name)) != name:
                yield f"{place}: '{other}' and '{name}' both call themselves '{found.name}'"


class OwnEvaluation(Evaluation):
    """How one algorithm is scored."""

    settings: dict[str, Any] = Field(default={}, description="hyper-parameters that are others than in meta-training")


class Split(Section):
    """A set of evaluation tasks."""

    name: Name
    role: Role
    source: dict[str, Any] = Field(default={}, description="name or table; default: the suite's source")
    classes: str = Field(default="all", description="which classes of the source: train, val, test or all")
    images: Literal["all", "train", "held-out"] = Field(default="all", description="which images of each class")
    ways: PositiveInt | None = Field(default=None, description="default: the task's")
    shots: PositiveInt | None = Field(default=None, description="default: the task's")
    queries: PositiveInt | None = Field(default=None, description="default: the task's")
    episodes: PositiveInt | None = Field(default=None, description="default: the evaluation's")
    optional: bool = Field(default=False, description="skip the split, with a note, if its data are missing")

    def fault_of_ways(self, task: Task) -> str:
        """What is wrong with its ways, in a suite with this task; empty where nothing is."""
        least = kinds.find(task.kind).least_ways
        if self.ways is None or least <= self.ways <= task.ways:
            return ""
        if self.ways > task.ways:
            outputs = f"but the networks have {task.ways} outputs (task.ways); allowed: 1 to {task.ways}"
            return f"split '{self.name}' has ways = {self.ways}, {outputs}"
        return f"split '{self.name}' has ways = {self.ways}; allowed: {least} to {task.ways}"

    @field_validator("source", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
