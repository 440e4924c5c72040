"""Many cells of a second each, run as any cell is: what it takes to run them, beside their own time.

Each cell sleeps for its second and writes made-up records, so that all the rest is what is measured: processes that are
started, leases, records that are written and looked at again, and what people see.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from metagap.errors import CellError
from metagap.executors import Event, Executor, Progress, attempt, pool
from metagap.executors.running import run_cells
from metagap.machine import Machine
from metagap.results.lease import hold
from metagap.speed.report import write_cell
from metagap.suite import Cell, expand, load_suite, with_algorithms, with_seeds

SUITE, ALGORITHM = "quickstart", "scratch"
SECONDS = 1.0
"""Of a cell."""


class Overhead(NamedTuple):
    """What cells took that sleep for a second each."""

    cells: int
    workers: int
    seconds: float
    cpu_seconds: float
    """Of all processes."""

    @property
    def ratio(self) -> float:
        """Of the time to that of sleeping alone."""
        return self.seconds * self.workers / (self.cells * SECONDS)

    def __str__(self) -> str:
        cpu = f"{1000 * self.cpu_seconds / self.cells:.0f} ms CPU for each"
        what = f"{self.cells} cells of {SECONDS:g} s by {self.workers} workers"
        return f"{what}: {self.seconds:.1f} s, {self.ratio:.3f} times what sleeping takes; {cpu}"


def measure(count: int, workers: int, console: Console) -> Overhead:
    """Run that many cells. Raises CellError where one fails."""
    cells = expand(with_seeds(with_algorithms(load_suite(SUITE), [ALGORITHM]), list(range(count))))
    executor = Executor(name="asleep", about="Cells that sleep.", run=_run)
    with tempfile.TemporaryDirectory() as folder:
        started, before = time.monotonic(), _cpu()
        failed = run_cells(cells, Path(folder), Machine(workers=workers, cores=workers), console, executor)
        seconds, cpu = time.monotonic() - started, _cpu() - before
    if failed:
        raise CellError(f"{failed[0].name}: {failed[0].line}")
    return Overhead(count, workers, seconds, cpu)


def _run(cells: Sequence[Cell], store: Path, machine: Machine, verbose: bool) -> Iterator[tuple[int, Event]]:
    starts = [partial(attempt.start, machine.worker("cpu", 1), verbose)] * (machine.workers or 1)
    return pool.run([(cell, store) for cell in cells], _sleep, starts)


def _sleep(job: tuple[Cell, Path], cores: int, tell: Callable[[Event], None]) -> None:
    (cell, store), steps = job, 10
    with hold(cell.folder(store)) as lease:
        for step in range(steps):
            time.sleep(SECONDS / steps)
            lease.tell("training", step + 1, steps)
            tell(Progress("training", step + 1, steps))
        write_cell(cell, store, episodes=1)


def _cpu() -> float:
    """Seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
