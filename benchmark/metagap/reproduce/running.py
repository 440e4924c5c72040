"""Running what the store lacks of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from metagap.errors import UserError
from metagap.executors import Executor
from metagap.executors.local import LOCAL
from metagap.executors.running import CellFailure, run_cells
from metagap.machine import Machine
from metagap.reproduce.paper_table import PaperColumn, PaperTable
from metagap.reproduce.reading import Hashes, find
from metagap.runner.preflight import check
from metagap.runner.score import missing
from metagap.suite import Cell, Split, expand, load_suite, with_algorithms, with_budget, with_seeds


@dataclass(frozen=True)
class Work:
    """The cells of one part of a table, which of them the store lacks, and what records are known by.

    Where data are missing, which is no matter as long as nothing lacks, records count whatever their data were.
    """

    part: PaperColumn
    cells: list[Cell]
    lacking: list[Cell]
    known: Hashes

    @property
    def data(self) -> list[tuple[Split, bool]]:
        """Everything that data are read for: meta-training and the splits, and whether the table needs it."""
        suite, published = self.cells[0].suite, {value.split for value in self.part.published}
        training = Split(name="meta-training", role="meta-train", source=suite.source)
        splits = [(split, not split.optional or split.name in published) for split in suite.splits]
        return [(training, True), *splits]


def work(table: PaperTable, store: Path, seeds: Sequence[int] | None) -> list[Work]:
    """The cells behind a table; the store lacks one unless it has every value that the table needs of it."""
    return [_work(part, table.budget, store, seeds) for part in table.parts]


def hashes(todo: Sequence[Work]) -> Hashes:
    """What the cells are known by, and the data of their splits."""
    return {key: data for one in todo for key, data in one.known.items()}


def run(
    todo: Sequence[Work],
    store: Path,
    machine: Machine,
    console: Console,
    executor: Executor = LOCAL,
    verbose: bool = False,
    retry: bool = False,
) -> list[CellFailure]:
    """Run what is lacking, the first seeds of all suites first; arguments and result are those of `run_cells`.

    Raises UserError, before anything is run, where data are missing.
    """
    pending = sorted((cell for one in todo for cell in one.lacking), key=lambda cell: cell.seed)
    total = sum(len(one.cells) for one in todo)
    console.print(f"{total} cells, of which {total - len(pending)} are done")
    if faults := list(dict.fromkeys(fault for one in todo if one.lacking for fault in _faults(one))):
        hint = "`metagap data get NAME` fetches data, --cells leaves columns out, --dry-run says what is here"
        raise UserError("\n".join([*faults, hint]))
    return run_cells(pending, store, machine, console, executor, verbose, retry=retry)


def _work(part: PaperColumn, budget: float, store: Path, seeds: Sequence[int] | None) -> Work:
    suite = with_algorithms(load_suite(part.file), part.rows)
    suite = with_budget(suite, budget) if budget != 1 else suite
    suite = with_seeds(suite, list(seeds)) if seeds else suite
    cells = expand(suite)
    absent = cells[0].training_data is None
    known = {cell.hash: cell.split_data for cell in cells}
    there = {label: find(store, part, label, suite.seeds, None if absent else known).records for label in part.rows}
    if absent:
        known = {record.marker["hash"]: {} for records in there.values() for record in records.values()}

    def lacks(cell: Cell) -> bool:
        record = there[cell.label].get(cell.seed)
        return record is None or not set(part.splits(cell.label)) <= set(record.files)

    return Work(part, cells, [cell for cell in cells if lacks(cell)], known)


def _faults(one: Work) -> Iterator[str]:
    """What would stop the cells of a part."""
    absent = [fault for split, needed in one.data if needed and (fault := missing(split))]
    if not absent:
        try:
            check(one.lacking)
        except UserError as error:
            absent = [str(error)]
    yield from (f"{one.part.column}: {fault}" for fault in absent)
