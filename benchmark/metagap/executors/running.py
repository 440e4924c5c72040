"""Many cells run by an executor: watched, and their failures recorded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape

from metagap import results
from metagap.errors import CellError, UserError
from metagap.executors.display import Display
from metagap.executors.executor import Again, Done, Executor, Failure, Held, Progress, Remark
from metagap.executors.local import LOCAL
from metagap.executors.waiting import until_ended
from metagap.machine import Machine
from metagap.runner.cell import is_done
from metagap.suite import Cell


class CellFailure(NamedTuple):
    """A cell that failed: what is said of it, and whether it is bad input."""

    name: str
    failed: results.Failed
    is_bad_input: bool


def run_cells(
    cells: Sequence[Cell],
    store: Path,
    machine: Machine,
    console: Console,
    executor: Executor = LOCAL,
    verbose: bool = False,
    names: Sequence[str] = (),
) -> list[CellFailure]:
    """Run cells that are not done; returns those that failed. names: what they are called, if not by themselves.

    Every task is computed on one CPU thread, so that results do not depend on how many run at the same time, or where.
    What was started ends with this process, however that ends. verbose: print what the engine has to say.
    A cell that fails keeps no other from being run, and is recorded in its folder. One that another process has in work
    comes last: it is waited for, and taken over if that process dies.
    """
    if not cells:
        return []
    several = len({cell.suite.name for cell in cells}) > 1
    names = names or [f"{cell.suite.name}, {cell}" if several else str(cell) for cell in cells]
    failed: list[CellFailure] = []
    with (
        Display(len(cells), console) as display,
        closing(until_ended(executor, cells, store, machine, verbose, is_done)) as events,
    ):
        for number, event in events:
            cell, name = cells[number], names[number]
            if isinstance(event, Done) and not event.elsewhere and not is_done(cell, store):
                where = cell.folder(store)
                event = Failure(f"executor '{executor.name}' calls it done, but its records are not whole in '{where}'")
            match event:
                case Progress():
                    display.move(name, event)
                case Remark(text):
                    display.say(text, once=True)
                case Again(reason):
                    display.say(f"{name}: {reason}; it is run once more, from its last checkpoint")
                case Held(by):
                    display.say(f"{name} is waited for: {by} has it in work", once=True)
                case Done(seconds, elsewhere):
                    how = "by another process" if elsewhere else f"in {seconds:.0f} s"
                    display.finish(name, f"[green]✓[/] {escape(name)} {how}")
                case Failure(message, is_bad_input, traceback):
                    about = {"label": cell.label, "seed": cell.seed, "variant": cell.variant}
                    record = results.write_failure(cell.folder(store), about, message, traceback)
                    failed.append(CellFailure(name, record, is_bad_input))
                    display.finish(name, f"[red]✗[/] {escape(name)}: {escape(message)}")
    return failed


def error_of(failed: Sequence[CellFailure]) -> UserError | CellError:
    """What is to be raised where cells failed: a UserError where all of them are bad input, else a CellError."""
    if all(one.is_bad_input for one in failed):
        return UserError("\n".join(dict.fromkeys(one.failed.message for one in failed)))
    failures: dict[str, list[CellFailure]] = {}
    for one in failed:
        failures.setdefault(one.failed.message, []).append(one)
    lines = [f"{', '.join(one.name for one in same)}: {same[0].failed}" for same in failures.values()]
    return CellError("\n".join([f"{len(failed)} cell{'s' * (len(failed) > 1)} failed", *lines]))
