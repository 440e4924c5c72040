"""Leases: one owner at a time, whatever is killed or suspended, and none that was lost writes on."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from contextlib import ExitStack
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from metagap.errors import UserError
from metagap.results import lease
from metagap.results.lease import HeldError, Holding, LostError, Watch, hold, read

fork = multiprocessing.get_context("fork")


def owner(folder: Path) -> BaseProcess:
    """Another process that has the lease."""
    theirs, mine = fork.Pipe()

    def have() -> None:
        with hold(folder):
            theirs.send("has it")
            time.sleep(60)

    process = fork.Process(target=have)
    process.start()
    assert mine.recv() == "has it"
    return process


@pytest.fixture
def take(monkeypatch):
    """Takes a lease, on this machine or another one; it is given back with the test."""
    with ExitStack() as stack:

        def take(folder: Path, machine: str = "", **settings: float) -> Holding:
            with monkeypatch.context() as patch:
                if machine:
                    patch.setattr(lease, "_machine", lambda: machine)
                return stack.enter_context(hold(folder, **settings))

        yield take


def test_others_see_who_is_how_far(tmp_path):
    with hold(tmp_path / "cell", beat=0.02) as mine:
        for done in (10, 20):
            mine.tell("training", done, 100)
            time.sleep(0.1)
        seen = read(tmp_path / "cell")
        assert seen is not None and (seen.pid, seen.phase, seen.done, seen.total) == (os.getpid(), "training", 20, 100)
        assert seen.beat > 1 and 20 < seen.rate < 110 and seen.silent < 5 and not seen.is_dead
        with pytest.raises(HeldError, match=f"process {os.getpid()} on .* since .* UTC is at work in ") as error:
            hold(tmp_path / "cell").__enter__()
        assert error.value.lease is not None and error.value.lease.owner == seen.owner
        assert not Watch(tmp_path / "cell").is_free()
    assert read(tmp_path / "cell") is None and Watch(tmp_path / "cell").is_free()
    assert not list((tmp_path / "cell").iterdir())


def test_one_that_was_killed_here_is_followed_at_once(tmp_path):
    first = owner(tmp_path)
    assert not Watch(tmp_path).is_free()
    os.kill(first.pid, signal.SIGKILL)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # a zombie has its number still
    assert Watch(tmp_path).is_free() and read(tmp_path) is None
    first.join()
    second = owner(tmp_path)
    second.kill()
    second.join()
    with hold(tmp_path):
        found = read(tmp_path)
        assert found is not None and found.pid == os.getpid()


def test_the_number_of_an_ended_process_may_be_that_of_another(tmp_path, take, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(lease, "_started", lambda pid: "long ago")
        first = take(tmp_path)
    take(tmp_path)
    with pytest.raises(LostError):
        first.check()


def test_one_of_another_host_is_followed_after_its_term_alone(tmp_path, take):
    take(tmp_path / "alive", "elsewhere", term=0.4, beat=0.05)
    dead = take(tmp_path / "dead", "elsewhere", term=0.4, beat=60)
    alive_one, dead_one, began = Watch(tmp_path / "alive"), Watch(tmp_path / "dead"), time.monotonic()
    while not dead_one.is_free():
        assert not alive_one.is_free()
        with pytest.raises(HeldError):
            take(tmp_path / "dead")
        time.sleep(0.02)
    assert time.monotonic() - began > 0.4 and not alive_one.is_free()
    with pytest.raises(LostError, match="it was taken away"):
        dead.check()
    other = take(tmp_path / "dead")
    with pytest.raises(LostError, match=f"now process {os.getpid()} on .* has it"):
        dead.check()
    dead._give_back()
    other.check()


def test_who_looks_once_in_a_while_takes_nothing_over(tmp_path, take):
    mine, watch = take(tmp_path, "elsewhere", term=0.2, beat=60), Watch(tmp_path)
    assert not watch.is_free()
    time.sleep(0.5)  # as if both had been suspended
    assert not watch.is_free()
    mine.check()


def test_a_beat_in_between_keeps_it(tmp_path, take):
    mine = take(tmp_path, beat=60)
    path, _ = lease._look(tmp_path)
    mine.check()
    assert not lease._end(path)
    mine.check()


def test_who_may_not_look_is_told_by_trying(tmp_path, take, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    take(tmp_path / "theirs", beat=60)
    monkeypatch.setattr(lease, "_look", refuse)
    assert Watch(tmp_path / "theirs").is_free()
    with pytest.raises(UserError, match="theirs' cannot be written: Permission denied"):
        take(tmp_path / "theirs")
    monkeypatch.undo()


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"pid": "1", "host": 7, "term": null}', bytes(range(256))])
def test_what_cannot_be_read_is_somebody(tmp_path, content):
    with hold(tmp_path, beat=60) as mine:
        path, _ = lease._look(tmp_path)
        path.write_bytes(content)
        with pytest.raises(HeldError, match="another process is at work in "):
            hold(tmp_path).__enter__()
        mine.check()
        assert read(tmp_path).pid == os.getpid()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_lease_is_named(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(lease, "PAUSE", 0)
    if kind == "file":
        (tmp_path / ".lease").touch()
    else:
        (tmp_path / ".lease").mkdir()
        (tmp_path / ".lease" / "notes").touch()
    with pytest.raises(UserError, match=r"\.lease' is in the way, and no lease; it can be removed"):
        hold(tmp_path).__enter__()
    (tmp_path / "full").touch()
    with pytest.raises(UserError, match="full' cannot be written: "):
        hold(tmp_path / "full").__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lease", "full"]


def contender(folder: Path, journal: int, seed: int, until: float) -> None:
    """Has the lease again and again, writes down when, and may be killed or stopped while it has it.

    Each is a host of its own, so that only terms tell who is dead.
    """
    rng, me = random.Random(seed), f"{seed}"
    lease._machine = lambda: me

    def note(what: str, number: int) -> None:
        os.write(journal, f"{what} {me}.{number}\n".encode())

    watch, number = Watch(folder), 0
    while time.monotonic() < until:
        if not watch.is_free():
            time.sleep(rng.uniform(0, 0.02))
            continue
        try:
            with hold(folder, term=0.25, beat=0.03) as mine:
                number += 1
                note("begin", number)
                for _ in range(rng.randint(1, 4)):
                    time.sleep(rng.uniform(0, 0.02))
                    chance = rng.random()
                    if chance < 0.02:
                        note("die", number)
                        os.kill(os.getpid(), signal.SIGKILL)
                    if chance > 0.9:
                        os.kill(os.getpid(), signal.SIGSTOP)
                    mine.check()
                    note("write", number)
                note("end", number)
        except LostError:
            note("lost", number)
        except HeldError:
            continue


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_one_owner_at_a_time_whatever_is_killed_and_suspended(tmp_path, seed):
    journal = os.open(tmp_path / "journal", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    folder, rng = tmp_path / "cell", random.Random(seed)
    until = time.monotonic() + 4
    workers = []
    for number in range(12):
        worker = fork.Process(target=contender, args=(folder, journal, 100 * seed + number, until))
        worker.start()
        workers.append(worker)
    wakes = time.monotonic()
    while any(worker.is_alive() for worker in workers):
        time.sleep(0.02)
        if time.monotonic() > wakes:  # stopped ones sleep for less than a term, or for more
            wakes = time.monotonic() + rng.uniform(0, 0.6)
            for worker in workers:
                if worker.is_alive():
                    os.kill(worker.pid, signal.SIGCONT)
    owner, counts = "", dict.fromkeys(("begin", "write", "end", "die", "lost"), 0)
    stopped: set[str] = set()
    for line in (tmp_path / "journal").read_text().splitlines():
        what, who = line.split()
        counts[what] += 1
        match what:
            case "begin":
                if owner:
                    stopped.add(owner)  # it must not write any more
                owner = who
            case "write":
                assert owner == who
            case "end" | "die":
                assert owner == who
                owner = ""
            case "lost":
                assert owner != who or who not in stopped
                stopped.discard(who)
                owner = "" if owner == who else owner
    assert counts["begin"] > 20 and counts["die"] > 0 and counts["lost"] > 0, counts
    assert counts["begin"] == counts["end"] + counts["die"] + counts["lost"]
