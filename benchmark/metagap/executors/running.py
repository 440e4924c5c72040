"""Many cells run by an executor: watched, and their failures recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
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
from metagap.runner.environment import PACKAGE, code
from metagap.runner.log import NAME as LOG
from metagap.runner.train import last_checkpoint
from metagap.suite import Cell


class CellFailure(NamedTuple):
    """A cell that failed: what is said of it, and whether it is bad input."""

    name: str
    failed: results.Failed
    is_bad_input: bool
    log: Path | None = None

    @property
    def line(self) -> str:
        """What happened, and where more of it can be read."""
        return f"{self.failed}; log: {self.log}" if self.log is not None else str(self.failed)


def run_cells(
    cells: Sequence[Cell],
    store: Path,
    machine: Machine,
    console: Console,
    executor: Executor = LOCAL,
    verbose: bool = False,
    names: Sequence[str] = (),
    retry: bool = False,
) -> list[CellFailure]:
    """Run cells that are not done; returns those that failed. names: what they are called, if not by themselves.

    Every task is computed on one CPU thread, so that results do not depend on how many run at the same time, or where.
    What was started ends with this process, however that ends. verbose: print what the engine has to say.
    A cell that fails keeps no other from being run, and is recorded in its folder. One that another process has in work
    comes last: it is waited for, and taken over if that process dies. retry: also those that failed before and would
    fail again.
    """
    if not cells:
        return []
    several = len({cell.suite.name for cell in cells}) > 1
    names = names or [f"{cell.suite.name}, {cell}" if several else str(cell) for cell in cells]
    failed: list[CellFailure] = []
    if not retry:
        known = [lasting(cell, store, machine) for cell in cells]
        failed = [CellFailure(name, one, False) for name, one in zip(names, known, strict=True) if one]
        for one in failed:
            console.print(
                f"[red]✗[/] {escape(one.name)} failed on {results.minute(one.failed.when)} and is not tried again, for "
                f"it would fail in the same way (--retry-failed tries it): {escape(one.failed.reason)}"
            )
        left = [number for number, one in enumerate(known) if not one]
        cells, names = [cells[number] for number in left], [names[number] for number in left]
        if not cells:
            return failed
    at: dict[int, Progress] = {}
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
                    at[number] = event
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
                    seen = _failed(cell, event, event.at or at.get(number), store, machine)
                    record = results.write_failure(cell.folder(store), seen, traceback)
                    log = cell.folder(store) / LOG
                    failed.append(CellFailure(name, record, is_bad_input, log if log.is_file() else None))
                    display.finish(name, f"[red]✗[/] {escape(name)}: {escape(message)}")
    return failed


def _failed(cell: Cell, failure: Failure, at: Progress | None, store: Path, machine: Machine) -> results.Failed:
    """What is recorded of a failure."""
    return results.Failed(
        cell.label,
        cell.seed,
        cell.variant,
        datetime.now(UTC).isoformat(),
        failure.message,
        hash=cell.hash,
        kind=failure.kind,
        checkpoint=last_checkpoint(cell.folder(store)),
        code=code(PACKAGE),
        limit=machine.time_limit if failure.kind == "timed out" else None,
        **({} if at is None else {"phase": at.phase, "done": at.done, "total": at.total}),
    )


def lasting(cell: Cell, store: Path, machine: Machine) -> results.Failed | None:
    """The recorded failure of a cell that would fail in the same way again; None where it may be run.

    That is one of the code that has not changed since, and a time limit that is no longer than the one before. A cell
    with other settings or data is another one, or of another variant.
    """
    one = results.read_failure(cell.folder(store))
    if one is None or one.variant != cell.variant:
        return None
    same_error = one.kind == "error" and one.code == code(PACKAGE)
    same_limit = one.kind == "timed out" and machine.time_limit is not None and machine.time_limit <= (one.limit or 0)
    return one if same_error or same_limit else None


def diverged(failed: Iterable[results.Failed], values: str = "") -> Iterator[CellFailure]:
    """Of these, the cells that have results, but of meta-parameters that are no numbers. values: of a sweep."""
    for one in failed:
        if one.kind == "diverged":
            yield CellFailure(f"{one.label} seed {one.seed}{values}", one, False)


def error_of(failed: Sequence[CellFailure]) -> UserError | CellError:
    """What is to be raised where cells failed: a UserError where all of them are bad input, else a CellError."""
    if all(one.is_bad_input for one in failed):
        return UserError("\n".join(dict.fromkeys(one.failed.message for one in failed)))
    lines = [f"{one.name}: {one.line}" for one in failed]
    return CellError("\n".join([f"{len(failed)} cell{'s' * (len(failed) > 1)} failed", *lines]))
