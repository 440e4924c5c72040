"""The cells of a sweep, run together."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from metagap.errors import UserError
from metagap.executors.executor import Executor
from metagap.executors.running import CellFailure, run_cells
from metagap.machine import Machine
from metagap.results import Part, Plan, survey
from metagap.runner.cell import unfinished
from metagap.runner.preflight import check
from metagap.suite import Cell, Sweep, waves


def run_sweep(
    sweep: Sweep,
    store: Path,
    machine: Machine,
    console: Console,
    executor: Executor,
    verbose: bool = False,
    retry: bool = False,
) -> list[CellFailure]:
    """Run what is missing of all members; returns what failed. retry: as in `run_cells`.

    Raises UserError as `missing` does.
    """
    members = zip(sweep.members, sweep.cells, strict=True)
    names = {id(cell): f"{cell}, {sweep.said(member)}" for member, cells in members for cell in cells}
    failed: list[CellFailure] = []
    for part in missing(sweep, store, console):
        called = [names[id(cell)] for cell in part]
        failed += run_cells(part, store, machine, console, executor, verbose, called, retry)
    return failed


def missing(sweep: Sweep, store: Path, console: Console) -> list[list[Cell]]:
    """The cells of all members that are not done, those that are the same once, in parts that follow each other.

    Everything that would stop a cell is looked for before the first is run. Raises UserError with the values.
    """
    members = list(zip(sweep.members, sweep.cells, strict=True))
    parts = waves([cell for _, cells in members for cell in cells])
    every, pending = sum(map(len, parts)), [unfinished(part, store) for part in parts]
    left = {id(cell) for part in pending for cell in part}
    if len(left) < every:
        console.print(f"{every - len(left)} of {every} cells are already done.")
    notes = survey(store / sweep.first.name).notes if left else []
    with console.status("looking at all members before the first is run"):
        for member, cells in members:
            if its := [cell for cell in cells if id(cell) in left]:
                try:
                    notes += check(its)
                except UserError as error:
                    raise UserError(f"{sweep.said(member)}: {error}") from None
    for note in dict.fromkeys(notes):
        console.print(f"Note: {note}", markup=False)
    return [part for part in pending if part]


def plan_of(sweep: Sweep) -> Plan:
    """What is to be read of a sweep that was run."""
    pairs = zip(sweep.members, sweep.cells, strict=True)
    members = (Part(one.values, cells[0].variant, frozenset(cell.hash for cell in cells)) for one, cells in pairs)
    return Plan(sweep.axes, tuple(members), sweep.first.reference)
