"""Single bits of a finished store that are flipped: each has to be noticed, or to change no number."""

from __future__ import annotations

import logging
import os
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from metagap import digests, results
from metagap.errors import UserError
from metagap.results import index, lease
from metagap.results.verify import verify
from metagap.runner.cell import is_done, run_cell, unfinished
from metagap.selftest import tiny
from metagap.suite import Cell, expand, load_suite

KINDS = {
    "checkpoint": r".*/checkpoint\.pt",
    "snapshot": r".*/snapshots/.*",
    "marker": r".*/done-.*",
    "configuration": r".*/config\.json",
    "environment": r".*/environment\.json",
    "attempts": r".*/attempts\.json",
    "training curve": r".*/curve\.parquet",
    "evaluation": r".*/evaluation/.*\.parquet",
    "classes": r".*/evaluation/.*-classes\.npz",
    "sample": r".*/evaluation/.*\.npz",
    "scores along training": r".*/along/.*\.parquet",
    "quantity": r".*/quantities/.*\.parquet",
    "receipt": r".*/(evaluation|along|quantities)/.*\.json",
    "failure": r".*/failed\.json",
    "traceback": r".*/traceback\.txt",
    "log": r".*/log\.txt",
    "lease": r".*/\.lease/.*",
    "index": re.escape(index.NAME),
    "own.json": r"own\.json",
}
"""Every kind of file, by the pattern of its path; the first that fits counts."""
OTHER = "other"
FAILED = f"{tiny.NAME}/fomaml/1-0123456789"
"""The folder of a cell that failed."""
OF_TRAINING = ("checkpoint", "snapshot", "receipt")
"""Kinds that are read where a cell is resumed alone."""
BATCH = 20
"""Copies that are made at a time: an index remembers what was not changed for a while."""


@dataclass
class Tally:
    """What came of it: how often a bit of each kind of file was flipped, found by `metagap results verify`, noticed,
    mended by the next run, or harmless; and the faults, which are the numbers that were changed in silence."""

    flips: Counter[str] = field(default_factory=Counter)
    verified: Counter[str] = field(default_factory=Counter)
    noticed: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    harmless: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def flip(count: int, seed: int, folder: Path, advance: Callable[[], None]) -> Tally:
    """Flip so many bits, each in a store of its own, and look what reports and the next run make of it.

    folder: an empty one. To be called in a process without other threads, for it forks.
    """
    chance, tally = random.Random(seed), Tally()
    cells, store = _finished(folder)
    good = _Seen.of(store)
    kinds = [kind for kind in (*KINDS, OTHER) if files_of(store, kind, cells)]
    chosen = [kind for _ in range(-(-count // len(kinds))) for kind in chance.sample(kinds, len(kinds))][:count]
    for start in range(0, count, BATCH):
        batch = chosen[start : start + BATCH]
        copies = [folder / f"copy-{number}" for number in range(len(batch))]
        for copy in copies:
            shutil.copytree(store, copy)
        time.sleep(1.1 * index.TICK / 1e9)
        for copy, kind in zip(copies, batch, strict=True):
            unfinished(cells, copy)  # which the index remembers
            path = chance.choice(files_of(copy, kind, cells))
            bit = chance.randrange(8 * path.stat().st_size)
            _flip(path, bit)
            tally.flips[kind] += 1
            _look(tally, kind, f"bit {bit} of '{path.relative_to(copy)}'", copy, path, cells, good)
            shutil.rmtree(copy)
            advance()
    return tally


def files_of(store: Path, kind: str, cells: list[Cell]) -> list[Path]:
    """The files of a kind in a store, of these cells or of the suite."""
    top = store / tiny.NAME
    folders = [top, store / FAILED, *(cell.folder(store) for cell in cells)]
    paths = (path for folder in folders for path in sorted(folder.glob("**/*" if folder != top else "*")))
    return [path for path in paths if path.is_file() and kind_of(path.relative_to(top).as_posix()) == kind]


def kind_of(name: str) -> str:
    """The kind of a file, by its path in the folder of its suite."""
    return next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name)), OTHER)


def _finished(folder: Path) -> tuple[list[Cell], Path]:
    """The cells of the suite, and a store with them; with another variant of it that was run later, a failed cell, and
    what a process left behind that died."""
    suite, store = str(tiny.write(folder)), folder / "finished"
    cells = expand(load_suite(suite))
    for cell in cells:
        run_cell(cell, store, tiny.MACHINE)
    _own(cells, store)
    for cell in expand(load_suite(suite, ["training.iterations=3"])):
        run_cell(cell, store, tiny.MACHINE)
    when = "2026-01-01T00:00:00+00:00"
    failed = results.Failed(
        "fomaml", 1, cells[0].variant, when, "ValueError('no idea')", kind="error", phase="training"
    )
    results.write_failure(store / FAILED, failed, "Traceback ...")
    if (child := os.fork()) == 0:
        with lease.hold(cells[0].folder(store)):
            os._exit(0)
    os.waitpid(child, 0)
    return cells, store


def _own(cells: list[Cell], store: Path) -> None:
    results.write_own(store / tiny.NAME, cells[0].variant, {cell.hash for cell in cells}, cells[0].suite.reference)


def _flip(path: Path, bit: int) -> None:
    """In place, with the time of before, as a disk does it."""
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _look(tally: Tally, kind: str, what: str, store: Path, path: Path, cells: list[Cell], good: _Seen) -> None:
    """Read the store, run what is to be run, read it again, and count what came of it."""
    flipped = path.read_bytes()
    verified = any(fault.path == path for one in verify(store, tiny.NAME) for fault in one.faults)
    before = _Seen.of(store)
    said = _run(cells, store, kind)
    after = _Seen.of(store)
    for seen, when in ((before, "before"), (after, "after")):
        if wrong := seen.silently_other(good):
            tally.faults.append(f"{what}: {when} the next run, {', '.join(wrong)} in silence")
    gone = not path.is_file() or path.read_bytes() != flipped
    tally.verified[kind] += verified
    tally.noticed[kind] += bool(before.notes - good.notes or said)
    tally.mended[kind] += gone and after == good
    tally.harmless[kind] += before == good and not said and not gone and not verified


def _run(cells: list[Cell], store: Path, kind: str) -> list[str]:
    """Run what is not done, and what the files of this kind are read for; returns what was logged."""
    if kind in OF_TRAINING:
        for path in files_of(store, "marker", cells):
            path.unlink()
    said: list[str] = []
    handler = _Kept(said)
    log = logging.getLogger("metagap")
    log.addHandler(handler)
    try:
        for cell in cells:
            if not is_done(cell, store):
                run_cell(cell, store, tiny.MACHINE)
    finally:
        log.removeHandler(handler)
    _own(cells, store)
    return said


class _Kept(logging.Handler):
    def __init__(self, said: list[str]):
        super().__init__(logging.WARNING)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(record.getMessage())


@dataclass(frozen=True)
class _Seen:
    """What a report shows: numbers by what they are of, as digests; of which variant they are, and notes."""

    numbers: dict[tuple[Any, ...], str]
    notes: frozenset[str]
    variant: str = ""

    @classmethod
    def of(cls, store: Path) -> _Seen:
        try:
            found = results.read(store, tiny.NAME)
        except UserError as error:
            return cls({}, frozenset({str(error)}))
        notes = frozenset(note.replace(str(store), "") for note in found.notes)
        return cls(dict(_numbers(found)), notes, found.variant)

    def silently_other(self, good: _Seen) -> list[str]:
        """What is another one, or is not there and no note says so."""
        said = self.notes != good.notes
        if self.variant != good.variant:
            return (
                [] if not self.numbers or any("own.json" in note for note in self.notes) else ["the variant is another"]
            )
        other = [key for key, value in self.numbers.items() if good.numbers.get(key) != value]
        if said:  # of a failure whose record is damaged
            other = [key for key in other if key[0] != "failed"]
        lost = [] if said else good.numbers.keys() - self.numbers.keys()
        return [*(f"{key} is another one" for key in other), *(f"{key} is lost" for key in lost)]


def _numbers(found: results.Results) -> Iterator[tuple[tuple[Any, ...], str]]:
    tables: dict[str, tuple[pd.DataFrame, list[str]]] = {
        "episodes": (found.episodes, ["algorithm", "seed", "split"]),
        "curve": (found.curves, ["algorithm", "seed"]),
        "along": (found.along, ["algorithm", "seed", "split"]),
        "quantity": (found.quantities, ["algorithm", "seed", "quantity"]),
    }
    for name, (frame, keys) in tables.items():
        plain = frame.drop(columns=[column for column in frame if column in tiny.COSTS])
        for key, rows in plain.groupby(keys):
            yield (name, *key), digests.of_text(rows.to_csv(index=False))
    for row in found.cells.to_dict("records"):  # whose numbers are floats where others lack one
        told = {str(key): value for key, value in row.items() if key not in tiny.COSTS and not pd.isna(value)}
        told = {key: f"{value:.9g}" if isinstance(value, float | int) else str(value) for key, value in told.items()}
        yield ("cell", row["algorithm"], row["seed"]), repr(sorted(told.items()))
    for key, classes in found.classes.items():
        yield ("classes", *key), digests.of_bytes(classes.tobytes())
    for split, sample in found.samples.items():
        yield ("sample", split), digests.of_text(repr([(key, value.tolist()) for key, value in sample.items()]))
    for one in found.failed:
        yield ("failed", one.label, one.seed), digests.of_text(repr(one._replace(traceback=None)))
    yield ("metrics",), repr([metric.described([found.suite.task.ways]) for metric in found.metrics])
    suite = found.suite.model_dump(exclude={"algorithms", "seeds"})
    yield ("suite",), digests.of_value(suite, sort_keys=True)
