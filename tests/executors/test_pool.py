"""Worker processes: what a job tells, how it ends, and that a death in one is nobody else's."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from metagap import stopping
from metagap.errors import UserError
from metagap.executors import Again, Done, Failure
from metagap.executors.pool import Tell, run


def start(fails: bool, tell: Tell) -> None:
    if fails:
        raise UserError("no device")
    tell(("started", os.getpid()))


def work(job: tuple[str, str], cores: int, tell: Tell) -> None:
    what, value = job
    match what:
        case "touch":
            Path(value).touch()
        case "last" if not Path(value + " began").exists():
            Path(value + " began").touch()
            while not Path(value).exists():
                time.sleep(0.05)
            time.sleep(1)  # the other job has ended by then
            os.kill(os.getpid(), signal.SIGKILL)
        case "last":
            tell(("cores", cores))
        case "tell":
            tell((value, 1))
        case "kill once" if not Path(value).exists():
            Path(value).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(7)
        case "leave":
            raise SystemExit(3)
        case "refuse":
            raise UserError(value)
        case "raise":
            raise ValueError(value)
        case "sleep":
            tell(("asleep", os.getpid()))
            time.sleep(60)
        case "save":
            with stopping.saving() as told_to_stop:
                tell(("at work", os.getpid()))
                while not told_to_stop():
                    time.sleep(0.01)
                Path(value).touch()
                stopping.obey()


def test_every_job_ends_in_its_own_way(tmp_path):
    once = str(tmp_path / "once")
    jobs = [
        ("tell", "a"),
        ("kill once", once),
        ("kill", ""),
        ("exit", ""),
        ("leave", ""),
        ("refuse", "no"),
        ("raise", "x"),
    ]
    events = list(run([*jobs, ("tell", "b")], work, [partial(start, False)] * 2))
    told = [event for _, event in events if type(event) is tuple and event[0] != "started"]
    assert sorted(told) == [("a", 1), ("b", 1)]
    assert {number for number, event in events if isinstance(event, Done)} == {0, 1, 7}
    failures = {number: event for number, event in events if isinstance(event, Failure)}
    assert sorted(failures) == [2, 3, 4, 5, 6]
    assert failures[2] == Failure("its process was killed by SIGKILL, as when memory runs out, 2 times", kind="killed")
    assert failures[3] == Failure("its process ended with exit code 7, 2 times", kind="killed")
    assert failures[4].message == "SystemExit(3)" and not failures[4].is_bad_input
    assert failures[5][:2] == ("no", True)
    assert failures[6][:2] == ("ValueError('x')", False) and "in work" in failures[6].traceback
    assert sorted(number for number, event in events if isinstance(event, Again)) == [1, 2, 3]


def test_a_process_that_cannot_start_fails_its_job():
    ((number, failure),) = run([("tell", "a")], work, [partial(start, True)] * 3)
    assert number == 0 and isinstance(failure, Failure) and failure[:2] == ("no device", True)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_a_process_that_is_told_to_stop_saves_first(tmp_path):
    with closing(run([("save", str(tmp_path / "saved"))], work, [partial(start, False)])) as events:
        assert any(event[0] == "at work" for _, event in events)
    assert (tmp_path / "saved").exists()


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_one_that_was_told_from_outside_has_died(tmp_path):
    events = run([("save", str(tmp_path / "saved"))], work, [partial(start, False)])
    told = []
    for _, event in events:
        told.append(event)
        if type(event) is tuple and event[0] == "at work":
            os.kill(event[1], signal.SIGTERM)
    assert Again("its process was killed by SIGTERM") in told
    assert told[-1] == Failure("its process was killed by SIGTERM, 2 times", kind="killed")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_processes_end_with_the_iteration():
    with closing(run([("sleep", "")], work, [partial(start, False)])) as events:
        pid = next(event[1] for _, event in events if event[0] == "asleep")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(("cores", "given"), [(6, 6), pytest.param(1, 1, marks=pytest.mark.slow)])
def test_the_last_job_has_the_cores_of_idle_processes(tmp_path, cores, given):
    touched = str(tmp_path / "touched")
    jobs = [("touch", touched), ("last", touched)]
    events = list(run(jobs, work, [partial(start, False)] * 2, cores))
    assert [event for _, event in events if type(event) is tuple and event[0] == "cores"] == [("cores", given)]
    assert sum(isinstance(event, Done) for _, event in events) == 2


def test_a_job_begins_where_it_is_admitted():
    jobs, pids = [("tell", str(i)) for i in range(6)], set()
    for _, event in run(jobs, work, [partial(start, False)] * 3, admits=lambda place, busy: place == 1 and not busy):
        if type(event) is tuple and event[0] == "started":
            pids.add(event[1])
    assert len(pids) == 1
