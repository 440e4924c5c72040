"""Worker processes on this machine, the default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from metagap.executors.executor import Event, Executor
from metagap.machine import Machine

if TYPE_CHECKING:
    from metagap.suite import Cell


def _run(cells: Sequence[Cell], store: Path, machine: Machine, verbose: bool) -> Iterator[tuple[int, Event]]:
    """Cells in as many processes as there are devices. One whose process is killed is run once more."""
    from metagap.engine.machines import devices
    from metagap.executors import attempt, pool

    chosen = devices(machine)[: len(cells)]
    starts = [partial(attempt.start, machine.worker(device, len(chosen)), verbose) for device in chosen]
    yield from pool.run([(cell, store) for cell in cells], attempt.work, starts)


def _where(machine: Machine) -> str:
    from metagap.engine.machines import devices

    return ", ".join(sorted(set(devices(machine))))


LOCAL = Executor(
    name="local",
    about="Processes on this machine, one for each core or GPU.",
    run=_run,
    where=_where,
)
