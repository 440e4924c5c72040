"""Cells (algorithm x seed): what a suite is expanded into, and what each is known by."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from metagap import digests, registry
from metagap.errors import UserError
from metagap.source_tables import registered_name
from metagap.suite.schema import Entry, OwnEvaluation, Suite, Training
from metagap.suite.sources import content, split_content

TRAINING_REVISION = 1
"""Raised when meta-training itself is corrected, so that every cell has other weights. Algorithms, models and sources
have revisions of their own."""


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
    revisions: dict[str, int] = dataclasses.field(default_factory=dict)
    """Of the code: `training`, `model`, `algorithm`, `metric` (that checkpoints are compared by) and, if it is not 1,
    that of the `kind` of task. Those of sources are in the digests of the data."""

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that the trained weights depend on, as plain values."""
        validation = self.stated["validation"]
        validated_on = {"validation": self.split_data.get(validation["split"]["name"])} if validation else {}
        data = {"training": self.training_data, **validated_on}
        return {**self.stated, "data": data, "revisions": self.revisions}

    @cached_property
    def variant(self) -> str:
        """A digest of what all algorithms of the suite share: results of one variant may stand in one table.

        Of optional splits it knows nothing but their settings: data that come later leave the others where they are.
        """
        needed = {split.name: self.split_data.get(split.name) for split in self.suite.splits if not split.optional}
        code = {key: number for key, number in self.revisions.items() if key != "algorithm"}
        data = [self.training_data, needed]
        measured = {"metrics": self.measured} | ({"quantities": self.quantities} if self.quantities else {})
        return digest(self.suite.shared | {"data": data, "revisions": code, **measured})

    @property
    def measured(self) -> list[Any]:
        """What identifies the metrics: name, revision, and the digest of a plugin's file."""
        files = _metric_files(self.suite)
        return [[one.name, one.revision, file] for one, file in zip(self.suite.metrics, files, strict=True)]

    @cached_property
    def quantities(self) -> dict[str, list[Any]]:
        """What identifies each quantity that is measured, by name: its revision, and the digest of a plugin's file."""
        named = {one: registry.load_named("quantity", one) for one in self.suite.evaluation.quantities or ()}
        return {found.name: [found.revision, registry.fingerprint("quantity", one)] for one, found in named.items()}

    @cached_property
    def stated(self) -> dict[str, Any]:
        """The identity without data and revisions: what a suite file and its defaults say."""
        validation, metric = self.suite.validation, self.suite.metrics[0]
        usual = metric.name == self.suite.kind.metric.name
        optimizer = registry.fingerprint("optimizer", self.training.optimizer)
        return {
            "task": self.suite.task.model_dump(),
            "model": self.suite.model,
            "source": self.suite.source,
            "training_classes": self.suite.training_classes,
            "algorithm": self.algorithm,
            "file": registry.fingerprint("algorithm", self.algorithm),
            "hyperparameters": self.hyperparameters,
            "training": self.training.model_dump(),
            "validation": {
                "split": validation.model_dump(),
                "steps": self.evaluation.steps,
                "settings": self.evaluation.settings,
                "metric": None if usual else [metric.name, _metric_files(self.suite)[0]],
            }
            if validation is not None and self.training.select == "best"
            else None,
            "seed": self.seed,
            "source_file": registry.fingerprint("source", registered_name(self.suite.source)),
            "model_file": registry.fingerprint("model", self.suite.model["name"]),
            "kind_file": registry.fingerprint("kind", self.suite.task.kind),
            **({"optimizer_file": optimizer} if optimizer is not None else {}),
        }

    @cached_property
    def hash(self) -> str:
        """The digest of the identity: the same cell is never trained twice, a changed one never mistaken for it."""
        return digest(self.identity)

    def folder(self, results: Path) -> Path:
        """Where the records of this cell lie."""
        return results.joinpath(self.suite.name, self.label, f"{self.seed}-{self.hash}")

    def __str__(self) -> str:
        return f"{self.label} seed {self.seed}"


def _metric_files(suite: Suite) -> list[str | None]:
    """The digests of the files of its metrics, for those that are plugins."""
    kind_file = registry.fingerprint("kind", suite.task.kind)
    return [
        registry.fingerprint("metric", one) if isinstance(one, str) else kind_file
        for one in suite.evaluation.metrics or suite.kind.metrics
    ]


def digest(value: Any) -> str:
    """Ten hexadecimal digits that identify a plain value."""
    return digests.of_value(value, sort_keys=True)[:10]


def written_cell(suite: Suite, label: str, seed: int) -> Cell:
    """A cell with what the suite states of it: its identity lacks the data, and defaults that `expand` fills in."""
    entry = suite.algorithms[label]
    return Cell(suite, label, entry.algorithm, entry.hyperparameters, seed=seed, **_budget(suite, entry))


def _budget(suite: Suite, entry: Entry) -> dict[str, Any]:
    return {"training": suite.training_of(entry), "evaluation": suite.evaluation_of(entry)}


def expand(suite: Suite) -> list[Cell]:
    """The cells of a resolved suite, seed by seed, so that the first seeds of all algorithms are done first.

    Algorithms that are run on request only are left out; see `with_algorithms`. Data that are here are read for their
    digests, once for all; whether they are all that is needed is for others to look at. Raises UserError where no
    algorithm is left.
    """
    if all(entry.on_request for entry in suite.algorithms.values()):
        labels = ", ".join(suite.algorithms)
        raise UserError(f"suite '{suite.name}': every algorithm is on_request; --algorithm names one of {labels}")
    firsts: list[Cell] = []
    data = {
        "training_data": content(suite.source, suite.training_classes),
        "split_data": {split.name: split_content(split) for split in suite.splits},
    }
    code = {
        "training": TRAINING_REVISION,
        "model": registry.revision("model", suite.model["name"]),
        "metric": suite.metrics[0].revision if suite.validation is not None else 1,
    }
    if suite.kind.revision != 1:  # cells of before kinds had revisions stay what they are
        code["kind"] = suite.kind.revision
    for label, entry in suite.algorithms.items():
        if not entry.on_request:
            revisions = {**code, "algorithm": registry.revision("algorithm", entry.algorithm)}
            about = {"hyperparameters": entry.all_hyperparameters, **_budget(suite, entry), "revisions": revisions}
            firsts.append(Cell(suite, label, entry.algorithm, seed=suite.seeds[0], **about, **data))
    return [_with_seed(cell, seed) for seed in suite.seeds for cell in firsts]


def _with_seed(first: Cell, seed: int) -> Cell:
    """The same cell with another seed; what does not depend on it is computed once for all seeds."""
    cell = dataclasses.replace(first, seed=seed)
    vars(cell).update(variant=first.variant, identity={**first.identity, "seed": seed})
    return cell


def as_json(cell: Cell) -> dict[str, Any]:
    """Everything about a cell as plain values, for its record."""
    fields = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell) if field.name != "suite"}
    plain = {key: value.model_dump() if isinstance(value, BaseModel) else value for key, value in fields.items()}
    return {**plain, "hash": cell.hash, "variant": cell.variant, "suite": cell.suite.model_dump()}
