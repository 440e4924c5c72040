"""Cells that other processes have in work: waited for, and run if these end without having finished them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from metagap.executors.executor import Done, Event, Executor, Held, Progress
from metagap.machine import Machine
from metagap.results.lease import BEAT, Watch

if TYPE_CHECKING:
    from metagap.suite import Cell

POLL = 1.0
"""Seconds between two looks at what others have in work; more where that are hundreds of cells."""
TOGETHER = 2 * BEAT
"""Seconds for which it is seen what else becomes free, as all that a host had in work when it went down."""


def until_ended(
    executor: Executor,
    cells: Sequence[Cell],
    store: Path,
    machine: Machine,
    verbose: bool,
    is_done: Callable[[Cell, Path], bool],
) -> Generator[tuple[int, Event], None, None]:
    """What an executor tells of cells, until each of them has ended, here or elsewhere.

    One that another process has in work comes last. `Held` says who that is, and `Progress` how far it is. Once that
    process has ended, or was silent for its term, the cell is `Done`, or the executor is called again with it.
    """
    watches = [Watch(cell.folder(store)) for cell in cells]
    ready, held = list(range(len(cells))), set[int]()
    while ready or held:
        for number in ready:  # looked at first, for it may take an executor long to come to a cell
            if not watches[number].is_free():
                held.add(number)
                yield number, Held(str(watches[number].lease))
        if ready := [number for number in ready if number not in held]:
            with closing(executor.events([cells[number] for number in ready], store, machine, verbose)) as told:
                for place, event in told:
                    if isinstance(event, Held):
                        held.add(ready[place])
                    yield ready[place], event
        ready, until = [], float("inf")
        while held and time.monotonic() < until:
            time.sleep(max(POLL, len(held) / 100))
            for number in sorted(held):
                watch = watches[number]
                if not watch.is_free():
                    if (lease := watch.lease) is not None and lease.phase:
                        yield number, Progress(f"{lease.phase} on {lease.host}", lease.done, lease.total)
                    continue
                held.remove(number)
                if is_done(cells[number], store):
                    yield number, Done(0.0, elsewhere=True)
                else:
                    ready.append(number)
                    until = min(until, time.monotonic() + TOGETHER)
