"""Many processes on one shared folder, with delays and deaths: no cell is lost, and none is run twice at a time."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from metagap.executors import Done, Executor, Held, waiting
from metagap.executors.waiting import until_ended
from metagap.machine import Machine
from metagap.results import lease
from metagap.results.lease import HeldError, hold

DEATHS = 0.02
"""How probable it is that a worker dies, at each of the two or so times that it may in a cell."""

fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Tiny:
    """A cell that takes some milliseconds."""

    number: int

    def folder(self, store: Path) -> Path:
        return store / str(self.number)


def is_done(cell: Tiny, store: Path) -> bool:
    return (cell.folder(store) / "done").exists()


def worker(store: Path, cells: int, journal: int, seed: int, hosts: int) -> None:
    """One command that runs all cells of a suite, on one of some hosts."""
    rng, name = random.Random(seed), str(seed)
    lease._machine = lambda: f"host {seed % hosts}"

    def note(what: str, cell: Tiny) -> None:
        os.write(journal, f"{what} {cell.number} {name}\n".encode())

    def die(cell: Tiny) -> None:
        if rng.random() < DEATHS:
            note("die", cell)
            os.kill(os.getpid(), signal.SIGKILL)

    def run(cells, store, machine, verbose):
        for number, cell in enumerate(cells):
            if not is_done(cell, store):
                try:
                    with hold(cell.folder(store), term=20, beat=1) as mine:
                        if not is_done(cell, store):
                            note("begin", cell)
                            for _ in range(rng.randint(1, 3)):
                                time.sleep(rng.uniform(0, 0.02))
                                die(cell)
                            mine.check()
                            note("end", cell)
                            (cell.folder(store) / "done").touch()
                except HeldError as error:
                    yield number, Held(str(error.lease))
                    continue
            yield number, Done(0.0)

    executor = Executor(name="tiny", about="A test's.", run=run)
    every = [Tiny(number) for number in range(cells)]
    ended = [
        number
        for number, event in until_ended(executor, every, store, Machine(), False, is_done)
        if isinstance(event, Done)
    ]
    assert sorted(ended) == list(range(cells))
    note("finished", Tiny(-1))


@pytest.mark.parametrize(
    ("workers", "cells", "hosts"),
    [(10, 60, 1), pytest.param(100, 1000, 20, marks=pytest.mark.slow)],
)
def test_none_is_lost_and_none_is_run_twice_at_a_time(tmp_path, monkeypatch, workers, cells, hosts):
    monkeypatch.setattr(waiting, "POLL", 0.05)
    monkeypatch.setattr(waiting, "TOGETHER", 0.05)
    journal = os.open(tmp_path / "journal", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    store = tmp_path / "store"
    gc.freeze()  # so that the memory stays shared
    alive, seed = [], 0
    while seed < workers or alive:
        alive = [one for one in alive if one.is_alive()]
        died = (tmp_path / "journal").read_text().count("die ")
        while seed < workers + died:  # in the place of each that dies comes another
            process = fork.Process(target=worker, args=(store, cells, journal, seed, hosts))
            process.start()
            alive.append(process)
            seed += 1
        time.sleep(0.05)
    gc.unfreeze()
    at_work: dict[str, str] = {}
    counts: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for line in (tmp_path / "journal").read_text().splitlines():
        what, cell, who = line.split()
        counts[what] += 1
        if what == "begin":
            assert cell not in at_work, f"{who} began {cell} while {at_work[cell]} had it"
            at_work[cell] = who
        elif what in ("end", "die"):
            assert at_work.pop(cell) == who
            ends[cell] += what == "end"
    assert not at_work and ends == dict.fromkeys(map(str, range(cells)), 1)
    assert counts["finished"] == workers and counts["begin"] == cells + counts["die"] and counts["die"] > 0, counts
