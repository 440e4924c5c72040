"""What to run: the typed suite file, expanded into cells (algorithm x seed)."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import tomllib
import typing
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)

from metagap import registry
from metagap.errors import UserError
from metagap.files import SUITES, fault_of_name, folder_name

MOST = 10**9
"""What anything that is counted may be at most: beyond it lie typing errors."""


def _name(value: str) -> str:
    if fault := fault_of_name(value):
        raise ValueError(fault)
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
Condition = Literal["standard", "transductive", "inductive", "shuffled", "open"]


class Section(BaseModel):
    """A table of a suite file: no unknown keys, never changed after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Task(Section):
    """The form of every task."""

    kind: Literal["classification", "regression"] = "classification"
    ways: PositiveInt = Field(1, description="classes in a task; 1 for regression")
    shots: PositiveInt = Field(description="support examples per class (regression: per task)")
    queries: PositiveInt = Field(description="query examples per class (regression: per task)")

    @model_validator(mode="after")
    def _ways(self) -> Task:
        if self.kind == "classification" and self.ways < 2:
            raise ValueError("classification needs ways of 2 or more")
        if self.kind == "regression" and self.ways != 1:
            raise ValueError("regression has no ways: leave the key out")
        return self


class Training(Section):
    """The budget and the outer loop of meta-training."""

    iterations: Count = Field(description="outer steps")
    meta_batch: PositiveInt = Field(4, description="tasks in each outer step")
    shots: PositiveInt | None = Field(
        None, description="support examples per class in meta-training; default: the task's"
    )
    queries: PositiveInt | None = Field(
        None, description="query examples per class in meta-training; default: the task's"
    )
    optimizer: Literal["adam", "sgd"] = Field("adam", description="outer optimizer")
    lr: Rate = Field(0.001, description="step size of the outer optimizer")
    schedule: Literal["constant", "linear", "cosine", "step"] = Field(
        "constant",
        description="how the step size falls: to zero, or by the factor `decay` at every step of the schedule",
    )
    schedule_steps: PositiveInt | None = Field(
        None, description="in how many steps, evenly spread, the schedule falls; default: at every outer step"
    )
    decay: Annotated[float, Gt(0), Le(1)] | None = Field(
        None, description="factor of the step size at each step of schedule = 'step'"
    )
    final_lr: Rate | None = Field(None, description="what schedule = 'linear' or 'cosine' falls to; default: zero")
    eps: Rate | None = Field(None, description="added to the denominator of the outer Adam; default: 1e-8")
    clip: Rate | None = Field(
        None, description="outer gradients are clipped to plus and minus this, element by element"
    )
    clip_norm: Rate | None = Field(
        None, description="outer gradients are scaled down to this norm, by part: network, and whatever else is learned"
    )
    precision: Literal["float32", "float64", "tf32", "bfloat16"] = Field(
        "float32", description="bfloat16: the network alone; tf32: the matrix products of a GPU"
    )
    validations: PositiveInt = Field(20, description="how often a checkpoint is validated, evenly spread")
    validation_episodes: PositiveInt = Field(100, description="episodes of each validation")
    select: Literal["best", "last"] = Field(
        "best", description="the checkpoint that is tested: best on validation, or last"
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
        if self.eps is not None and self.optimizer != "adam":
            raise ValueError(f"eps is for optimizer = 'adam', not for '{self.optimizer}'")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not set of the keys that came later, so that digests stay what they were before."""
        later = ("schedule_steps", "decay", "final_lr", "eps", "clip_norm")
        return {key: value for key, value in handler(self).items() if value is not None or key not in later}


class Evaluation(Section):
    """How the splits are scored."""

    episodes: PositiveInt = Field(600, description="test episodes of every split")
    steps: Count = Field(description="inner steps at test: the headline scores")
    curve_steps: Count | None = Field(None, description="inner steps that the adaptation curves go to; default: steps")
    batch_norm: Literal["transductive", "inductive"] = Field(
        "transductive", description="query statistics: of the whole query set, or of the support set and one query"
    )
    diagnostics: Annotated[list[Literal["batch-norm", "shuffled", "open"]], AfterValidator(_distinct)] = Field(
        ["batch-norm", "shuffled", "open"], description="further conditions: for which gap or interval see the README"
    )
    diagnostic_episodes: PositiveInt = Field(200, description="at most so many episodes of each further condition")

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

    settings: dict[str, Any] = Field({}, description="hyper-parameters that are others than in meta-training")


class Split(Section):
    """A set of evaluation tasks."""

    name: Name
    role: Role
    source: dict[str, Any] = Field({}, description="name or table; default: the suite's source")
    classes: str = Field("all", description="which classes of the source: train, val, test or all")
    images: Literal["all", "train", "held-out"] = Field("all", description="which images of each class")
    ways: PositiveInt | None = Field(None, description="default: the task's")
    shots: PositiveInt | None = Field(None, description="default: the task's")
    queries: PositiveInt | None = Field(None, description="default: the task's")
    episodes: PositiveInt | None = Field(None, description="default: the evaluation's")
    optional: bool = Field(False, description="leave the split out, and say so, where its data are missing")

    @field_validator("source", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Published(Section):
    """A published value to compare with."""

    algorithm: str
    split: str
    step: Count | None = Field(None, description="inner steps; default: the headline step")
    value: Annotated[float, Ge(0)] = Field(description="accuracy as a fraction, or mean squared error")
    interval: Annotated[float, Ge(0)] | None = Field(None, description="half width of the published interval")
    kind: str | None = Field(None, description="what the published interval is; needed where there is one")
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

    algorithm: Text
    on_request: bool = False
    """Run only where it is named, as with --algorithm."""
    training: dict[str, Any] = {}
    evaluation: dict[str, Any] = {}

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Every other key of the table."""
        return dict(self.__pydantic_extra__ or {})


class Suite(Section):
    """A suite file."""

    name: str
    title: Text
    description: str = ""
    deviations: list[Text] = Field([], description="in what the suite differs from the published protocol")
    task: Task
    model: dict[str, Any]
    source: dict[str, Any]
    training_classes: Literal["train", "all"] = Field("train", description="which classes of the source are trained on")
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
        if faults := [*self._faults_of_ways(), *self._faults_of_published()]:
            raise ValueError("\n".join(faults))
        return self

    def _faults_of_ways(self) -> Iterator[str]:
        for split in self.splits:
            if split.ways is not None and split.ways > self.task.ways:
                yield (
                    f"split '{split.name}' has ways = {split.ways}, but the networks have {self.task.ways} outputs "
                    f"(task.ways); allowed: 1 to {self.task.ways}"
                )
            if split.ways == 1 and self.task.kind == "classification":
                yield f"split '{split.name}' has ways = 1; allowed: 2 to {self.task.ways}"

    def _faults_of_published(self) -> Iterator[str]:
        splits = [split.name for split in self.splits]
        for i, published in enumerate(self.published):
            if published.split not in splits:
                yield f"published.{i}: a published value is for split '{published.split}'; allowed: {', '.join(splits)}"
            if published.algorithm not in self.algorithms:
                allowed = ", ".join(self.algorithms)
                yield f"published.{i}: no algorithm '{published.algorithm}' in this suite; allowed: {allowed}"
            if published.value > 1 and self.task.kind == "classification":
                yield f"published.{i}: value = {published.value}; an accuracy is a fraction: allowed: 0 to 1"

    @property
    def shared(self) -> dict[str, Any]:
        """What all algorithms have in common."""
        shared = self.model_dump(include={"task", "model", "source", "training", "evaluation", "splits"})
        return shared | self.own_training_classes

    @property
    def own_training_classes(self) -> dict[str, str]:
        """The training classes where they are not the usual ones, so that digests stay what they were before."""
        return {} if self.training_classes == "train" else {"training_classes": self.training_classes}

    @property
    def validation(self) -> Split | None:
        """The split on which checkpoints are compared, if there is one."""
        return next((split for split in self.splits if split.role == "meta-val"), None)

    @property
    def test_splits(self) -> list[Split]:
        """The splits that are scored once training is over."""
        return [split for split in self.splits if split.role != "meta-val"]

    def split_task(self, split: Split) -> Task:
        """The form of the tasks of a split."""
        own = {key: value for key in ("ways", "shots", "queries") if (value := getattr(split, key)) is not None}
        return self.task.model_copy(update=own)


@dataclass(frozen=True)
class Cell:
    """One algorithm with one seed: what is trained at one go, checkpointed and evaluated."""

    suite: Suite
    label: str
    algorithm: str
    hyperparameters: dict[str, Any]
    training: Training
    evaluation: OwnEvaluation
    seed: int
    training_data: str | None = None
    """A digest of what the training classes hold; None: not known, as where data are missing."""
    split_data: dict[str, str | None] = dataclasses.field(default_factory=dict)
    """The same for every split, by name."""

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that the trained weights depend on, as plain values."""
        validation = self.stated["validation"]
        validated_on = {"validation": self.split_data.get(validation["split"]["name"])} if validation else {}
        return {**self.stated, "data": {"training": self.training_data, **validated_on}}

    @property
    def variant(self) -> str:
        """A digest of what all algorithms of the suite share: results of one variant may stand in one table.

        Of optional splits it knows nothing but their settings: data that come later leave the others where they are.
        """
        needed = {split.name: self.split_data.get(split.name) for split in self.suite.splits if not split.optional}
        return digest(self.suite.shared | {"data": [self.training_data, needed]})

    @cached_property
    def stated(self) -> dict[str, Any]:
        """The identity without the data: what a suite file and its defaults say."""
        validation, settings = self.suite.validation, self.evaluation.settings
        return {
            "task": self.suite.task.model_dump(),
            "model": self.suite.model,
            "source": self.suite.source,
            **self.suite.own_training_classes,
            "algorithm": self.algorithm,
            "file": registry.fingerprint("algorithm", self.algorithm),
            "hyperparameters": self.hyperparameters,
            "training": self.training.model_dump(),
            "validation": {
                "split": validation.model_dump(),
                "steps": self.evaluation.steps,
                **({"settings": settings} if settings else {}),
            }
            if validation is not None and self.training.select == "best"
            else None,
            "seed": self.seed,
            **_plugin_files(self.suite),
        }

    @property
    def hash(self) -> str:
        """The digest of the identity: the same cell is never trained twice, a changed one never mistaken for it."""
        return digest(self.identity)

    def folder(self, results: Path) -> Path:
        """Where the records of this cell lie."""
        return results / self.suite.name / self.label / f"{self.seed}-{self.hash}"

    def __str__(self) -> str:
        return f"{self.label} seed {self.seed}"


def digest(value: Any) -> str:
    """Ten hexadecimal digits that identify a plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]


def load_suite(name_or_path: str, changes: Sequence[str] = ()) -> Suite:
    """Read a suite by built-in name or by path, with changes `key.key=value` made first.

    Raises UserError with the file, the key, what was found and what is allowed.
    """
    path = SUITES.path(name_or_path)
    table = SUITES.read(path)
    for change in changes:
        _change(table, change)
    return resolve(table, path)


def written_suite(name_or_path: str) -> Suite:
    """The suite as its file has it, without the defaults of model, source and algorithms: needs no torch."""
    path = SUITES.path(name_or_path)
    suite = _checked(SUITES.read(path), path)
    splits = [split.model_copy(update={"source": split.source or suite.source}) for split in suite.splits]
    return suite.model_copy(update={"splits": splits})


def resolve(table: Mapping[str, Any], path: Path) -> Suite:
    """The suite of a table read from `path`: checked, and with every default of model and sources filled in."""
    try:
        suite = _checked(table, path)
    except UserError as error:  # the rest is looked at as it is written, so that all faults are told at once
        raise UserError("\n".join(dict.fromkeys([str(error), *_faults_of_parts(table, path)]))) from None
    faults = Faults()
    source: dict[str, Any] = {}
    splits = []
    with faults:
        source = _resolve_source(suite.source, suite.task.kind, f"{path}: source")
    for split in suite.splits:
        with faults:
            place = f"{path}: splits.{split.name}"
            own = _resolve_source(split.source, suite.task.kind, f"{place}.source") if split.source else source
            splits.append(split.model_copy(update={"source": own}))
            _refuse_leak(splits[-1], source, suite, place)
    model: dict[str, Any] = {}
    with faults:
        model = _resolve_model(suite.model, f"{path}: model")
    for label, entry in suite.algorithms.items():
        with faults:
            _resolve_entry(suite, label, entry, f"{path}: algorithms.{label}")
    faults.close()
    return suite.model_copy(update={"model": model, "source": source, "splits": splits})


class Faults:
    """Collects the messages of UserErrors: each ends the `with` block that it is raised in, and no more than that."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, UserError):
            self.told.append(str(error))
        return isinstance(error, UserError)

    def close(self) -> None:
        """Raise one UserError with all of them, if there are any."""
        if self.told:
            raise UserError("\n".join(dict.fromkeys(self.told)))


def _faults_of_parts(table: Mapping[str, Any], path: Path) -> list[str]:
    """What is wrong with the sources, the model and the algorithms of a table that is not a valid suite."""
    task, splits, entries = (table.get(key) for key in ("task", "splits", "algorithms"))
    kind = task.get("kind", "classification") if isinstance(task, dict) else "classification"
    sources = {"source": table.get("source")}
    for i, split in enumerate(splits if isinstance(splits, list) else ()):
        if isinstance(split, dict):
            sources[f"splits.{split.get('name', i)}.source"] = split.get("source")
    faults = Faults()
    for place, part in [*sources.items(), ("model", table.get("model"))]:
        named = {"name": part} if isinstance(part, str) else part
        if isinstance(named, dict):
            with faults:
                if place == "model":
                    _resolve_model(named, f"{path}: {place}")
                else:
                    _resolve_source(named, kind, f"{path}: {place}")
    for label, entry in entries.items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict) and isinstance(name := entry.get("algorithm", label), str):
            own = {key: value for key, value in entry.items() if key not in Entry.model_fields}
            with faults:
                validated(registry.load("algorithm", name), own, f"{path}: algorithms.{label}")
    return faults.told


def with_algorithms(suite: Suite, wanted: Iterable[str]) -> Suite:
    """The suite with these algorithms only: labels of the suite, or any other algorithm with its defaults; `all` is all
    that the suite has.

    Raises UserError for a name that is neither in the suite nor registered nor a file.
    """
    names = [label for one in wanted for label in (suite.algorithms if one == "all" else [one])]
    registered = registry.names("algorithm")
    plugins = [name for name in names if ".py:" in name and name not in suite.algorithms]
    labels = _labels(plugins, {label.casefold() for label in [*suite.algorithms, *registered]})
    chosen = {}
    for name in names:
        if name in suite.algorithms:
            chosen[name] = suite.algorithms[name].model_copy(update={"on_request": False})
        elif name in plugins:
            chosen |= {label: Entry(algorithm=name) for label, plugin in labels.items() if plugin == name}
        elif name in registered:
            chosen[name] = Entry(algorithm=name)
        else:
            allowed = list(dict.fromkeys([*suite.algorithms, *registered]))
            hint = f"{registry.suggest(name, allowed, 'metagap list algorithms')}, or path/to/file.py:ClassName"
            raise UserError(f"--algorithm: unknown algorithm '{name}'{hint}")
    changed = suite.model_copy(update={"algorithms": chosen})
    for label, entry in chosen.items():
        _resolve_entry(changed, label, entry, f"--algorithm {label}")
    return changed


def _labels(plugins: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """A label for each `path/to/file.py:ClassName`: the name of the class, with that of the file where this is taken.

    Raises UserError where that does not tell them apart either.
    """
    files = {(Path(path).resolve(), cls): name for name in reversed(plugins) for path, _, cls in [name.rpartition(":")]}
    classes = Counter(cls.lower() for _, cls in files)
    labels: dict[str, str] = {}
    for (path, cls), name in reversed(files.items()):
        label = cls.lower()
        if label in taken or classes[label] > 1:
            label = f"{label}-{path.stem}"
        folder_name(label, f"--algorithm {name}")
        if label in taken or label in labels:
            other = labels.get(label, label)
            raise UserError(
                f"--algorithm: '{other}' and '{name}' would both be called '{label}'; rename a file or class"
            )
        labels[label] = name
    return labels


def written_cell(suite: Suite, label: str, seed: int) -> Cell:
    """A cell with what the suite states of it: its identity lacks the data, and defaults that `expand` fills in."""
    entry = suite.algorithms[label]
    budget = _budget(suite, entry, f"algorithms.{label}")
    return Cell(suite, label, entry.algorithm, entry.hyperparameters, seed=seed, **budget)


def expand(suite: Suite) -> list[Cell]:
    """The cells of a suite, seed by seed, so that the first seeds of all algorithms are done first.

    Algorithms that are run on request only are left out; see `with_algorithms`. Data that are here are read for their
    digests, once for all; whether they are all that is needed is for others to look at.
    """
    cells = []
    data = {
        "training_data": _content(suite.source, suite.training_classes),
        "split_data": {split.name: _content(split.source, split.classes) for split in suite.splits},
    }
    for seed in suite.seeds:
        for label, entry in suite.algorithms.items():
            if entry.on_request:
                continue
            fields = _resolve_entry(suite, label, entry, f"algorithms.{label}")
            cells.append(Cell(suite=suite, label=label, algorithm=entry.algorithm, seed=seed, **fields, **data))
    return cells


def make_source(table: Mapping[str, Any]) -> Any:
    """The source that a resolved table describes."""
    source, options = _source_class(table)
    return source(**options)


def with_iterations(suite: Suite, iterations: int) -> Suite:
    """The suite with this many outer steps for every algorithm, whatever budget of its own it has."""
    training = {"iterations": iterations}
    entries = {
        label: entry.model_copy(update={"training": {**entry.training, **training}})
        if "iterations" in entry.training
        else entry
        for label, entry in suite.algorithms.items()
    }
    return suite.model_copy(update={"training": suite.training.model_copy(update=training), "algorithms": entries})


def variation(cell: Cell, written: Suite) -> str:
    """What a changed suite is known by beside the one that its file describes; empty where they are the same.

    Algorithms that the file does not have make no variation, and neither does a choice among algorithms or seeds.
    cell: any of the changed suite.
    """
    suite, same = cell.suite, cell.suite.shared == written.shared

    def settings(one: Suite, label: str) -> dict[str, Any]:
        entry = one.algorithms[label].model_dump(exclude={"on_request"})
        if not same:  # budgets of algorithms change with that of all
            entry["training"] = {key: value for key, value in entry["training"].items() if key != "iterations"}
        return entry

    labels = [label for label in suite.algorithms if label in written.algorithms]
    differing = [label for label in labels if settings(suite, label) != settings(written, label)]
    if same and not differing:
        return ""
    own = [digest([suite.algorithms[label].model_dump() for label in differing])] if differing else []
    return "-".join([cell.variant, *own])


def with_budget(suite: Suite, share: float) -> Suite:
    """The suite with this share of every algorithm's outer steps, at least one; schedules shrink with them."""

    def scaled(training: dict[str, Any]) -> dict[str, Any]:
        iterations = training.get("iterations")
        return {**training, "iterations": max(1, round(share * iterations))} if iterations else training

    entries = {
        label: entry.model_copy(update={"training": scaled(entry.training)})
        for label, entry in suite.algorithms.items()
    }
    training = suite.training.model_copy(update=scaled(suite.training.model_dump()))
    return suite.model_copy(update={"training": training, "algorithms": entries})


def with_seeds(suite: Suite, seeds: list[int]) -> Suite:
    """The suite with these seeds instead of its own."""
    return suite.model_copy(update={"seeds": list(dict.fromkeys(seeds))})


def as_json(cell: Cell) -> dict[str, Any]:
    """Everything about a cell as plain values, for its record."""
    fields = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell) if field.name != "suite"}
    plain = {key: value.model_dump() if isinstance(value, BaseModel) else value for key, value in fields.items()}
    return {**plain, "hash": cell.hash, "variant": cell.variant, "suite": cell.suite.model_dump()}


def _checked(table: Mapping[str, Any], path: Path) -> Suite:
    """The suite of a table, as it is written."""
    if "name" in table:
        raise UserError(f"{path}: unknown key 'name': a suite is called by the name of its file")
    name = folder_name(path.stem, f"suite file {str(path)!r}: a suite is called by the name of its file")
    return validated(Suite, {"name": name, **table}, str(path))


def _resolve_entry(suite: Suite, label: str, entry: Entry, place: str) -> dict[str, Any]:
    algorithm = validated(registry.load("algorithm", entry.algorithm), entry.hyperparameters, place)
    budget = _budget(suite, entry, place)
    own = budget["evaluation"].settings
    changed = {**entry.hyperparameters, **own}
    at_test = validated(type(algorithm), changed, f"{place}.evaluation.settings").model_dump()
    budget["evaluation"] = budget["evaluation"].model_copy(update={"settings": {name: at_test[name] for name in own}})
    return {"hyperparameters": algorithm.model_dump(), **budget}


def _budget(suite: Suite, entry: Entry, place: str) -> dict[str, Any]:
    training = validated(Training, {**suite.training.model_dump(), **entry.training}, f"{place}.training")
    base = suite.evaluation.model_dump()
    evaluation = validated(OwnEvaluation, {**base, **entry.evaluation}, f"{place}.evaluation")
    return {"training": training, "evaluation": evaluation}


def _source_class(table: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    options = {key: value for key, value in table.items() if key != "name"}
    name = table["name"]
    if name.startswith("path:"):
        return registry.load("source", "path"), {"path": name.removeprefix("path:"), **options}
    return registry.load("source", name), options


def _resolve_source(table: dict[str, Any], kind: str, place: str) -> dict[str, Any]:
    _named_table(table, "source", place)
    source_class, options = _source_class(table)
    source = validated(source_class, options, place)
    if source.kind != kind:
        raise UserError(f"{place}: '{table['name']}' gives {source.kind} tasks, but task.kind is '{kind}'")
    return {"name": table["name"], **source.model_dump(mode="json", exclude={"kind", "path"})}


def _named_table(table: Mapping[str, Any], kind: registry.Kind, place: str) -> None:
    name, more = table.get("name"), ", path:..." if kind == "source" else ""
    if not isinstance(name, str):
        fault = "is missing" if name is None else f"= {name!r} is no text"
        raise UserError(f"{place}: key 'name' {fault}; allowed: {', '.join(registry.names(kind))}{more}")


def _refuse_leak(split: Split, training: dict[str, Any], suite: Suite, place: str) -> None:
    """Refuse a split whose classes are not what its role says, as far as the training source itself is concerned."""
    known, trained = split.role in ("meta-train", "recurring-task"), suite.training_classes
    if suite.task.kind == "regression" or split.role == "cross-domain" or split.source != training:
        return
    if known and split.classes != trained:
        allowed, reason = f"'{trained}'", "is about the training classes"
    elif not known and trained == "all":
        allowed, reason = "another source", "must not contain training classes, which are all of this source"
    elif not known and split.classes in ("train", "all"):
        allowed, reason = "'val' or 'test'", "must not contain training classes"
    else:
        return
    raise UserError(f"{place}: key 'classes' = '{split.classes}': role {split.role} {reason}; allowed: {allowed}")


def _content(source: Mapping[str, Any], classes: str) -> str | None:
    """A digest of what these classes of a source hold; None where its data are missing or unfit."""
    try:
        found = make_source(source).digest(classes)
    except UserError:
        return None
    plugin = registry.fingerprint("source", _kind_of(source))
    return f"{found}-{plugin}" if plugin else found


def _kind_of(source: Mapping[str, Any]) -> str:
    """The name that a source is registered under."""
    return "path" if source["name"].startswith("path:") else source["name"]


def _plugin_files(suite: Suite) -> dict[str, str]:
    """Digests of the files of a source and a model that are plugins."""
    found = {
        "source_file": registry.fingerprint("source", _kind_of(suite.source)),
        "model_file": registry.fingerprint("model", suite.model["name"]),
    }
    return {key: value for key, value in found.items() if value is not None}


def _resolve_model(table: dict[str, Any], place: str) -> dict[str, Any]:
    _named_table(table, "model", place)
    model = registry.load("model", table["name"])
    fields: dict[str, Any] = registry.options(model, given=2)  # x_shape and outputs
    options = create_model(table["name"], __base__=Section, **fields)
    chosen = validated(options, {key: value for key, value in table.items() if key != "name"}, place)
    return {"name": table["name"], **chosen.model_dump(mode="json")}


def validated(model: Any, table: Mapping[str, Any], place: str) -> Any:
    """The model made from a table; raises UserError with the place, the key, what was found and what is allowed."""
    try:
        # As JSON, whose types are TOML's: nothing is converted, but a list may be a tuple and a whole number a float.
        return model.model_validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        problems: dict[tuple[Any, ...], list[Any]] = {}
        for problem in error.errors():
            problems.setdefault(_keys(problem, table), []).append(problem)
        told = [_explain(model, keys, several, place) for keys, several in problems.items()]
        raise UserError("\n".join(told)) from None


def _keys(problem: Any, table: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where in the table a problem is, without the name of the alternative that pydantic adds for a union's types."""
    keys: list[Any] = []
    value: Any = table
    for key in problem["loc"]:
        there = isinstance(value, Mapping) and key in value
        if there or (isinstance(value, list | tuple) and isinstance(key, int) and key < len(value)):
            value = value[key]
        elif not (problem["type"] == "missing" and isinstance(value, Mapping)):
            continue
        keys.append(key)
    return tuple(keys)


def _explain(model: Any, keys: tuple[Any, ...], problems: list[Any], place: str) -> str:
    """One message for what is wrong at a place: of a union's types, any would do."""
    *parents, key = keys or ("",)
    inside, problem = ".".join(map(str, keys)), problems[0]
    match problem["type"]:
        case "extra_forbidden":
            owner = model
            for parent in parents:
                owner = _field_model(owner, parent)
            allowed = list(owner.model_fields) if owner is not None else []
            return f"{place}: unknown key '{inside}'{registry.suggest(str(key), allowed) if allowed else ''}"
        case "missing":
            return f"{place}: key '{inside}' is missing"
        case _:
            where = f"key '{inside}' = {_briefly(problem['input'])}: " if inside else ""
            told = [one["msg"].removeprefix("Value error, ") for one in problems]
            lines = (
                told[0].splitlines()
                if len(told) == 1
                else [" or ".join(dict.fromkeys(told)).replace(" or Input should be", " or")]
            )
            return "\n".join(f"{place}: {where}{line[0].lower()}{line[1:]}" for line in lines)


def _briefly(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:160]} ... ({len(text):,} characters)"


def _field_model(owner: Any, key: Any) -> Any:
    """The section that a key of a section holds, or the section itself for an index into a list of sections."""
    if owner is None or not isinstance(key, str):
        return owner
    field = owner.model_fields.get(key)
    candidates = [field.annotation, *typing.get_args(field.annotation)] if field is not None else []
    return next((c for c in candidates if inspect.isclass(c) and issubclass(c, BaseModel)), None)


def _change(table: dict[str, Any], change: str) -> None:
    """Make one `--set key.key=value` change in a suite's table; a list of named tables is entered by name or number."""
    keys, equals, text = change.partition("=")
    if not equals or not keys.strip():
        raise UserError(f"--set '{change}': write it as key=value, for example training.lr=0.01")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    place: Any = table
    *parents, last = (key.strip() for key in keys.split("."))
    for key in parents:
        if isinstance(place, list):
            named = {str(item.get("name", i)): item for i, item in enumerate(place)} | dict(
                zip(map(str, range(len(place))), place, strict=True)
            )
            if key not in named:
                raise UserError(f"--set '{change}': no '{key}' there{registry.suggest(key, list(named))}")
            place = named[key]
        else:
            if isinstance(place.get(key), str):  # a name alone stands for a table with that name
                place[key] = {"name": place[key]}
            place = place.setdefault(key, {})
        if not isinstance(place, dict | list):
            raise UserError(f"--set '{change}': '{key}' is a value and has no keys")
    if isinstance(place, list):
        raise UserError(f"--set '{change}': name the item of the list and a key in it")
    place[last] = value
