"""One cell in this process, which may be a worker of an executor, on any host."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from platformdirs import user_cache_path

from metagap import stopping
from metagap.engine.machines import devices
from metagap.engine.process import set_up
from metagap.executors.executor import Done, End, Event, Failure, Held, Progress, Remark
from metagap.executors.room import Memory
from metagap.machine import Machine, count_cores
from metagap.results.lease import HeldError, LostError
from metagap.runner.cell import run_cell
from metagap.suite import Cell

GRACE = 60.0
"""Seconds after its time limit in which a cell has to come to a checkpoint."""

Tell = Callable[[Progress | Remark], None]
"""What a cell in work is watched by."""

log = logging.getLogger("metagap")


def attempt(cell: Cell, store: Path, machine: Machine, verbose: bool = False, tell: Tell | None = None) -> End:
    """Run what is left to run of a cell, here and now, and give its end; it raises Ctrl-C and `Stopped` alone.

    It can be sent to another process or host, as can all of its arguments. store: a folder that all hosts see. machine:
    as it was asked for; the device and the cores are those of where this runs. tell: is called with what there is to
    see meanwhile; without, remarks go to the error stream. Where another process has the cell in work, the end is
    `Held`, at once. A cell whose process died on this host is taken over; others are waited for by `until_ended`.
    """
    began, last = time.monotonic(), _Last(tell)
    handler = _Forward(last) if tell is not None else logging.StreamHandler()
    try:
        _prepare(own := _here(machine), verbose, handler)
        end = _run(cell, store, own, last)
    except (KeyboardInterrupt, stopping.Stopped):
        raise
    except BaseException as error:  # SystemExit of a plugin, too
        return Failure.of(error)._replace(at=last.progress)
    finally:
        log.removeHandler(handler)
    return end or Done(time.monotonic() - began)


def start(machine: Machine, verbose: bool, tell: Tell) -> None:
    """Make a process of the pool ready; machine: that of this worker."""
    _worker["machine"] = machine
    _prepare(machine, verbose, _Forward(tell))


def work(job: tuple[Cell, Path], cores: int, tell: Callable[[Event | Memory], None]) -> Held | None:
    """Run a cell in a process that was made ready, on that many cores."""
    (cell, store), machine = job, replace(_worker["machine"], cores=cores)
    with _ending_hangs(machine.time_limit, tell):
        held = _run(cell, store, machine, tell)
    if machine.device != "cpu":
        tell(Memory(torch.cuda.max_memory_reserved(), torch.cuda.mem_get_info()[1]))
    return held


@contextmanager
def _ending_hangs(limit: float | None, tell: Callable[[Failure], None]) -> Iterator[None]:
    """End this process where a cell does not look at the time itself, as in a plugin that never returns."""
    if limit is None:
        yield
        return

    def end() -> None:
        tell(Failure(f"it hung: --time-limit, {limit:g} s, was over {GRACE:g} s ago", kind="timed out"))
        os._exit(1)

    timer = threading.Timer(limit + GRACE, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_worker: dict[str, Machine] = {}


def _here(machine: Machine) -> Machine:
    """What one process here has of a machine that was asked for."""
    asked = machine.device in ("auto", "cuda")
    device = devices(replace(machine, workers=1))[0] if asked else machine.device
    return replace(machine, device=device, workers=1, cores=min(machine.cores, count_cores()))


def _prepare(machine: Machine, verbose: bool, handler: logging.Handler) -> None:
    set_up()
    if machine.device != "cpu":
        torch.cuda.set_device(machine.device)
    handler.setLevel(logging.INFO if verbose else logging.WARNING)
    log.addHandler(handler)
    # What torch compiles is kept between runs.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache_path("metagap") / "compiled"))
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


def _run(cell: Cell, store: Path, machine: Machine, tell: Tell) -> Held | None:
    told, now = 0.0, None

    def report(phase: str, done: int, total: int) -> None:
        nonlocal told, now
        if phase != "training":  # which saves its state before it stops
            stopping.obey()
        now = Progress(phase, done, total)
        if time.monotonic() - told > 0.1 or done == total:
            told = time.monotonic()
            tell(now)

    try:
        run_cell(cell, store, machine, report)
    except HeldError as error:
        if isinstance(error, LostError):
            tell(Remark(str(error)))
        return Held(str(error.lease or "another process"))
    except Exception:
        if now is not None:  # where it failed, to the iteration
            tell(now)
        raise
    return None


class _Last:
    """Tells on, and knows how far the cell is."""

    def __init__(self, tell: Tell | None):
        self._tell = tell
        self.progress: Progress | None = None

    def __call__(self, event: Progress | Remark) -> None:
        if isinstance(event, Progress):
            self.progress = event
        if self._tell is not None:
            self._tell(event)


class _Forward(logging.Handler):
    def __init__(self, tell: Tell):
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(Remark(record.getMessage()))
