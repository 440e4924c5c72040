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
from metagap.pool import Failure, Tell, run


def start(fails: bool, tell: Tell) -> None:
    if fails:
        raise UserError("no device")
    tell("started", os.getpid())


def work(job: tuple[str, str], tell: Tell) -> None:
    what, value = job
    match what:
        case "tell":
            tell(value, 1)
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
            tell("asleep", os.getpid())
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
    reported = [value for _, event, value in events if event == "reported" and value[0] != "started"]
    assert sorted(reported) == [("a", 1), ("b", 1)]
    ends = {number: (event, value) for number, event, value in events if event in ("done", "failed")}
    assert {number for number, (event, _) in ends.items() if event == "done"} == {0, 1, 7}
    assert ends[2][1] == Failure("its process was killed by SIGKILL, as when memory runs out, 2 times")
    assert ends[3][1] == Failure("its process ended with exit code 7, 2 times")
    assert ends[4][1].message == "SystemExit(3)" and not ends[4][1].is_bad_input
    assert ends[5][1][:2] == ("no", True)
    assert ends[6][1][:2] == ("ValueError('x')", False) and "in work" in ends[6][1].traceback
    again = [number for number, event, _ in events if event == "again"]
    assert sorted(again) == [1, 2, 3]


def test_a_process_that_cannot_start_fails_its_job():
    (event,) = run([("tell", "a")], work, [partial(start, True)] * 3)
    assert event[:2] == (0, "failed") and event[2][:2] == ("no device", True)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_processes_end_with_the_iteration():
    with closing(run([("sleep", "")], work, [partial(start, False)])) as events:
        pid = next(value[1] for _, event, value in events if event == "reported" and value[0] == "asleep")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
