"""A suite file as a whole, and what must hold between its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from metagap import kinds
from metagap.kinds import TaskKind
from metagap.metrics import Metric
from metagap.suite.schema.algorithms import Entry
from metagap.suite.schema.evaluation import RECORDING, Evaluation, OwnEvaluation, Shift, Split
from metagap.suite.schema.published import Published
from metagap.suite.schema.response import SHIFTED, Dose, faults_of_doses
from metagap.suite.schema.section import Name, Section, Seed, Text, constructed, distinct
from metagap.suite.schema.task import Task
from metagap.suite.schema.training import Training

HEADINGS = ("gap", "split")
"""What tables that have a column for each algorithm have in columns of their own."""
UNTRAINED = ("scratch", "policy-scratch")
"""The controls that learn nothing beforehand: what the reference is by default."""
SHARED = ("task", "model", "source", "training_classes", "training", "evaluation", "splits")
"""The keys of a suite that all its algorithms have in common."""
INSIDE: dict[str, type[Section]] = {"shift": Shift, "dose": Dose}
"""The tables within a split."""


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
    reference: str = Field(
        default="",
        description="label of the algorithm whose gaps are subtracted in difficulty-adjusted gaps; default: the "
        "control `scratch` or `policy-scratch`, if there is one",
    )
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)] = [0]
    splits: list[Split] = Field(min_length=1)
    published: list[Published] = []

    @classmethod
    def allowed_keys(cls) -> list[str]:
        """Those of its file, with those that are gone when it is checked; it is called by the name of the file."""
        return [
            *(key for key in super().allowed_keys() if key != "name"),
            "leave_one_out",
            "remove",
            "responses",
            "sweep",
        ]

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
            if label in HEADINGS:
                raise ValueError(taken(label))
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
        if "algorithm" in names:
            raise ValueError("a split is called 'algorithm', which is a heading of the tables next to those of splits")
        if len([split for split in value if split.role == "meta-val"]) > 1:
            raise ValueError("more than one split has the role meta-val; allowed: none or one")
        if all(split.role in ("meta-val", SHIFTED) for split in value):
            raise ValueError("none is for the test: every split has the role meta-val")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        if faults := list(self._faults()):
            raise ValueError("\n".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        """What does not fit together."""
        yield from filter(None, (split.fault_of_form(self.task) for split in self.splits))
        yield from (f"training: {fault}" for fault in self.training.faults_of_forms(self.task))
        of_metrics = list(self.evaluation.faults_of_metrics(self.kind))
        yield from of_metrics
        yield from self.evaluation.faults_of_diagnostics(self.kind)
        recorded, usual = () if of_metrics else self.metrics, self.kind.metric.name
        if recorded and usual not in {one.name for one in recorded} and any(not one.metric for one in self.published):
            yield f"evaluation.metrics lacks '{usual}', which the published values are"
        if self.reference and self.reference not in self.algorithms:
            yield f"key 'reference' = '{self.reference}': no algorithm has this label; allowed: " + ", ".join(
                self.algorithms
            )
        for label, entry in self.algorithms.items():
            for key in ("metrics", *RECORDING):
                if key in entry.evaluation:
                    yield f"algorithms.{label}.evaluation: unknown key '{key}': all algorithms have [evaluation]'s"
        splits = [split.name for split in self.splits]
        budgets = {
            label: entry.training.get("iterations", self.training.iterations)
            for label, entry in self.algorithms.items()
        }
        yield from self.evaluation.faults_of_checkpoints([split.name for split in self.unshifted], budgets)
        yield from self.evaluation.faults_of_quantities()
        yield from faults_of_doses(self.splits, self.task)
        for i, published in enumerate(self.published):
            faults = published.faults(self.algorithms, splits, self.kind, recorded)
            yield from (f"published.{i}: {fault}" for fault in faults)

    @property
    def kind(self) -> TaskKind:
        """The kind of its tasks."""
        return kinds.find(self.task.kind)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is recorded of every episode and inner step, the headline first."""
        return self.evaluation.found_metrics(self.kind)

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> Suite:
        """The suite of a cell's record, as plain values. It is not checked again, as it was before anything was run.

        Keys that the record lacks have their defaults, and such as this version does not know are left out.
        """
        values = {"title": record["name"], **record}
        for key, section in (("task", Task), ("training", Training), ("evaluation", Evaluation)):
            if key in record:
                values[key] = constructed(section, record[key])
        values["published"] = [constructed(Published, item) for item in record.get("published") or []]
        values["splits"] = [
            constructed(Split, {**item, **{k: constructed(of, item[k]) for k, of in INSIDE.items() if item.get(k)}})
            for item in record.get("splits") or []
        ]
        entries = record["algorithms"].items()
        values["algorithms"] = {
            label: Entry.model_construct(**{"algorithm": label, **entry}) for label, entry in entries
        }
        return constructed(cls, values)

    @property
    def shared(self) -> dict[str, Any]:
        """What all algorithms have in common."""
        return self.model_dump(include=set(SHARED))

    @property
    def reference_label(self) -> str:
        """The algorithm whose gaps difficulty-adjusted gaps subtract; empty: there is none."""
        controls = (label for label, entry in self.algorithms.items() if entry.algorithm in UNTRAINED)
        return self.reference or next(controls, "")

    @property
    def validation(self) -> Split | None:
        """The split on which checkpoints are compared, if there is one."""
        return next((split for split in self.splits if split.role == "meta-val"), None)

    @property
    def test_splits(self) -> list[Split]:
        """The splits that are scored once training is over."""
        return [split for split in self.splits if split.role != "meta-val"]

    @property
    def unshifted(self) -> list[Split]:
        """The splits without those of responses, which are about the score of the final weights alone."""
        return [split for split in self.splits if split.dose is None]

    @property
    def splits_along(self) -> list[Split]:
        """The splits that are scored along training; none where the suite does not ask for it."""
        if self.evaluation.checkpoints is None:
            return []
        wanted = self.evaluation.checkpoint_splits
        return [split for split in self.unshifted if wanted is None or split.name in wanted]

    def split_task(self, split: Split) -> Task:
        """The task specification of a split."""
        return split.task(self.task)

    def split(self, name: str) -> Split:
        """The split of a name; raises KeyError where there is none."""
        for split in self.splits:
            if split.name == name:
                return split
        raise KeyError(name)

    def shape(self, split: str | None = None) -> str:
        """The form of a split's tasks in words; of what is no split, such as an average, that of the suite's own."""
        return self._task_of(split).shape

    def imbalance(self, split: str | None = None) -> str:
        """The imbalance of a split's tasks, or of the suite's own."""
        return self._task_of(split).imbalance

    def _task_of(self, split: str | None) -> Task:
        return next((self.split_task(one) for one in self.splits if one.name == split), self.task)

    def horizon(self, split: str | None = None) -> int | None:
        """The steps of a rollout in a split, or in the suite's own tasks; None where its source has no such option."""
        if not self.kind.acts:
            return None
        source = next((one.source for one in self.splits if one.name == split), None) or self.source
        return source.get("horizon")

    def is_shifted(self, split: str) -> bool:
        """Whether a split has other ways, shots or another horizon than the suite's own task."""
        return self.shape(split) != self.shape() or self.horizon(split) != self.horizon()

    def split_label(self, split: str) -> str:
        """A split's name, with its ways and shots or its horizon where they are not the suite's."""
        shape = self.shape(split)
        others = [shape] if shape != self.shape() and shape not in split else []
        if (horizon := self.horizon(split)) != self.horizon():
            others.append(f"{horizon} step{'s' * (horizon != 1)}")
        return f"{split} ({', '.join(others)})" if others else split

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


def taken(label: str) -> str:
    """What is said of an algorithm with a label that is one of `HEADINGS`."""
    return (
        f"an algorithm is labelled '{label}', which is a heading of the tables next to those of algorithms; allowed: "
        f"another label, as in [algorithms.my-{label}] with the key algorithm"
    )
