"""One cell in this process, which may be a worker of an executor, on any host."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from platformdirs import user_cache_path

from metagap import stopping
from metagap.engine.machines import devices
from metagap.engine.process import set_up
from metagap.executors.executor import Done, End, Failure, Held, Progress, Remark
from metagap.machine import Machine, count_cores
from metagap.results.lease import HeldError, LostError
from metagap.runner.cell import run_cell
from metagap.suite import Cell

Tell = Callable[[Progress | Remark], None]
"""What a cell in work is watched by."""

log = logging.getLogger("metagap")


def attempt(cell: Cell, store: Path, machine: Machine, verbose: bool = False, tell: Tell | None = None) -> End:
    """Run what is left to run of a cell, here and now, and give its end; it raises Ctrl-C and `Stopped` alone.

    It can be sent to another process or host, as can all of its arguments. store: a folder that all hosts see. machine:
    as it was asked for; the device and the cores are those of where this runs. tell: is called with what there is to
    see meanwhile; without, remarks go to the error stream.
    """
    began = time.monotonic()
    handler = _Forward(tell) if tell is not None else logging.StreamHandler()
    try:
        _prepare(own := _here(machine), verbose, handler)
        end = _run(cell, store, own, tell or (lambda _: None))
    except (KeyboardInterrupt, stopping.Stopped):
        raise
    except BaseException as error:  # SystemExit of a plugin, too
        return Failure.of(error)
    finally:
        log.removeHandler(handler)
    return end or Done(time.monotonic() - began)


def start(machine: Machine, verbose: bool, tell: Tell) -> None:
    """Make a process of the pool ready; machine: that of this worker."""
    _worker["machine"] = machine
    _prepare(machine, verbose, _Forward(tell))


def work(job: tuple[Cell, Path], tell: Tell) -> Held | None:
    """Run a cell in a process that was made ready."""
    cell, store = job
    return _run(cell, store, _worker["machine"], tell)


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
    log.addHandler(handler)
    log.setLevel(logging.INFO if verbose else logging.WARNING)
    # What torch compiles is kept between runs.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache_path("metagap") / "compiled"))
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


def _run(cell: Cell, store: Path, machine: Machine, tell: Tell) -> Held | None:
    last = 0.0

    def report(phase: str, done: int, total: int) -> None:
        nonlocal last
        if phase != "training":  # which saves its state before it stops
            stopping.obey()
        if time.monotonic() - last > 0.1 or done == total:
            last = time.monotonic()
            tell(Progress(phase, done, total))

    try:
        run_cell(cell, store, machine, report)
    except HeldError as error:
        if isinstance(error, LostError):
            tell(Remark(str(error)))
        return Held(str(error.lease or "another process"))
    return None


class _Forward(logging.Handler):
    def __init__(self, tell: Tell):
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(Remark(record.getMessage()))
