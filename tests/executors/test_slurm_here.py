"""A real Slurm on this machine: preempted and timed-out jobs, cancelled ones, and runs that nobody waits for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import slurm_here
import torch

from metagap import results

pytest.importorskip("submitit", reason="needs submitit")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(slurm_here.missing()), reason=slurm_here.missing() or "Slurm is here"),
]
PATIENCE = 900
LONG = {"seeds": [0, 1], "algorithms": {"scratch": None}, "training": {"iterations": 3000}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[dict[str, str]]:
    with slurm_here.slurm(tmp_path_factory.mktemp("slurm") / "here") as settings:
        yield os.environ | settings


@pytest.fixture
def metagap(cluster, tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Begins a command in the test's folder, with Slurm around; it ends with the test."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from metagap.cli import main; main()", *words, "--device", "cpu"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        begun.append(subprocess.Popen(command, cwd=tmp_path, env=cluster, **pipes))  # type: ignore[call-overload]
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)


@pytest.fixture
def ask(cluster) -> Callable[..., str]:
    """What a command of Slurm's prints."""

    def ask(*command: str) -> str:
        done = subprocess.run(command, env=cluster, capture_output=True, text=True, check=True)
        return done.stdout

    return ask


def wait_for(what: Callable[[], object], running: subprocess.Popen[str] | None = None) -> None:
    """Until it holds, while a command runs."""
    until = time.monotonic() + PATIENCE
    while not what():
        assert running is None or running.poll() is None, running.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.3)


def training(store: Path) -> int:
    """The cells whose job has told how far their training is."""
    return sum('"training"' in path.read_text() for path in store.glob(".slurm/*/*.events"))


def logs(store: Path) -> str:
    return "".join(path.read_text() for path in store.glob(".slurm/*/*_log.out"))


def finished(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, text
    return text


def same(one: Path, other: Path) -> bool:
    """Whether all numbers of two stores are equal to the last bit: weights, curves, episodes."""
    first, second = results.read(one, "tiny"), results.read(other, "tiny")
    columns = ["algorithm", "seed", "iteration", "loss", "score", "val_loss", "val_score"]
    columns = [name for name in columns if name in first.curves]
    weights = []
    for store in (one, other):
        paths = sorted(store.glob("tiny/*/*/checkpoint.pt"))
        weights.append([torch.load(path, weights_only=True)["selected"] for path in paths])
    return (
        first.episodes.equals(second.episodes)
        and first.curves[columns].equals(second.curves[columns])
        and len(weights[0]) == len(weights[1]) > 0
        and all(torch.equal(a[name], b[name]) for a, b in zip(*weights, strict=True) for name in a)
    )


SLURM = ("--launch", "slurm", "--slurm", "partition=usual", "--checkpoint-every", "1000")


def test_a_preempted_run_has_the_numbers_of_a_local_one(tiny_suite, metagap, ask, tmp_path):
    tiny_suite(**LONG)
    running = metagap("run", "tiny.toml", *SLURM, "--results", "slurm")
    wait_for(lambda: training(tmp_path / "slurm"), running)
    ask("sbatch", "--wait", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap", "true")
    text = finished(running)
    assert "its job was stopped and queued again; it is run once more, from its last checkpoint" in text
    assert "sacct" not in text and "submitit" not in text
    log = logs(tmp_path / "slurm")
    assert "PREEMPTION" in log and "told to stop; what runs saves its state" in log
    finished(metagap("run", "tiny.toml", "--results", "local"))
    assert same(tmp_path / "slurm", tmp_path / "local")


def test_a_job_at_the_end_of_its_time_is_queued_again(tiny_suite, metagap, ask, tmp_path):
    tiny_suite(**{**LONG, "seeds": [0], "training": {"iterations": 10_000_000}})
    running = metagap("run", "tiny.toml", *SLURM, "--slurm", "time=2", "--slurm", "warning=30", "--results", "slurm")
    saved = tmp_path / "slurm" / "tiny" / "maml"
    wait_for(lambda: list(saved.glob("*/checkpoint.pt")), running)  # by nothing but the warning
    (state,) = saved.glob("*/checkpoint.pt")
    assert torch.load(state, weights_only=True)["outer"]["iteration"] > 0
    wait_for(lambda: "Requeued job" in logs(tmp_path / "slurm"))
    running.send_signal(signal.SIGINT)
    text, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130 and "run the same command again to resume" in text
    wait_for(lambda: not ask("squeue", "-h"))


def test_a_job_that_is_cancelled_has_failed(tiny_suite, metagap, ask, tmp_path):
    tiny_suite(**{**LONG, "training": {"iterations": 10_000_000}})
    running = metagap("run", "tiny.toml", *SLURM, "--slurm", "cells_per_job=2", "--results", "slurm")
    wait_for(lambda: training(tmp_path / "slurm"), running)
    ask("scancel", "--name=metagap tiny")
    text, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    assert text.count("ended as CANCELLED") >= 2 and "log: '" in text
    assert len(results.failures(tmp_path / "slurm" / "tiny")) == 2


def test_a_run_that_nobody_waits_for_is_reported_on(tiny_suite, metagap, ask, tmp_path):
    tiny_suite(seeds=[0])
    text = finished(metagap("run", "tiny.toml", *SLURM, "--detach", "--results", "slurm", "--out", "out"))
    assert "2 jobs submitted to Slurm" in text and not (tmp_path / "out" / "tiny" / "index.html").exists()
    wait_for(lambda: not ask("squeue", "-h"))
    assert (tmp_path / "out" / "tiny" / "index.html").exists()
