"""What a suite file may say: its tables, typed, and what must hold between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from metagap import kinds, metrics, registry
from metagap.conditions import Diagnostic
from metagap.errors import UserError
from metagap.files import fault_of_name
from metagap.kinds import TaskKind
from metagap.metrics import Metric

MOST = 10**9
"""What anything that is counted may be at most: beyond it lie typing errors."""


def _name(value: str) -> str:
    if fault := fault_of_name(value):
        raise ValueError(fault)
    return value


def _kind(value: str) -> str:
    try:
        kinds.find(value)
    except UserError as error:
        raise ValueError(str(error)) from None
    return value


def _distinct(values: list[Any]) -> list[Any]:
    if twice := next((value for i, value in enumerate(values) if value in values[:i]), None):
        raise ValueError(f"{twice!r} is listed twice")
    return values


PositiveInt = Annotated[int, Gt(0), Le(MOST)]
Count = Annotated[int, Ge(0), Le(MOST)]
Seed = Annotated[int, Ge(0), Lt(2**63)]
Rate = Annotated[float, Gt(0)]
Text = Annotated[str, Field(pattern=r"\S")]
Name = Annotated[str, AfterValidator(_name)]
"""Of a split or an algorithm's entry: it stands in tables, and in the names of files."""
Role = Literal["meta-train", "meta-val", "recurring-task", "in-distribution", "cross-domain"]


class Section(BaseModel):
    """A table of a suite file: no unknown keys, never changed after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Made = TypeVar("Made", bound=Section)


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


class Training(Section):
    """The budget and the outer loop of meta-training."""

    iterations: Count = Field(description="outer steps")
    meta_batch: PositiveInt = Field(default=4, description="tasks in each outer step")
    shots: PositiveInt | None = Field(
        default=None, description="support examples per class in meta-training; default: the task's"
    )
    queries: PositiveInt | None = Field(
        default=None, description="query examples per class in meta-training; default: the task's"
    )
    optimizer: Text = Field(default="adam", description="outer optimizer: adam, sgd, or one of a plugin")
    lr: Rate = Field(default=0.001, description="step size of the outer optimizer")
    schedule: Literal["constant", "linear", "cosine", "step"] = Field(
        default="constant",
        description="how the step size falls: to zero, or by the factor `decay` at every step of the schedule",
    )
    schedule_steps: PositiveInt | None = Field(
        default=None, description="in how many steps, evenly spread, the schedule falls; default: at every outer step"
    )
    decay: Annotated[float, Gt(0), Le(1)] | None = Field(
        default=None, description="factor of the step size at each step of schedule = 'step'"
    )
    final_lr: Rate | None = Field(
        default=None, description="what schedule = 'linear' or 'cosine' falls to; default: zero"
    )
    eps: Rate | None = Field(default=None, description="added to the denominator of adam; default: 1e-8")
    clip: Rate | None = Field(
        default=None, description="outer gradients are clipped to plus and minus this, element by element"
    )
    clip_norm: Rate | None = Field(
        default=None,
        description="outer gradients are scaled down to this norm, by part: network, and whatever else is learned",
    )
    precision: Literal["float32", "float64", "tf32", "bfloat16"] = Field(
        default="float32", description="bfloat16: the network alone; tf32: the matrix products of a GPU"
    )
    validations: PositiveInt = Field(default=20, description="how often a checkpoint is validated, evenly spread")
    validation_episodes: PositiveInt = Field(default=100, description="episodes of each validation")
    select: Literal["best", "last"] = Field(
        default="best", description="the checkpoint that is tested: best on validation, or last"
    )

    @model_validator(mode="after")
    def _schedule(self) -> Training:
        steps = self.schedule == "step"
        if steps and None in (self.schedule_steps, self.decay):
            raise ValueError("schedule = 'step' needs schedule_steps and decay")
        if not steps and self.decay is not None:
            raise ValueError(f"decay is for schedule = 'step', not for '{self.schedule}'")
        if self.schedule_steps is not None and self.schedule == "constant":
            raise ValueError("schedule_steps is for a schedule that falls: linear, cosine or step")
        if self.final_lr is not None and self.schedule not in ("linear", "cosine"):
            raise ValueError(f"final_lr is for schedule = 'linear' or 'cosine', not for '{self.schedule}'")
        if self.final_lr is not None and self.final_lr > self.lr:
            raise ValueError(f"final_lr = {self.final_lr} is more than lr = {self.lr}")
        return self


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
    diagnostics: Annotated[list[Diagnostic], AfterValidator(_distinct)] = Field(
        default=list(get_args(Diagnostic)),
        description="further conditions: for the transduction gap, memorization, and the interval over new images",
    )
    diagnostic_episodes: PositiveInt = Field(
        default=200, description="at most this number of episodes of each further condition"
    )
    metrics: Annotated[list[Text], Field(min_length=1), AfterValidator(_distinct)] | None = Field(
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

    @field_validator("source", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


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


class Entry(BaseModel):
    """One algorithm of a suite: hyper-parameters, and its own changes to the budget and the evaluation."""

    model_config = ConfigDict(frozen=True, extra="allow")

    algorithm: Text = Field(description="a name or path/to/file.py:ClassName; default: the label")
    on_request: bool = Field(default=False, description="run it only if it is named, as with --algorithm")
    training: dict[str, Any] = Field(default={}, description="its own keys of [training]")
    evaluation: dict[str, Any] = Field(default={}, description="its own keys of [evaluation], and `settings`")

    _complete: dict[str, Any] | None = None

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every other key of the table."""
        return dict(self.__pydantic_extra__ or {})

    @property
    def all_hyperparameters(self) -> dict[str, Any]:
        """The same with every default. Raises TypeError for an entry that is not resolved."""
        if self._complete is None:
            raise TypeError(f"algorithm '{self.algorithm}' is as its file has it: its defaults are not filled in")
        return dict(self._complete)

    def completed(self, hyperparameters: dict[str, Any]) -> Entry:
        """The entry, with all of its hyper-parameters."""
        copy = self.model_copy()
        copy._complete = hyperparameters  # beside the keys of the table, which a record of the suite repeats
        return copy


SHARED = ("task", "model", "source", "training_classes", "training", "evaluation", "splits")
"""The keys of a suite that all its algorithms have in common."""


class Suite(Section):
    """A suite file."""

    name: str
    extends: str = Field(
        default="", description="the suite that this one changes: a built-in one, or the path of a .toml file"
    )
    title: Text
    description: str = ""
    deviations: list[Text] = Field(default=[], description="in what the suite differs from the published protocol")
    task: Task
    model: dict[str, Any]
    source: dict[str, Any]
    training_classes: Literal["train", "all"] = Field(
        default="train", description="which classes of the source are trained on"
    )
    training: Training
    evaluation: Evaluation
    algorithms: dict[Name, Entry] = Field(min_length=1)
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)] = [0]
    splits: list[Split] = Field(min_length=1)
    published: list[Published] = []

    @field_validator("model", "source", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("algorithms", mode="before")
    @classmethod
    def _labelled(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                label: {"algorithm": label, **table} if isinstance(table, dict) else table
                for label, table in value.items()
            }
        return value

    @field_validator("algorithms")
    @classmethod
    def _folders_of_their_own(cls, value: dict[str, Entry]) -> dict[str, Entry]:
        folders: dict[str, str] = {}
        for label in value:
            if (other := folders.setdefault(label.casefold(), label)) != label:
                raise ValueError(f"'{other}' and '{label}' differ in capitals only, which some file systems ignore")
        return value

    @field_validator("splits")
    @classmethod
    def _different(cls, value: list[Split]) -> list[Split]:
        names = [split.name for split in value]
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            raise ValueError(f"two splits are called '{twice[0]}'")
        if "average" in names:
            raise ValueError("a split is called 'average', which is what tables call the mean over domains")
        if len([split for split in value if split.role == "meta-val"]) > 1:
            raise ValueError("more than one split has the role meta-val; allowed: none or one")
        if all(split.role == "meta-val" for split in value):
            raise ValueError("none is for the test: every split has the role meta-val")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        if faults := [*self._faults_of_ways(), *self._faults_of_metrics(), *self._faults_of_published()]:
            raise ValueError("\n".join(faults))
        return self

    def _faults_of_ways(self) -> Iterator[str]:
        for split in self.splits:
            if split.ways is not None and split.ways > self.task.ways:
                yield (
                    f"split '{split.name}' has ways = {split.ways}, but the networks have {self.task.ways} outputs "
                    f"(task.ways); allowed: 1 to {self.task.ways}"
                )
            elif split.ways is not None and split.ways < self.kind.least_ways:
                least = self.kind.least_ways
                yield f"split '{split.name}' has ways = {split.ways}; allowed: {least} to {self.task.ways}"

    def _faults_of_metrics(self) -> Iterator[str]:
        known: dict[str, str] = {}
        for i, name in enumerate(self.evaluation.metrics or ()):
            place = f"evaluation.metrics.{i}"
            if ".py:" not in name and name not in registry.names("metric"):
                yield f"{place}: unknown metric '{name}'{registry.suggest(name, metrics.names(self.kind.name))}"
                continue
            try:
                found = metrics.find(name)
            except UserError as error:
                yield f"{place}: {error}"
                continue
            if not self.kind.allows(found):
                allowed = f"allowed: {', '.join(metrics.names(self.kind.name))}"
                yield f"{place}: metric '{name}' is for {' and '.join(found.kinds)}, not for {self.kind}; {allowed}"
            elif (other := known.setdefault(found.name, name)) != name:
                yield f"{place}: '{other}' and '{name}' both call themselves '{found.name}'"
        if self.published and known and self.kind.metric.name not in known:
            yield f"evaluation.metrics lacks '{self.kind.metric}', which the published values are"
        for label, entry in self.algorithms.items():
            if "metrics" in entry.evaluation:
                yield f"algorithms.{label}.evaluation: unknown key 'metrics': all algorithms have those of [evaluation]"

    def _faults_of_published(self) -> Iterator[str]:
        splits = [split.name for split in self.splits]
        for i, published in enumerate(self.published):
            if published.split not in splits:
                yield f"published.{i}: a published value is for split '{published.split}'; allowed: {', '.join(splits)}"
            if published.algorithm not in self.algorithms:
                allowed = ", ".join(self.algorithms)
                yield f"published.{i}: no algorithm '{published.algorithm}' in this suite; allowed: {allowed}"
            metric = self.kind.metric
            low, high = metric.bounds
            if not low <= published.value <= high:
                allowed = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
                yield f"published.{i}: value = {published.value} is no {metric.label}; allowed: {allowed}"

    @property
    def kind(self) -> TaskKind:
        """The kind of its tasks."""
        return kinds.find(self.task.kind)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is recorded of every episode and inner step, the headline first."""
        return tuple(metrics.find(name) for name in self.evaluation.metrics or self.kind.metrics)

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Suite:
        """The suite of a cell's record, as plain values. It is not checked again, as it was before anything was run.

        Keys that the record lacks have their defaults, and such as this version does not know are left out.
        """
        values = {"title": record["name"], **record}
        for key, section in (("task", Task), ("training", Training), ("evaluation", Evaluation)):
            if key in record:
                values[key] = _constructed(section, record[key])
        for key, section in (("splits", Split), ("published", Published)):
            values[key] = [_constructed(section, item) for item in record.get(key) or []]
        entries = record["algorithms"].items()
        values["algorithms"] = {
            label: Entry.model_construct(**{"algorithm": label, **entry}) for label, entry in entries
        }
        return _constructed(cls, values)

    @property
    def shared(self) -> dict[str, Any]:
        """What all algorithms have in common."""
        return self.model_dump(include=set(SHARED))

    @property
    def validation(self) -> Split | None:
        """The split on which checkpoints are compared, if there is one."""
        return next((split for split in self.splits if split.role == "meta-val"), None)

    @property
    def test_splits(self) -> list[Split]:
        """The splits that are scored once training is over."""
        return [split for split in self.splits if split.role != "meta-val"]

    def split_task(self, split: Split) -> Task:
        """The task specification of a split."""
        own = {key: value for key in ("ways", "shots", "queries") if (value := getattr(split, key)) is not None}
        return self.task.model_copy(update=own)

    def split(self, name: str) -> Split:
        """The split of a name; raises KeyError where there is none."""
        for split in self.splits:
            if split.name == name:
                return split
        raise KeyError(name)

    def shape(self, split: str | None = None) -> str:
        """Ways and shots of a split in the words of the field; of what is no split, such as an average, the suite's."""
        task = next((self.split_task(one) for one in self.splits if one.name == split), self.task)
        return self.kind.shape(task.ways, task.shots)

    def is_shifted(self, split: str) -> bool:
        """Whether a split has other ways or shots than the suite's own task."""
        return self.shape(split) != self.shape()

    def split_label(self, split: str) -> str:
        """A split's name, with its ways and shots where they are not the suite's."""
        return f"{split} ({self.shape(split)})" if self.is_shifted(split) else split

    def training_of(self, entry: Entry) -> Training:
        """The budget and the outer loop of one of its algorithms."""
        return self.training.model_copy(update=entry.training)

    def evaluation_of(self, entry: Entry) -> OwnEvaluation:
        """How one of its algorithms is scored."""
        return OwnEvaluation.model_construct(**{**dict(self.evaluation), **entry.evaluation})

    def headline_step(self, label: str) -> int:
        """The inner step at which an algorithm is scored."""
        own = self.algorithms[label].evaluation.get("steps")
        return self.evaluation.steps if own is None else own


def _constructed(section: type[Made], table: Mapping[str, Any]) -> Made:
    """A section of plain values that are not checked."""
    return section.model_construct(**{key: value for key, value in table.items() if key in section.model_fields})
