"""`[evaluation]` and `[[splits]]`: what is scored, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, field_validator, model_validator

from metagap import kinds, metrics, registry
from metagap.conditions import Diagnostic
from metagap.errors import UserError
from metagap.kinds import TaskKind
from metagap.metrics import Metric
from metagap.suite.schema.response import Dose
from metagap.suite.schema.section import Count, Name, PositiveInt, Section, Text, distinct, unset
from metagap.suite.schema.task import Imbalance, Task

CHECKPOINT_EPISODES, QUANTITY_EPISODES = 200, 20
"""Of each split, at most, where a suite does not say how many."""
RECORDING = ("checkpoints", "checkpoint_splits", "checkpoint_episodes", "quantities", "quantity_episodes")
"""The keys that say what is recorded beside the scores of the trained weights, which do not depend on them."""

Role = Literal["meta-train", "meta-val", "recurring-task", "in-distribution", "cross-domain", "shifted"]


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

    checkpoints: PositiveInt | None = Field(
        default=None,
        exclude_if=unset,
        description="score at this many points of meta-training, evenly spaced up to its end, and before it",
    )
    checkpoint_splits: Annotated[list[Text], Field(min_length=1), AfterValidator(distinct)] | None = Field(
        default=None, exclude_if=unset, description="the splits that are scored there; default: all"
    )
    checkpoint_episodes: PositiveInt | None = Field(
        default=None,
        exclude_if=unset,
        description=f"at most this number of episodes of each split there; default: {CHECKPOINT_EPISODES}",
    )
    quantities: Annotated[list[Text], Field(min_length=1), AfterValidator(distinct)] | None = Field(
        default=None,
        exclude_if=unset,
        description="what is measured beside the scores, at the same points, or else of the final weights; "
        "`metagap list quantities` has them all",
    )
    quantity_episodes: PositiveInt | None = Field(
        default=None,
        exclude_if=unset,
        description=f"at most this number of episodes of each split for a quantity; default: {QUANTITY_EPISODES}",
    )

    @model_validator(mode="after")
    def _used(self) -> Evaluation:
        for key, needed in (
            ("checkpoint_splits", "checkpoints"),
            ("checkpoint_episodes", "checkpoints"),
            ("quantity_episodes", "quantities"),
        ):
            if getattr(self, key) is not None and getattr(self, needed) is None:
                raise ValueError(f"{key} is of no use without {needed}")
        return self

    @model_validator(mode="after")
    def _curve(self) -> Evaluation:
        if self.curve_steps is not None and self.curve_steps < self.steps:
            raise ValueError(f"curve_steps = {self.curve_steps} is less than steps = {self.steps}")
        return self

    @property
    def path_steps(self) -> int:
        """How many inner steps are taken on each episode."""
        return self.steps if self.curve_steps is None else self.curve_steps

    def points(self, iterations: int) -> list[int]:
        """The iterations of a meta-training that are looked at, the untrained start first; none without checkpoints."""
        if self.checkpoints is None:
            return []
        return [0, *sorted({-(-k * iterations // self.checkpoints) for k in range(1, self.checkpoints + 1)})]

    def episodes_along(self, split: Split) -> int:
        """How many episodes of a split are scored at each of these points."""
        return min(split.episodes or self.episodes, self.checkpoint_episodes or CHECKPOINT_EPISODES)

    def episodes_measured(self, split: Split) -> int:
        """How many episodes of a split a quantity is to look at."""
        return min(split.episodes or self.episodes, self.quantity_episodes or QUANTITY_EPISODES)

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

    def faults_of_diagnostics(self, kind: TaskKind) -> Iterator[str]:
        """Which conditions were asked for that mean nothing for tasks of a kind; as the default they are left out."""
        wrong = [one for one in self.diagnostics if one not in kind.diagnostics]
        if wrong and "diagnostics" in self.model_fields_set:
            allowed = f"allowed: {', '.join(kind.diagnostics) or 'an empty list'}"
            yield f"evaluation.diagnostics: '{wrong[0]}' means nothing for tasks of kind {kind}; {allowed}"

    def faults_of_checkpoints(self, splits: Sequence[str], iterations: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with the points of training that are looked at: names of splits, and iterations by label."""
        for i, name in enumerate(self.checkpoint_splits or ()):
            if name not in splits:
                hint = registry.suggest(name, [*splits])
                yield f"evaluation.checkpoint_splits.{i}: no split is called '{name}'{hint}"
        for label, total in iterations.items():
            if self.checkpoints is not None and isinstance(total, int) and self.checkpoints > total:
                yield (
                    f"evaluation.checkpoints = {self.checkpoints}, but '{label}' has {total} iterations; allowed: at "
                    "most one checkpoint for each"
                )

    def faults_of_quantities(self) -> Iterator[str]:
        """Which quantities are not known by name."""
        for i, name in enumerate(self.quantities or ()):
            if ".py:" not in name and name not in (known := registry.names("quantity")):
                hint = registry.suggest(name, known, "metagap list quantities")
                yield f"evaluation.quantities.{i}: unknown quantity '{name}'{hint}"


class OwnEvaluation(Evaluation):
    """How one algorithm is scored."""

    settings: dict[str, Any] = Field(default={}, description="hyper-parameters that are others than in meta-training")


class Shift(Section):
    """A corruption of the images of a split."""

    kind: Text = Field(description="a name or path/to/file.py:NAME; `metagap list shifts` has them all")
    severity: Annotated[int, Ge(1), Le(5)] = Field(description="how strong it is")


class Split(Section):
    """A set of evaluation tasks."""

    name: Name
    role: Role
    source: dict[str, Any] = Field(
        default={},
        description="name or table; default: the suite's source, whose keys a table without a name changes",
    )
    classes: str = Field(default="all", description="which classes of the source: train, val, test or all")
    images: Literal["all", "train", "held-out"] = Field(default="all", description="which images of each class")
    ways: PositiveInt | None = Field(
        default=None, description="default: the task's; a list stands for one split for each, called by its ways"
    )
    shots: PositiveInt | None = Field(
        default=None, description="default: the task's; a list stands for one split for each, called by its shots"
    )
    queries: PositiveInt | None = Field(default=None, description="default: the task's")
    imbalance: Imbalance | None = Field(default=None, exclude_if=unset, description="default: the task's")
    episodes: PositiveInt | None = Field(default=None, description="default: the evaluation's")
    optional: bool = Field(default=False, description="skip the split, with a note, if its data are missing")
    shift: Shift | None = Field(
        default=None,
        exclude_if=unset,
        description="how its images are corrupted, such as { kind = 'gaussian-noise', severity = 3 }",
    )
    dose: Dose | None = Field(
        default=None,
        exclude_if=unset,
        description="of the role shifted, which is made of [[responses]]: { of, strength, reference, neutral }",
    )

    def task(self, task: Task) -> Task:
        """The form of its tasks, in a suite with this one."""
        own = {key: getattr(self, key) for key in ("ways", "shots", "queries", "imbalance")}
        return task.model_copy(update={key: value for key, value in own.items() if value is not None})

    def fault_of_form(self, task: Task) -> str:
        """What is wrong with the form of its tasks, in a suite with this one; empty where nothing is."""
        least = kinds.find(task.kind).least_ways
        if self.ways is None or least <= self.ways <= task.ways:
            fault = self.task(task).fault_of_imbalance
            return f"split '{self.name}': {fault}" if fault else ""
        if self.ways > task.ways:
            outputs = f"but the networks have {task.ways} outputs (task.ways); allowed: 1 to {task.ways}"
            return f"split '{self.name}' has ways = {self.ways}, {outputs}"
        return f"split '{self.name}' has ways = {self.ways}; allowed: {least} to {task.ways}"

    @field_validator("source", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value
