"""Worker processes: what a job tells, how it ends, and that a death in one is nobody else's."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from metagap.errors import UserError
from metagap.executors import Again, Done, Failure
from metagap.executors.pool import Tell, run


def start(fails: bool, tell: Tell) -> None:
    if fails:
        raise UserError("no device")
    tell(("started", os.getpid()))


def work(job: tuple[str, str], tell: Tell) -> None:
    what, value = job
    match what:
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
    assert failures[2] == Failure("its process was killed by SIGKILL, as when memory runs out, 2 times")
    assert failures[3] == Failure("its process ended with exit code 7, 2 times")
    assert failures[4].message == "SystemExit(3)" and not failures[4].is_bad_input
    assert failures[5][:2] == ("no", True)
    assert failures[6][:2] == ("ValueError('x')", False) and "in work" in failures[6].traceback
    assert sorted(number for number, event in events if isinstance(event, Again)) == [1, 2, 3]


def test_a_process_that_cannot_start_fails_its_job():
    ((number, failure),) = run([("tell", "a")], work, [partial(start, True)] * 3)
    assert number == 0 and isinstance(failure, Failure) and failure[:2] == ("no device", True)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_processes_end_with_the_iteration():
    with closing(run([("sleep", "")], work, [partial(start, False)])) as events:
        pid = next(event[1] for _, event in events if event[0] == "asleep")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
