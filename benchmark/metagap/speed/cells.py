"""Many cells of a second each, run as any cell is: what it takes to run them, beside their own time.

Each cell writes made-up records and sleeps for the rest of its second, so that all else is what is measured: processes
that are started, leases, records that are looked at again, and what people see.
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
    """What cells of a second took."""

    cells: int
    workers: int
    seconds: float
    first: float
    """Of these, the seconds until the first cell had begun, as its process was started."""
    cpu_seconds: float
    """Of all processes."""

    @property
    def ratio(self) -> float:
        """Of the time to that of the cells alone."""
        return self.seconds * self.workers / (self.cells * SECONDS)

    def __str__(self) -> str:
        cpu = f"{1000 * self.cpu_seconds / self.cells:.0f} ms CPU for each"
        what = f"{self.cells} cells of {SECONDS:g} s by {self.workers} workers"
        began = f"{self.first:.1f} s until the first began"
        return f"{what}: {self.seconds:.1f} s, {self.ratio:.3f} times that; {began}; {cpu}"


def measure(count: int, workers: int, console: Console) -> Overhead:
    """Run that many cells. Raises CellError where one fails."""
    cells = expand(with_seeds(with_algorithms(load_suite(SUITE), [ALGORITHM]), list(range(count))))
    times: list[float] = []

    def run(cells: Sequence[Cell], store: Path, machine: Machine, verbose: bool) -> Iterator[tuple[int, Event]]:
        starts = [partial(attempt.start, machine.worker("cpu", 1), verbose)] * workers
        for number, event in pool.run([(cell, store) for cell in cells], _sleep, starts):
            times.append(time.monotonic())
            yield number, event

    executor = Executor(name="asleep", about="Cells that sleep.", run=run)
    with tempfile.TemporaryDirectory() as folder:
        started, before = time.monotonic(), _cpu()
        failed = run_cells(cells, Path(folder), Machine(workers=workers), console, executor)
        seconds, cpu = time.monotonic() - started, _cpu() - before
    if failed:
        raise CellError(f"{failed[0].name}: {failed[0].line}")
    return Overhead(count, workers, seconds, times[0] - started, cpu)


def _sleep(job: tuple[Cell, Path], cores: int, tell: Callable[[Event], None]) -> None:
    (cell, store), steps, began = job, 10, time.monotonic()
    with hold(cell.folder(store)) as lease:
        tell(Progress("training", 0, steps))
        write_cell(cell, store, episodes=1)
        for step in range(steps):
            time.sleep(max(0.0, began + SECONDS * (step + 1) / steps - time.monotonic()))
            lease.tell("training", step + 1, steps)
            tell(Progress("training", step + 1, steps))


def _cpu() -> float:
    """Seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
