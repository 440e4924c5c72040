"""Runs of a tiny suite that are killed, or cannot write, at random moments, until they end as undisturbed ones do."""

from __future__ import annotations

import errno
import os
import random
import resource
import select
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any, NamedTuple

from metagap import cli, results
from metagap.cli import output
from metagap.executors import pool
from metagap.results import lease
from metagap.runner.cell import run_cell
from metagap.selftest import tiny
from metagap.suite import expand, load_suite

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
TARGETS = ("a worker", "the command")
WRITES = (
    "killed in the middle of a write",
    "killed before a file is on the disk",
    "killed before a file has its name",
    "killed after a file has its name",
    "no room from some write on",
)
LIMIT = "no room for files beyond a size"
PATIENCE = lease.TERM + 60
"""Seconds after which a run hangs: it may have to wait until a lease is over."""


class Trouble(NamedTuple):
    """What happens to a run. moment: from 0, its start, to 1, about its end."""

    what: str
    target: str
    moment: float

    @classmethod
    def all(cls, count: int, chance: random.Random) -> Iterator[Trouble]:
        """So many, of all kinds as evenly as that is possible, in random order, at random moments."""
        kinds = [*((name, target) for name in SIGNALS for target in TARGETS), *((what, "a file") for what in WRITES)]
        kinds.append((LIMIT, "a file"))
        chosen: list[tuple[str, str]] = []
        while len(chosen) < count:
            chosen += chance.sample(kinds, len(kinds))
        for what, target in chosen[:count]:
            yield cls(what, target, chance.random())


@dataclass
class Tally:
    """What came of it. troubles: (what, to what) -> how often. faults: what was not the same in the end."""

    troubles: Counter[tuple[str, str]] = field(default_factory=Counter)
    runs: int = 0
    stores: int = 0
    faults: list[str] = field(default_factory=list)


def disturb(count: int, seed: int, folder: Path, advance: Callable[[], None]) -> Tally:
    """Trouble so many runs, each store until it is finished, and compare what it holds then. folder: an empty one.

    To be called in a process without other threads, for it forks: that spares importing torch again each time.
    """
    suite, chance, tally = tiny.write(folder), random.Random(seed), Tally()
    for cell in expand(load_suite(str(suite))):  # what torch prepares in the first use is there for all that are forked
        run_cell(cell, folder / "first", tiny.MACHINE)
    run = _Run(suite, folder / "undisturbed")
    if (code := run.ended()) != 0:
        raise RuntimeError(f"the undisturbed run ends with exit code {code}: {run.said()}")
    usual, writes = run.seconds, run.writes
    expected = tiny.records(folder / "undisturbed")
    largest = max(path.stat().st_size for path in (folder / "undisturbed").rglob("*"))
    left, store = list(Trouble.all(count, chance)), None
    while left or store is not None:
        if tally.runs > 50 + 10 * count:
            tally.faults.append(f"after {tally.runs} runs it does not end: {run.said()}")
            break
        if store is None:
            tally.stores += 1
            store = folder / f"store-{tally.stores}"
        trouble = left[-1] if left else None
        run = _Run(suite, store, trouble, 1 + int(writes * trouble.moment) if trouble else 0, largest)
        if trouble is not None and trouble.what in SIGNALS:
            run.send(trouble, usual, chance)
        code = run.ended()
        tally.runs += 1
        if code is None:
            tally.faults.append(f"a run hung, after {trouble}: {run.said()}")
        if trouble is not None and (run.is_troubled or (trouble.what == LIMIT and code != 0)):
            left.pop()
            tally.troubles[trouble.what, trouble.target] += 1
            advance()
        elif trouble is not None:  # it was over before, or there was no such moment
            left[-1] = trouble._replace(moment=chance.random())
        if code == 0:
            usual = (usual + run.seconds) / 2
            tally.faults += [f"{store.name}: {fault}" for fault in differences(expected, store)]
            shutil.rmtree(store)
            store = None
    return tally


def differences(expected: dict[str, Any], store: Path) -> Iterator[str]:
    """In what the records of a store are not what is expected, once files beside the cells are old enough to sweep."""
    for path in (store / tiny.NAME).glob(".*"):
        if path.is_file():
            os.utime(path, (0, 0))
    results.sweep(store / tiny.NAME)
    try:
        found = tiny.records(store)
    except Exception as error:
        yield f"its records cannot be read: {error}"
        return
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"'{name}' is lost"
        elif name not in expected:
            yield f"'{name}' is left over"
        elif found[name] != expected[name]:
            yield f"'{name}' is another one"


class _Run:
    """`metagap run` in a process, with its workers in the same group; all of them hold one end of a pipe."""

    def __init__(self, suite: Path, store: Path, trouble: Trouble | None = None, at: int = 0, largest: int = 0):
        """at: the write at which there is trouble. largest: bytes of the largest file."""
        self._log = store.with_name(f"{store.name}.log")
        self._shared = RawArray("i", 2)
        self._pids: list[int] = []
        self._born, born = os.pipe()
        os.set_blocking(self._born, False)
        self._began = time.monotonic()
        given = (suite, store, self._log, born, self._shared, trouble, at, largest)
        self._process = get_context("fork").Process(target=_command, args=given)
        self._process.start()
        os.close(born)

    @property
    def writes(self) -> int:
        """How many files were written."""
        return self._shared[0]

    @property
    def is_troubled(self) -> bool:
        """Whether the trouble came before the end."""
        return bool(self._shared[1])

    def send(self, trouble: Trouble, usual: float, chance: random.Random) -> None:
        """Send a signal at its moment. usual: seconds that a run takes."""
        self._process.join(trouble.moment * usual)
        over = self._listen()
        while trouble.target != TARGETS[1] and not self._pids and not over:  # the first worker is not born yet
            over = self._listen(0.01)
        targets = [self._process.pid or 0] if trouble.target == TARGETS[1] else self._pids
        for pid in chance.sample(targets, len(targets)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.Signals[trouble.what])
                self._shared[1] = self._process.is_alive()
                return

    def ended(self) -> int | None:
        """The exit code, once all its processes are gone; None where they had to be killed, for it hung."""
        hangs = not self._listen(PATIENCE)
        if hangs:
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        self._process.join()
        os.close(self._born)
        self.seconds = time.monotonic() - self._began
        return None if hangs else self._process.exitcode

    def said(self) -> str:
        """The last that it printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-1000:]

    def _listen(self, patience: float = 0) -> bool:
        """Hear of new processes for so many seconds; whether all have ended before."""
        deadline = time.monotonic() + patience
        while select.select([self._born], [], [], max(0, deadline - time.monotonic()))[0]:
            heard = os.read(self._born, 4096)
            if not heard:
                return True
            self._pids += map(int, heard.split())
        return False


# In these processes.


def _command(
    suite: Path, store: Path, log: Path, born: int, shared: Any, trouble: Trouble | None, at: int, largest: int
) -> None:
    os.setpgid(0, 0)
    os.register_at_fork(after_in_child=lambda: os.write(born, f"{os.getpid()} ".encode()))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    pool.METHOD = "fork"
    output.present = lambda *_: None  # a page takes longer than all the rest
    if trouble is not None and trouble.what == LIMIT:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(trouble.moment * largest), most))
    _count_writes(shared, trouble.what if trouble is not None else "", at)
    options = {"--results": store, "--out": f"{store}-reports", "--jobs": 2, "--device": "cpu", "--checkpoint-every": 0}
    given = [str(word) for pair in options.items() for word in pair]
    sys.argv = ["metagap", "run", str(suite), *given, "--engine", tiny.MACHINE.engine]
    cli.main()


def _count_writes(shared: Any, what: str, at: int) -> None:
    """Count the files that are written, and make trouble at one of them."""
    fsync, replace, last = os.fsync, os.replace, False

    def kill() -> None:
        shared[1] = 1
        os.kill(os.getpid(), signal.SIGKILL)

    def synced(file: int) -> None:
        nonlocal last
        shared[0] += 1
        last = shared[0] == at
        if what == WRITES[4] and shared[0] >= at:
            shared[1] = 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if last and what == WRITES[0]:
            os.ftruncate(file, os.fstat(file).st_size // 2)
            kill()
        if last and what == WRITES[1]:
            kill()
        fsync(file)
        if last and what == WRITES[2]:
            kill()

    def replaced(*given: Any) -> None:
        replace(*given)
        if last and what == WRITES[3]:
            kill()

    os.fsync, os.replace = synced, replaced
