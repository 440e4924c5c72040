"""Cells that others have in work: waited for, counted as done, or taken over, whatever the executor is."""

from __future__ import annotations

import io
import multiprocessing
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from metagap import results
from metagap.executors import Done, Executor, Failure, Held, Progress, waiting
from metagap.executors.attempt import attempt
from metagap.executors.running import run_cells
from metagap.executors.waiting import until_ended
from metagap.machine import Machine
from metagap.results.lease import HeldError, hold
from metagap.suite import expand, load_suite

EAGER = Machine("cpu", engine="loop plain eager")
fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Thing:
    """What stands for a cell: a folder, and a file that says that it is done."""

    name: str

    def folder(self, store: Path) -> Path:
        return store / self.name

    def finish(self, store: Path) -> None:
        self.folder(store).mkdir(exist_ok=True)
        (self.folder(store) / "done").touch()


def is_done(thing: Any, store: Path) -> bool:
    return (thing.folder(store) / "done").exists()


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(waiting, "POLL", 0.02)
    monkeypatch.setattr(waiting, "TOGETHER", 0.1)


@pytest.fixture
def asked() -> list[list[str]]:
    """What the executor was called with, each time."""
    return []


@pytest.fixture
def told(tmp_path, asked):
    """What is told of things by an executor that finishes what it can have, in the order in which it comes."""

    def told(things: list[Any]):
        def run(cells, store, machine, verbose):
            asked.append([cell.name for cell in cells])
            for number, cell in enumerate(cells):
                try:
                    with hold(cell.folder(store)):
                        cell.finish(store)
                except HeldError as error:
                    yield number, Held(str(error.lease))
                else:
                    yield number, Done(1.0)

        executor = Executor(name="mine", about="A test's.", run=run)
        return until_ended(executor, things, tmp_path, Machine(), False, is_done)

    return told


def test_what_another_process_finishes_is_done(tmp_path, told, asked):
    things = [Thing("theirs"), Thing("free")]
    with ExitStack() as stack:
        lease = stack.enter_context(hold(tmp_path / "theirs", beat=0.01))
        lease.tell("training", 3, 9)
        events = told(things)
        number, held = next(events)
        assert number == 0 and isinstance(held, Held) and held.by.startswith("process ")
        assert next(events) == (1, Done(1.0))
        number, progress = next(events)
        assert number == 0 and isinstance(progress, Progress)
        assert progress.phase.startswith("training on ") and progress[1:] == (3, 9)
        things[0].finish(tmp_path)
        stack.close()
        assert [event for event in events if not isinstance(event[1], Progress)] == [(0, Done(0.0, elsewhere=True))]
    assert asked == [["free"]]


def test_what_another_process_leaves_is_taken_over_together(tmp_path, told, asked):
    things = [Thing(f"theirs {i}") for i in range(3)] + [Thing("free")]
    ready = fork.Event()

    def have() -> None:
        with ExitStack() as stack:
            for thing in things[:3]:
                stack.enter_context(hold(thing.folder(tmp_path)))
            ready.set()
            time.sleep(60)

    other = fork.Process(target=have)
    other.start()
    assert ready.wait(10)
    events = []
    for number, event in told(things):
        events.append((number, event))
        if isinstance(event, Done) and number == 3:
            other.kill()
    assert [number for number, event in events if isinstance(event, Held)] == [0, 1, 2]
    assert events[-3:] == [(0, Done(1.0)), (1, Done(1.0)), (2, Done(1.0))]
    assert asked == [["free"], ["theirs 0", "theirs 1", "theirs 2"]]
    other.join()


def test_what_becomes_busy_before_the_executor_comes_to_it_is_waited_for(tmp_path, asked, told):
    things = [Thing("first"), Thing("second")]
    with ExitStack() as stack:
        events = told(things)
        assert next(events) == (0, Done(1.0))
        stack.enter_context(hold(tmp_path / "second"))
        number, held = next(events)
        assert number == 1 and isinstance(held, Held)
        stack.close()
        assert list(events) == [(1, Done(1.0))]
    assert asked == [["first", "second"], ["second"]]


def test_a_run_says_whom_it_waits_for(tiny_suite, tmp_path):
    cells = expand(load_suite(str(tiny_suite())))
    console, other = Console(file=io.StringIO(), width=400), ExitStack()
    other.enter_context(hold(cells[0].folder(tmp_path)))

    def run(cells, store, machine, verbose):
        for number, cell in enumerate(cells):
            if number == len(cells) - 1:
                other.close()
            yield number, attempt(cell, store, machine)

    assert run_cells(cells, tmp_path, EAGER, console, Executor(name="mine", about="A test's.", run=run)) == []
    lines = [line for line in console.file.getvalue().splitlines() if "seed 0" in line]
    assert lines[0].startswith("maml seed 0 is waited for: process ") and lines[0].endswith(" UTC has it in work")
    assert [line[:12] for line in lines[1:]] == ["✓ scratch se", "✓ maml seed "]
    assert len(results.read(tmp_path, "tiny").cells) == 2


def test_a_failure_is_no_reason_to_wait(tmp_path):
    executor = Executor(name="mine", about="A test's.", run=lambda *_: iter([(0, Failure("no"))]))
    assert list(until_ended(executor, [Thing("a")], tmp_path, Machine(), False, is_done)) == [(0, Failure("no"))]


@pytest.mark.slow
def test_two_commands_share_a_suite(tiny_suite, tmp_path):
    path = tiny_suite()
    command = [sys.executable, "-c", "from metagap.cli import main; main()", "run", path.name, "--device", "cpu"]
    command += ["--seed", "0", "--seed", "1", "--seed", "2", "--jobs", "2", "--results", "shared"]
    runs = [
        subprocess.Popen([*command, "--out", f"reports-{i}"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for i in range(2)
    ]
    texts = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert all("failed" not in text for text in texts)
    assert len(results.read(tmp_path / "shared", "tiny").cells) == 6
