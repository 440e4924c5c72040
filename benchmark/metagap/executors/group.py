"""A group of cells that one job of a cluster runs; what happens is written to a file, by which others follow it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from metagap import stopping
from metagap.executors.executor import Again, Done, Event, Executor, Failure, Held, Progress, Remark
from metagap.executors.local import LOCAL
from metagap.machine import Machine, count_cores
from metagap.suite import Cell

KINDS: dict[str, type] = {kind.__name__: kind for kind in (Progress, Remark, Again, Done, Failure)}
EVERY = 2.0
"""Seconds between two lines on the progress of one cell."""


@dataclass(frozen=True)
class Group:
    """Cells that a job runs as `local` does on its host, with what it has of cores and GPUs.

    Run again, as after a preemption, it goes on with the cells that have not come to an end.
    """

    cells: tuple[Cell, ...]
    store: Path
    """Absolute; a folder that all hosts see."""
    machine: Machine
    """As it was asked for."""
    verbose: bool
    path: Path
    """The file of events."""

    def __call__(self) -> None:
        """Run the cells, with a log on standard output; failures are recorded in the store."""
        from metagap.executors.running import run_cells

        signal.signal(signal.SIGTERM, _stop)
        told = dict[int, Event]()
        for number, event in Events(self.path).new():
            told[number] = event
        left = [n for n in range(len(self.cells)) if not isinstance(told.get(n), Done | Failure)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n")  # ends the half line of one that was killed
        for number in left:
            if number in told:
                self._tell(number, Again("its job was stopped and queued again"))
        ended = set[int]()
        cells, names = [self.cells[n] for n in left], [str(self.cells[n]) for n in left]
        machine = replace(self.machine, cores=count_cores(), workers=None)
        executor = Executor(name="local", about=LOCAL.about, run=partial(self._run, ended))
        # Whoever submitted this has left out what would fail again.
        run_cells(cells, self.store, machine, Console(width=120), executor, self.verbose, names, retry=True)
        for number in set(left) - ended:  # what another process had in work was waited for
            self._tell(number, Done(0.0, elsewhere=True))

    def checkpoint(self) -> Any:
        """What submitit is to run when the job is queued again; called at the end of its time."""
        from submitit.helpers import DelayedSubmission

        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # comes with that, and is for the workers
        return DelayedSubmission(self)

    def _run(self, ended: set[int], cells: Sequence[Cell], *given: Any) -> Iterator[tuple[int, Event]]:
        """What `local` tells of some of the cells, written down; `ended` gets the numbers of those that have ended."""
        numbers, last = {id(cell): number for number, cell in enumerate(self.cells)}, dict[int, float]()
        for place, event in LOCAL.events(cells, *given):
            number = numbers[id(cells[place])]
            if isinstance(event, Done | Failure):
                ended.add(number)
            often = isinstance(event, Progress) and time.monotonic() - last.get(number, 0.0) < EVERY
            if not (often or isinstance(event, Held)):
                last[number] = time.monotonic()
                self._tell(number, event)
            yield place, event

    def _tell(self, number: int, event: Event) -> None:
        line = json.dumps([number, type(event).__name__, *event])
        with self.path.open("a", encoding="utf-8") as file:  # closed again, so that other hosts see it
            file.write(f"{line}\n")


class Events:
    """Reads a file of events as it grows."""

    def __init__(self, path: Path):
        self._path, self._read = path, 0

    def new(self) -> Iterator[tuple[int, Event]]:
        """What has been written since it was called last: the place of a cell in its group, and what happened to it."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                lines, newline, _ = file.read().rpartition(b"\n")
        except OSError:  # its job has not begun
            return
        self._read += len(lines + newline)
        for line in lines.splitlines():
            try:
                number, kind, *values = json.loads(line)
                event = KINDS[kind](*values)
                yield number, event._replace(at=event.at and Progress(*event.at)) if kind == "Failure" else event
            except (ValueError, KeyError, TypeError):  # half a line
                continue


def _stop(signum: int, frame: FrameType | None) -> None:
    """The workers get this signal too, or are sent it, and are waited for."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"{time.strftime('%H:%M:%S')} told to stop; what runs saves its state", flush=True)
    raise stopping.Stopped
