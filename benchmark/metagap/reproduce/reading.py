"""What the store has of a table. Records are found by what the suite files say, so that reading needs no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from metagap.analysis.grids import Grids
from metagap.analysis.published_values import against_published
from metagap.errors import UserError
from metagap.report.reproduction import Reproduction
from metagap.reproduce.paper_table import PaperColumn, PaperTable
from metagap.results import (
    FORMAT,
    MEND,
    DamagedError,
    Failed,
    assemble,
    damage_of,
    failures,
    minute,
    read_config,
    read_json,
    read_marker,
    records,
)
from metagap.suite import RECORDING, Cell, written_cell

ELSEWHERE = {"curve_steps", "diagnostics", "diagnostic_episodes", "episodes", "metrics", *RECORDING}
"""What of an evaluation the score of a split does not depend on; the number of episodes is the split's own affair."""
WITH_DEFAULTS = ("model", "source", "hyperparameters")
"""Tables of which a suite may state a part."""


Hashes = Mapping[str, Mapping[str, str | None]]
"""Of the cells that count, with the digest of each split's data; None: whatever they were."""


class Record(NamedTuple):
    """A cell in the store: its folder, what its marker says, and the files of the splits that a table needs."""

    folder: Path
    marker: dict[str, Any]
    files: dict[str, str]

    @property
    def done(self) -> dict[str, Any]:
        """The marker as if these splits were all there is."""
        episodes = {split: self.marker["episodes"].get(split) for split in self.files}
        return {**self.marker, "files": self.files, "episodes": episodes, "notes": []}


class Found(NamedTuple):
    """What there is of an algorithm: the record of each seed, and what else was trained under its name."""

    records: dict[int, Record]
    elsewhere: list[int]
    """Iterations of records at another budget."""
    others: set[int]
    """Seeds of records whose settings are not what the suite states."""
    damaged: list[str]
    """What is wrong with records that are damaged."""
    earlier: set[int]
    """Seeds of records that agree but are of an earlier version of metagap, and so are not what is asked for."""


def find(store: Path, part: PaperColumn, label: str, seeds: Sequence[int], hashes: Hashes | None = None) -> Found:
    """The records of an algorithm that agree with everything that its suite file states, split by split.

    The defaults that a suite leaves to its model, source and algorithms are not compared, for they are not known
    without torch. hashes: where they are known. Raises UserError where two records of a seed
    agree and it cannot be said which is meant.
    """
    cell = written_cell(part.suite, label, seed=0)
    splits = {split.name: split for split in part.suite.splits if split.name in part.splits(label)}
    records: dict[int, Record] = {}
    elsewhere, others, earlier, damaged = set(), set(), set(), []
    for path in sorted((store / part.suite.name / label).glob("*/done-*.json")):
        try:
            marker = read_marker(path)
            if marker is None or marker["seed"] not in seeds:
                continue
            config = read_config(path.parent, marker)
        except DamagedError as error:
            damaged.append(str(error))
            continue
        if not _trained_so(cell, config):
            others.add(marker["seed"])
            continue
        stored = {split["name"]: split for split in marker["suite"]["splits"]}
        data = (hashes or {}).get(marker["hash"], {})
        files = {
            name: marker["files"][name]
            for name, split in splits.items()
            if name in marker["files"]
            and _scored_so(cell, split.model_dump(), marker, stored[name])
            and data.get(name) in (None, marker.get("split_data", {}).get(name))
        }
        if not files:
            continue
        if marker["training"]["iterations"] != cell.training.iterations:
            elsewhere.add(marker["training"]["iterations"])
            continue
        if hashes is not None and marker["hash"] not in hashes:
            if marker["format"] != FORMAT:
                earlier.add(marker["seed"])
            continue
        record, other = Record(path.parent, marker, files), records.get(marker["seed"])
        if damage := damage_of(record.folder, record.done):
            damaged.append(damage)
            continue
        if other is not None and _revisions(other.marker) != _revisions(marker):
            record = max(other, record, key=lambda one: _revisions(one.marker))
        elif other is not None:
            agree = all(other.files.get(name, stem) == stem for name, stem in files.items())
            if other.folder != record.folder or not agree:
                raise UserError(
                    f"two records of {label} seed {marker['seed']} agree with suite '{part.suite.name}': "
                    f"'{other.folder}' and '{record.folder}'; remove the one that is not meant"
                )
            record = Record(path.parent, _both(other.marker, marker), other.files | files)
        records[marker["seed"]] = record
    return Found(records, sorted(elsewhere), others, damaged, earlier)


def _revisions(marker: Mapping[str, Any]) -> list[int]:
    """The greater, the more corrected is the code that trained a record."""
    known = marker.get("revisions", {})
    return [marker["format"], *(known.get(key, 1) for key in ("algorithm", "kind", "metric", "model", "training"))]


def _both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """One marker of a cell for what two variants of its suite have scored."""
    splits = {split["name"]: split for marker in (first, second) for split in marker["suite"]["splits"]}
    joined = {key: first.get(key, {}) | second.get(key, {}) for key in ("files", "episodes", "sha256")}
    return {**second, **joined, "suite": {**second["suite"], "splits": list(splits.values())}}


def read(
    table: PaperTable, store: Path, seeds: Sequence[int] | None = None, hashes: Hashes | None = None
) -> Reproduction:
    """The table compared with what the store has of it; what it has not is not run, and is kept.

    seeds: default: those of each suite. hashes: see `find`. A damaged record is left out, and named in the notes.
    """
    frames, failed = [], []
    notes = [f"{table.left_out} published values of this table were left out by --cells."] if table.left_out else []
    deviations: dict[str, list[str]] = {}
    for part in table.parts:
        frame, more, lost = _read_part(table, part, store, seeds or part.suite.seeds, hashes)
        frames.append(frame)
        failed += lost
        notes += [f"{part.column}: {note}" for note in more]
        for sentence in part.suite.deviations:
            deviations.setdefault(" ".join(sentence.split()), []).append(part.suite.name)
    return Reproduction(
        name=table.name,
        title=table.title,
        citation=table.citation,
        kind=table.kind,
        margin=table.margin,
        budget=table.budget,
        cells=pd.concat(frames, ignore_index=True),
        deviations=list(deviations.items()),
        notes=notes,
        failed=tuple(failed),
    )


def _read_part(
    table: PaperTable, part: PaperColumn, store: Path, seeds: Sequence[int], hashes: Hashes | None
) -> tuple[pd.DataFrame, list[str], list[Failed]]:
    """Its rows, notes, and the cells among those shown that diverged."""
    found = {label: find(store, part, label, seeds, hashes) for label in part.rows}
    chosen = {(label, seed): record for label, one in found.items() for seed, record in one.records.items()}
    grids, notes, diverged = None, [], []
    if chosen:
        results = assemble({key: (record.folder, record.done) for key, record in chosen.items()}, [])
        grids, notes = Grids(results, part.suite.kind.metric), results.notes
        diverged = list(results.failed)
    frame = against_published([value.model_dump() for value in part.published], grids, table.margin)
    about = [_about(part, row, found[row["algorithm"]]) for row in records(frame)]
    for label, one in found.items():
        cell, missing = written_cell(part.suite, label, seed=0), [s for s in seeds if s not in one.records]
        if missing and one.records:
            notes.append(f"{part.rows[label]} has not been run with seed {', '.join(map(str, missing))}.")
        if missing and one.elsewhere:
            notes.append(
                f"{part.rows[label]} was run for {' and '.join(f'{n:,}' for n in one.elsewhere)} iterations instead of "
                f"{cell.training.iterations:,}, which is another budget and not shown."
            )
        notes += [f"{error}. That record is left out; {MEND}." for error in one.damaged]
        notes += [
            f"{part.rows[label]} with seed {failed.seed} failed on {minute(failed.when)}: {failed}."
            for failed in failures(store / part.suite.name)
            if failed.label == label and failed.seed in missing
        ]
        if earlier := one.earlier.intersection(missing):
            notes.append(
                f"{part.rows[label]} with seed {', '.join(map(str, sorted(earlier)))} has records of an earlier "
                f"version of metagap, which are not shown; `metagap reproduce {table.name} --from DIR` reads them."
            )
        if unlike := one.others.intersection(missing):
            notes.append(
                f"{part.rows[label]} with seed {', '.join(map(str, sorted(unlike)))} has records with other settings "
                "than the suite's, which are not shown."
            )
    return pd.concat([pd.DataFrame(about), frame], axis="columns"), list(dict.fromkeys(notes)), diverged


def _about(part: PaperColumn, row: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """What a cell of the table is called, and where it comes from."""
    name, values = part.rows[row["algorithm"]], part.of(row["algorithm"])
    cell = written_cell(part.suite, row["algorithm"], seed=0)
    if len({value.split for value in part.published}) > 1:
        name += f", {row['split']}"
    if len({value.step for value in values if value.split == row["split"]}) > 1:
        step = cell.evaluation.steps if pd.isna(row["step"]) else int(row["step"])
        name += f", {step} step{'s' * (step != 1)}"
    records = [found.records[seed] for seed in sorted(found.records)]
    environments = [read_json(record.folder / "environment.json") for record in records]
    return {
        "column": part.column,
        "row": name,
        "suite": part.suite.name,
        "iterations": cell.training.iterations,
        "configurations": " ".join(f"{record.marker['seed']}-{record.marker['hash']}" for record in records),
        "device": ", ".join(dict.fromkeys(str(one.get("device")) for one in environments)),
        "torch": ", ".join(dict.fromkeys(str(one.get("torch")) for one in environments)),
        "commit": ", ".join(dict.fromkeys(str(one.get("commit") or one.get("code")) for one in environments)),
    }


def _trained_so(cell: Cell, config: Mapping[str, Any]) -> bool:
    """Whether a record was trained as the cell states, whatever its seed, its iterations and its data."""

    def what_counts(identity: Mapping[str, Any]) -> dict[str, Any]:
        about = {"training_classes": "train", **_without(identity, {"seed", "data", "revisions"})}
        return about | {"training": _without(identity["training"], {"iterations"})}

    return _agrees(what_counts(cell.stated), what_counts(config))


def _scored_so(cell: Cell, split: Mapping[str, Any], marker: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether a record's score of a split is what the cell and the split state."""
    evaluation, known = cell.evaluation.model_dump(), marker["evaluation"]
    about = {"role", "optional", "episodes"}
    headline = (known.get("metrics") or [cell.suite.kind.metric.name])[0]
    return (
        headline == cell.suite.metrics[0].name
        and _agrees(_without(split, about), _without(stored, about))
        and _agrees(_without(evaluation, ELSEWHERE), _without(known, ELSEWHERE))
        and (split["episodes"] or evaluation["episodes"]) == (stored["episodes"] or known["episodes"])
    )


def _agrees(stated: Any, stored: Any, key: str = "") -> bool:
    """Whether two settings are the same, but for defaults; one that a record does not know was off when it was made."""
    if isinstance(stated, Mapping) and isinstance(stored, Mapping):
        further = not set(stored) <= set(stated) and key not in WITH_DEFAULTS
        return not further and all(_agrees(value, stored.get(name), name) for name, value in stated.items())
    return stated == stored or (stored is None and not stated)


def _without(table: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}
