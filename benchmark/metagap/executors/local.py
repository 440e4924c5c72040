"""Worker processes on this machine, the default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from metagap.executors.executor import Event, Executor
from metagap.executors.room import Memory, Room, side_by_side
from metagap.machine import Machine

if TYPE_CHECKING:
    from metagap.suite import Cell


def _run(cells: Sequence[Cell], store: Path, machine: Machine, verbose: bool) -> Iterator[tuple[int, Event]]:
    """Cells in as many processes as there are devices, and side by side on a GPU that has room for it.

    One whose process is killed is run once more.
    """
    from metagap.engine.machines import devices
    from metagap.executors import attempt, pool

    chosen = devices(machine)
    # How much of a GPU the processes of a cell on several devices take is not seen here.
    asked = machine.workers is not None or machine.devices_per_cell > 1
    room = Room(chosen if asked else side_by_side(chosen, machine.cores), limited=not asked)
    places = room.places[: len(cells)]
    starts = [partial(attempt.start, machine.worker(device, len(places)), verbose) for device in places]
    jobs = [(cell, store) for cell in cells]
    for number, event in pool.run(jobs, attempt.work, starts, machine.cores, room.admits):
        if isinstance(event, Memory):
            room.saw(event)
        else:
            yield number, event


def _where(machine: Machine) -> str:
    from metagap.engine.machines import devices

    return ", ".join(sorted(set(devices(machine))))


LOCAL = Executor(
    name="local",
    about="Processes on this machine, one for each core or GPU.",
    run=_run,
    where=_where,
)
