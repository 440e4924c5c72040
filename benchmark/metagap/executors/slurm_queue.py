"""What Slurm says of jobs, by its own commands."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from typing import NamedTuple

WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "SUSPENDED", "RESIZING")
RUNS = ("RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "STOPPED")
SECONDS = 60
"""What an answer may take."""


class State(NamedTuple):
    """The state of a job in Slurm's words, and why it waits."""

    name: str
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and is not going to run again by itself."""
        return self.name not in (*WAITS, *RUNS)


class SilenceError(Exception):
    """Slurm cannot be asked now."""


def states(jobs: Iterable[str]) -> dict[str, State]:
    """The states of jobs by their ids, such as `12` or `12_3`; what Slurm no longer knows is missing.

    Raises SilenceError where Slurm does not answer.
    """
    wanted = set(jobs)
    ids = ",".join(sorted({job.partition("_")[0] for job in wanted}))
    # -r: a line for each job of an array, -t all: of those that have ended, too, for some minutes
    known = _ask(["squeue", "-h", "-r", "-j", ids, "-t", "all", "-o", "%i|%T|%r"], "Invalid job id")
    found = {job: State(name, reason) for job, name, reason in known}
    if wanted - found.keys():
        accounted = _ask(["sacct", "-n", "-X", "-P", "-j", ids, "-o", "JobID,State,Reason"], "")
        # "CANCELLED by 1000"
        found = {job: State(name.split()[0], reason) for job, name, reason in accounted} | found
    return {job: state for job, state in found.items() if job in wanted}


def cancel(jobs: Sequence[str]) -> None:
    """End jobs; those that have ended are left alone."""
    subprocess.run(["scancel", *jobs], capture_output=True, timeout=SECONDS, check=False)


def options() -> set[str]:
    """The long options of this Slurm's `sbatch`, without dashes."""
    text = subprocess.run(["sbatch", "--help"], capture_output=True, text=True, timeout=SECONDS, check=False)
    return set(re.findall(r"^ +(?:-\w, )?--([a-z][a-z-]+)", text.stdout + text.stderr, re.MULTILINE))


def refusal(parameters: dict[str, object]) -> str:
    """Why Slurm would not take a job with these parameters of sbatch; empty where it would."""
    flags = [f"--{key}" if value is True else f"--{key}={value}" for key, value in parameters.items()]
    command = ["sbatch", "--test-only", *flags, "--wrap", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    return "" if done.returncode == 0 else "; ".join(filter(None, map(str.strip, done.stderr.splitlines())))


def _ask(command: list[str], unknown: str) -> list[tuple[str, str, str]]:
    """The lines of three fields that a command prints. unknown: what it says where it does not know the jobs; empty:
    it need not answer at all, as where there is no accounting."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        if not unknown:
            return []
        raise SilenceError(str(error)) from None
    if done.returncode and unknown and unknown not in done.stderr:
        raise SilenceError(done.stderr.strip() or f"{command[0]} ended with exit code {done.returncode}")
    rows = [tuple(line.split("|", 2)) for line in done.stdout.splitlines()]
    return [row for row in rows if len(row) == 3]  # type: ignore[misc]
