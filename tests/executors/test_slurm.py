"""The executor `slurm` without a Slurm: settings, groups of cells, and what is made of the states of jobs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from metagap import executors, results
from metagap.executors import Again, Done, Failure, Progress, Remark, slurm, slurm_queue
from metagap.executors.group import Events, Group
from metagap.executors.running import run_cells
from metagap.executors.slurm import SLURM, Job
from metagap.executors.slurm_queue import SilenceError, State
from metagap.machine import Machine, count_cores
from metagap.suite import expand, load_suite

EAGER = Machine("cpu", engine="loop plain eager")
OPTIONS = {"partition", "account", "mem", "cpus-per-task", "gpus-per-node", "exclusive", "nodes", "ntasks", "output"}


@pytest.fixture
def sbatch(monkeypatch):
    """A Slurm that knows these options, and would take every job."""
    monkeypatch.setattr(slurm, "_is_here", lambda: True)
    monkeypatch.setattr(slurm_queue, "options", lambda: OPTIONS)
    monkeypatch.setattr(slurm_queue, "refusal", lambda parameters: "")


@pytest.fixture
def cells(tiny_suite):
    return tuple(expand(load_suite(str(tiny_suite()))))


@pytest.mark.parametrize(
    ("written", "minutes"),
    [("90", 90), ("10:30", 11), ("1:30:00", 90), ("01:30:00", 90), ("2-12", 3600), ("1-0:5", 1445), ("1-1:1:1", 1502)],
)
def test_times_are_those_of_sbatch(written, minutes):
    assert executors.find("slurm", [f"time={written}"]).settings.time == minutes


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("partition", "--launch-set 'partition': write it as key=value"),
        ("time=soon", "key 'time' = 'soon': allowed: minutes, or [days-]hours"),
        ("time=0", "key 'time' = 0: input should be greater than or equal to 1"),
        ("cells_per_job=many", "key 'cells_per_job' = 'many': input should be a valid integer"),
        ("partitoin=gpu", "unknown key 'partitoin'; did you mean 'partition'?"),
        ("output=x", "'output' is set by metagap"),
        ("ntasks=2", "'ntasks': a job is one process on one node"),
        ("mem=", "key 'mem' = '': allowed: a text, a number, or true"),
    ],
)
def test_wrong_settings_are_one_message(sbatch, tiny_suite, here, written, message):
    tiny_suite()
    code, text, errors = here("run", "tiny.toml", "--launch", "slurm", "--slurm", written)
    assert code == 2 and message in errors and "Traceback" not in errors + text
    assert not Path("results").exists()


def test_settings_for_an_executor_that_has_none_or_twice(tiny_suite, here):
    tiny_suite()
    code, _, errors = here("run", "tiny.toml", "--slurm", "partition=gpu")
    assert code == 2 and "executor 'local' has no settings such as partition" in errors
    code, _, errors = here("run", "tiny.toml", "--launch", "slurm", "--slurm", "time=1", "--slurm", "time=2")
    assert code == 2 and "'time' is set twice" in errors
    code, _, errors = here("run", "tiny.toml", "--detach")
    assert code == 2 and "--detach: executor 'local' runs cells only while somebody waits" in errors


def test_where_slurm_is_not_or_refuses(tiny_suite, here, monkeypatch):
    pytest.importorskip("submitit", reason="needs submitit")
    tiny_suite()
    monkeypatch.setattr(slurm, "_is_here", lambda: False)
    code, _, errors = here("run", "tiny.toml", "--launch", "slurm")
    assert code == 2 and "no command 'sbatch' here" in errors
    monkeypatch.setattr(slurm, "_is_here", lambda: True)
    asked = []
    monkeypatch.setattr(slurm_queue, "refusal", lambda parameters: asked.append(parameters) or "no such account")
    code, _, errors = here("run", "tiny.toml", "--launch", "slurm", "--slurm", "time=5")
    assert code == 2 and "Slurm would refuse the jobs: no such account" in errors
    assert asked == [{"time": 5, "requeue": True}]


def test_a_gpu_is_asked_for_unless_it_is_said_which(sbatch):
    def gpus(device: str, *settings: str) -> dict:
        return slurm._parameters(executors.find("slurm", settings).settings, Machine(device))

    assert gpus("cuda") == {"requeue": True, "gpus-per-node": 1}
    assert gpus("cuda", "gpus_per_node=a100:2") == {"requeue": True, "gpus-per-node": "a100:2"}
    assert gpus("auto", "exclusive=true") == {"requeue": True, "exclusive": True}


def test_what_submitit_writes_for_sbatch(sbatch, cells, tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit", reason="needs submitit")
    monkeypatch.setattr(submitit.SlurmExecutor, "affinity", classmethod(lambda cls: 2))
    settings = executors.find("slurm", ["time=1:00:00", "cpus-per-task=4", "setup=['module load x']"]).settings
    made = slurm._executor(tmp_path, settings, Machine("cuda", workers=3), "metagap tiny", "7:8")
    made.parameters["map_count"] = 5
    text = made._make_submission_file_text("WORK", "")
    for line in (
        *("--time=60", "--cpus-per-task=4", "--gpus-per-node=1", "--requeue", "--signal=USR2@90", "--array=0-4%3"),
        *("--dependency=afterany:7:8", "--open-mode=append"),
    ):
        assert f"#SBATCH {line}\n" in text
    assert "module load x\n" in text and "srun" in text and "--cpus-per-task=4 WORK" in text


def test_a_group_goes_on_where_it_was_stopped(cells, tmp_path, in_process, capsys):
    group = Group(cells, tmp_path / "store", EAGER, False, tmp_path / "jobs" / "0.events")
    group.path.parent.mkdir()
    group._tell(0, Progress("training", 1, 4))
    with group.path.open("a") as file:
        file.write('[1, "Done", [')  # killed there
    before = signal.getsignal(signal.SIGTERM)
    try:
        group()
        events = Events(group.path)
        told = list(events.new())
        assert (0, Again("its job was stopped and queued again")) in told
        assert {number for number, event in told if isinstance(event, Done)} == {0, 1}
        assert "✓ maml seed 0" in capsys.readouterr().out
        group()
        assert not list(events.new()) and "✓" not in capsys.readouterr().out
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(results.read(tmp_path / "store", "tiny").cells) == 2


class Queue:
    """States that Slurm tells one after the other, and what happens before each."""

    def __init__(self, monkeypatch, *answers):
        self.answers = iter(answers)
        monkeypatch.setattr(slurm_queue, "states", self)
        monkeypatch.setattr(slurm, "LOOK", 0.0)
        monkeypatch.setattr(slurm, "ASK", 0.0)

    def __call__(self, jobs):
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return {job: answer for job in jobs} if isinstance(answer, State) else answer


@pytest.fixture
def jobs(cells, tmp_path):
    return [
        Job(f"12_{n}", tmp_path / f"12_{n}.out", (n,), Group((cell,), tmp_path, EAGER, False, tmp_path / f"{n}.events"))
        for n, cell in enumerate(cells)
    ]


def test_a_job_that_ends_badly_says_how_and_where_its_log_is(jobs, monkeypatch):
    jobs[0].log.write_text("oom_kill event\n")
    jobs[1].group._tell(0, Done(1.0))
    Queue(monkeypatch, *[{"12_0": State("OUT_OF_MEMORY"), "12_1": State("COMPLETED")}] * 2)
    told = dict(slurm.watch(jobs))
    assert told[1] == Done(1.0)
    assert told[0].message == (
        f"its Slurm job 12_0 ended as OUT_OF_MEMORY; --slurm mem=SIZE asks for more; log: '{jobs[0].log}'"
    )
    assert told[0].traceback == "oom_kill event\n"


@pytest.mark.parametrize("state", ["TIMEOUT", "NODE_FAIL", "CANCELLED", "FAILED", "PREEMPTED", "unknown"])
def test_every_end_is_told_once_for_each_cell(jobs, monkeypatch, state):
    Queue(monkeypatch, *[{} if state == "unknown" else State(state, "by root")] * 2)
    told = list(slurm.watch(jobs))
    assert [number for number, _ in told] == [0, 1] and all(isinstance(event, Failure) for _, event in told)
    assert ("no longer known to Slurm" if state == "unknown" else f"ended as {state} (by root)") in told[0][1].message
    assert "it left no log in" in told[0][1].message


def test_a_job_that_is_queued_again_has_not_ended(jobs, monkeypatch):
    Queue(
        monkeypatch,
        *[State("PENDING", "PartitionTimeLimit"), State("RUNNING"), SilenceError("no controller"), State("PREEMPTED")],
        *[State("PENDING", "BeginTime"), State("RUNNING"), State("COMPLETED")],
    )
    told = []
    for _, event in slurm.watch(jobs):
        told.append(event)
        if event == Remark("Slurm does not answer, and is asked again: no controller"):
            for job in jobs:
                job.group._tell(0, Progress("training", 1, 2))
        if told.count(Progress("training", 1, 2)) == 2 and Done(2.0) not in told:
            for job in jobs:
                job.group._tell(0, Done(2.0))
    assert Remark("Slurm holds job 12_0 back: PartitionTimeLimit") in told
    assert not any(isinstance(event, Failure) for event in told) and told.count(Done(2.0)) == 2


def test_what_was_submitted_is_cancelled_when_nobody_waits_any_more(sbatch, cells, jobs, tmp_path, monkeypatch):
    Queue(monkeypatch, *[State("RUNNING")] * 100)
    jobs[0].group._tell(0, Progress("training", 1, 2))
    monkeypatch.setattr(slurm, "_submit", lambda *_: jobs)
    cancelled = []
    monkeypatch.setattr(slurm_queue, "cancel", cancelled.extend)
    events = SLURM.events(cells, tmp_path, EAGER, False)
    assert next(events) == (0, Progress("training", 1, 2))
    events.close()
    assert cancelled == ["12"]


def test_the_last_job_records_what_failed_and_reports(jobs, cells, tmp_path, monkeypatch, capfd):
    failed = Failure("ValueError('no')", traceback="there", kind="error", at=Progress("training", 3, 4))
    jobs[0].group._tell(0, failed)
    assert list(Events(jobs[0].group.path).new()) == [(0, failed)]
    Queue(monkeypatch, *[State("NODE_FAIL")] * 4)
    for _ in range(2):  # the second time, the first of them is known to fail again
        slurm.Aftermath([jobs], EAGER, ["--version"], tmp_path)()
    text, _ = capfd.readouterr()
    assert text.count("its Slurm job 12_1 ended as NODE_FAIL") == 2
    assert "maml seed 0: ValueError('no')" in text and "is not tried again" in text and text.count("metagap 0") == 2
    assert [one.kind for one in results.failures(tmp_path / "tiny")] == ["error", "killed"]
    assert (tmp_path / slurm.OVER).exists()


def test_folders_of_submissions_that_are_long_over_are_removed_by_the_next(sbatch, cells, jobs, tmp_path, monkeypatch):
    for job in jobs:
        job.group._tell(0, Done(1.0))
    Queue(monkeypatch, *[State("COMPLETED")] * 10)
    given = []

    def submit(*arguments):
        given.append(arguments[-1])
        arguments[-1].mkdir(parents=True)
        return jobs

    monkeypatch.setattr(slurm, "_submit", submit)
    for _ in range(3):
        assert len(list(SLURM.events(cells, tmp_path, EAGER, False))) == 2
    assert all((folder / slurm.OVER).exists() for folder in given)
    os.utime(given[0] / slurm.OVER, (0, 0))
    (given[1] / slurm.OVER).unlink()  # as where the process that waited was killed
    list(SLURM.events(cells, tmp_path, EAGER, False))
    assert not given[0].exists() and given[1].exists() and given[2].exists()


def test_states_are_read_from_squeue_and_then_from_sacct(tmp_path, monkeypatch):
    def program(name: str, text: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program("squeue", "echo '12_0|RUNNING|None'; echo '12_1|PENDING|Priority'")
    program("sacct", "echo '12_2|CANCELLED by 1000|None'; echo '12_0|PENDING|None'")
    assert slurm_queue.states(["12_0", "12_2", "12_3"]) == {
        "12_0": State("RUNNING", "None"),
        "12_2": State("CANCELLED", "None"),
    }
    program("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    program("sacct", "echo 'accounting storage is disabled' >&2; exit 1")
    assert slurm_queue.states(["12"]) == {}
    program("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SilenceError, match="Unable to contact"):
        slurm_queue.states(["12"])


def test_cores_of_a_job_are_those_that_it_was_given(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    assert count_cores() == 1
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "100000")
    assert 1 <= count_cores() < 100000


@pytest.mark.slow
def test_jobs_of_submitit_give_the_records_of_local(sbatch, cells, tmp_path, monkeypatch, in_process):
    """In processes of submitit's, which `local` of them starts its own in."""
    import io

    from rich.console import Console

    submitit = pytest.importorskip("submitit", reason="needs submitit")

    class Local(submitit.LocalExecutor):
        def submit_array(self, groups):
            return [self.submit(group) for group in groups]

    monkeypatch.setattr(slurm, "_executor", lambda folder, *_: Local(folder))
    monkeypatch.setattr(slurm_queue, "states", lambda jobs: {job: State("RUNNING") for job in jobs})
    console = Console(file=io.StringIO(), width=200)
    for name, executor in (("slurm", SLURM), ("local", executors.find("local"))):
        assert run_cells(cells, tmp_path / name, EAGER, console, executor) == []
    ours, theirs = (results.read(tmp_path / name, "tiny") for name in ("slurm", "local"))
    assert ours.episodes.equals(theirs.episodes)
