"""Slurm, through submitit: arrays of jobs, each of which runs a group of cells as `local` does on its node."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from rich.console import Console

from metagap.errors import UserError
from metagap.executors import slurm_queue
from metagap.executors.executor import Done, Event, Executor, Failure, Remark
from metagap.executors.group import Events, Group
from metagap.executors.slurm_queue import SilenceError, State
from metagap.machine import Machine
from metagap.registry import suggest
from metagap.suite import Section

if TYPE_CHECKING:
    from metagap.suite import Cell

OURS = ("array", "error", "help", "input", "open-mode", "output", "parsable", "signal", "usage", "version", "wrap")
"""Options of sbatch that are not for users: they are set here, or have it do something else."""
PROCESSES = ("nodes", "ntasks", "ntasks-per-node")
"""Options of sbatch that would start more than the one process of a job."""
MOST = 1000
"""Jobs in an array, for Slurm takes no more by default."""
LOOK, ASK = 1.0, 10.0
"""Seconds between two looks at what jobs have written, and between two questions to Slurm."""
USUAL = ("None", "Priority", "Resources", "BeginTime", "Dependency", "JobArrayTaskLimit", "QOSMaxJobsPerUserLimit")
"""Reasons to wait that need nobody's attention."""
KINDS = {"OUT_OF_MEMORY": "out of memory", "COMPLETED": "not run", "unknown": "not run"}
"""Of failures, by the states of jobs; others were killed."""
HINTS = {
    "OUT_OF_MEMORY": "--slurm mem=SIZE asks for more",
    "TIMEOUT": "--slurm time=MINUTES asks for more",
    "PREEMPTED": "the partition does not queue what it preempts again; the same command resumes it",
}
TAIL = 4000
"""Characters of a log that a failure quotes."""
OVER = "over"
"""A file in the folder of a submission, once all of its cells have come to an end."""
KEPT = 7 * 24 * 3600
"""Seconds after which the next submission removes that folder, with the logs in it."""


def _minutes(value: Any) -> Any:
    """A time as sbatch has it, such as 90, 1:30:00 or 2-12, in minutes."""
    if not isinstance(value, str):
        return value
    days, dash, rest = value.rpartition("-")
    if not re.fullmatch(r"\d+", days or "0") or not re.fullmatch(r"\d+(:\d+){0,2}", rest):
        raise ValueError(
            "allowed: minutes, or [days-]hours:minutes:seconds, days-hours, minutes:seconds as sbatch has it"
        )
    numbers = [int(number) for number in rest.split(":")]
    usual = [*numbers, 0, 0] if dash else numbers if len(numbers) == 3 else [0, *numbers, 0]
    hours, minutes, seconds = usual[:3]
    return int(days or 0) * 1440 + hours * 60 + minutes + (seconds > 0)


class SlurmSettings(Section):
    """What `--slurm KEY=VALUE` sets. Any other key is a long option of this cluster's sbatch, such as partition,
    account, qos, mem, gres, gpus, cpus-per-task, constraint or exclusive=true."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    time: Annotated[int, BeforeValidator(_minutes)] = Field(
        120, ge=1, le=10**6, description="minutes, or as sbatch has it; a job at its end is queued again"
    )
    timeouts: int = Field(20, ge=0, le=10**4, description="how often a job at the end of its time is queued again")
    warning: int = Field(90, ge=1, le=3600, description="seconds before that end in which states are saved")
    cells_per_job: int = Field(1, ge=1, le=10**6, description="more where cells are short; they share the job's cores")
    setup: list[str] = Field([], description="lines of shell before the work, such as ['module load cuda']")

    @model_validator(mode="after")
    def _known(self) -> SlurmSettings:
        given = {key.replace("_", "-"): value for key, value in (self.model_extra or {}).items()}
        if not given:
            return self
        for key in given:
            if key in OURS:
                raise ValueError(f"'{key}' is set by metagap")
            if key in PROCESSES:
                raise ValueError(f"'{key}': a job is one process on one node; more jobs at the same time: --jobs")
        if not (allowed := slurm_queue.options() if _is_here() else set()):
            raise ValueError(f"{', '.join(given)}: only sbatch knows whether that is allowed, and it is not here")
        ours = [*type(self).model_fields]
        for key, value in given.items():
            if key not in allowed:
                listed = sorted({*ours, *allowed} - {*OURS, *PROCESSES})
                raise ValueError(f"unknown key '{key}'{suggest(key, listed, 'sbatch --help')}")
            if isinstance(value, dict | list) or value is False or value == "":
                raise ValueError(f"key '{key}' = {value!r}: allowed: a text, a number, or true")
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        """The options of sbatch."""
        return {key.replace("_", "-"): value for key, value in (self.model_extra or {}).items()}


class Job(NamedTuple):
    """A job of Slurm, and the group of cells that it runs: their numbers in the run."""

    id: str
    log: Path
    numbers: tuple[int, ...]
    group: Group


def _run(
    cells: Sequence[Cell], store: Path, machine: Machine, verbose: bool, settings: SlurmSettings
) -> Iterator[tuple[int, Event]]:
    """Cells in the jobs of an array, which end with the iteration."""
    folder = _folder(store)
    jobs = _submit(cells, store, machine, verbose, settings, folder)
    try:
        yield from watch(jobs)
    except BaseException:  # as when it is closed
        slurm_queue.cancel(_arrays(jobs))
        raise
    finally:
        _note_end(folder)


def watch(jobs: Sequence[Job]) -> Iterator[tuple[int, Event]]:
    """What happens to the cells of jobs, until each has come to an end."""
    left = {job.id: set(job.numbers) for job in jobs}
    events = {job.id: Events(job.group.path) for job in jobs}
    asked, over = -ASK, dict.fromkeys(left, 0)
    while working := [job for job in jobs if left[job.id]]:
        known: dict[str, State] | None = None
        if time.monotonic() - asked > ASK:
            asked = time.monotonic()
            try:
                known = slurm_queue.states(job.id for job in working)
            except SilenceError as error:
                yield min(left[working[0].id]), Remark(f"Slurm does not answer, and is asked again: {error}")
        for job in working:
            for place, event in events[job.id].new():
                if (number := job.numbers[place]) in left[job.id]:
                    left[job.id] -= {number} if isinstance(event, Done | Failure) else set()
                    yield number, event
            if known is None or not left[job.id]:
                continue
            state = known.get(job.id, State("unknown"))
            if state.name in slurm_queue.WAITS and state.reason not in USUAL:
                yield min(left[job.id]), Remark(f"Slurm holds job {job.id} back: {state.reason}")
            over[job.id] = over[job.id] + 1 if state.is_over else 0
            if over[job.id] > 1:  # twice: what it wrote may come late, and it may be about to be queued again
                yield from ((number, _failure(job, state)) for number in sorted(left[job.id]))
                left[job.id] = set()
        time.sleep(LOOK + len(working) / 100)  # each look opens a file of each job


def _failure(job: Job, state: State) -> Failure:
    """What is to be said of a cell whose job ended before it did."""
    said = "is no longer known to Slurm" if state.name == "unknown" else f"ended as {state.name}"
    reason = f" ({state.reason})" if state.reason not in ("", "None") else ""
    hint = f"; {HINTS[state.name]}" if state.name in HINTS else ""
    try:
        log = job.log.read_text(encoding="utf-8", errors="replace")[-TAIL:]
    except OSError:
        log = ""
    where = f"log: '{job.log}'" if log else f"it left no log in '{job.log.parent}'"
    return Failure(
        f"its Slurm job {job.id} {said}{reason}{hint}; {where}", traceback=log, kind=KINDS.get(state.name, "killed")
    )


def _submit(
    cells: Sequence[Cell],
    store: Path,
    machine: Machine,
    verbose: bool,
    settings: SlurmSettings,
    folder: Path,
    after: str = "",
) -> list[Job]:
    """Queue cells as arrays; after: the ids of what has to end first. Raises UserError where Slurm refuses them."""
    size = settings.cells_per_job
    parts = [tuple(range(start, min(start + size, len(cells)))) for start in range(0, len(cells), size)]
    groups = [
        Group(tuple(cells[n] for n in part), store.absolute(), machine, verbose, folder / f"{part[0]}.events")
        for part in parts
    ]
    executor = _executor(folder, settings, machine, f"metagap {cells[0].suite.name}", after)
    jobs: list[Job] = []
    try:
        for start in range(0, len(groups), MOST):
            array = groups[start : start + MOST]
            submitted = _taken(partial(executor.submit_array, array))
            for job, numbers, group in zip(submitted, parts[start : start + MOST], array, strict=True):
                jobs.append(Job(job.job_id, job.paths.stdout, numbers, group))
    except BaseException:
        slurm_queue.cancel(_arrays(jobs))
        raise
    return jobs


def _arrays(jobs: Sequence[Job]) -> list[str]:
    """The ids of their arrays."""
    return sorted({job.id.partition("_")[0] for job in jobs}, key=int)


def _executor(folder: Path, settings: SlurmSettings, machine: Machine, name: str, after: str) -> Any:
    """submitit's, for jobs in this folder."""
    import submitit

    parameters = _parameters(settings, machine)
    if after:
        parameters["dependency"] = ",".join(filter(None, [parameters.get("dependency"), f"afterany:{after}"]))
    cpus = parameters.get("cpus-per-task")
    executor = submitit.SlurmExecutor(folder, max_num_timeout=settings.timeouts)
    executor.update_parameters(
        job_name=name,
        time=settings.time,
        signal_delay_s=settings.warning,
        setup=settings.setup or None,
        array_parallelism=machine.workers or MOST,
        stderr_to_stdout=True,
        srun_args=[f"--cpus-per-task={cpus}"] if cpus else None,  # which srun no longer takes from sbatch
        additional_parameters={key.replace("-", "_"): value for key, value in parameters.items()},
    )
    return executor


def _parameters(settings: SlurmSettings, machine: Machine) -> dict[str, Any]:
    """The options of sbatch, with a GPU for those who asked for one and did not say which."""
    asks = any(key.startswith("gpus") or key == "gres" for key in settings.parameters)
    gpu = {"gpus-per-node": 1} if machine.device == "cuda" and not asks else {}
    return {"requeue": True, **gpu, **settings.parameters}


def _taken(submit: Callable[[], Any]) -> Any:
    """What submitit gives for jobs that Slurm takes; raises UserError where it does not."""
    from submitit.core.utils import FailedJobError

    try:
        with redirect_stderr(io.StringIO()):  # where submitit repeats what its error says
            return submit()
    except FailedJobError as error:
        raise UserError(f"Slurm refuses the jobs: {str(error).strip()}") from None


def _folder(store: Path) -> Path:
    """A new folder for the files of jobs, which all hosts see; old ones whose jobs have ended are removed."""
    folders = store.absolute() / ".slurm"
    for over in folders.glob(f"*/{OVER}"):
        with suppress(OSError):
            if over.stat().st_mtime < time.time() - KEPT:
                shutil.rmtree(over.parent)
    return folders / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(2)}"


def _note_end(folder: Path) -> None:
    """Have a later submission remove the folder of this one."""
    with suppress(OSError):
        (folder / OVER).touch()


def _is_here() -> bool:
    return shutil.which("sbatch") is not None


def _where(machine: Machine, settings: SlurmSettings) -> str:
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise UserError("--launch slurm needs an extra: pip install 'metagap[slurm]'") from None
    if not _is_here():
        raise UserError("--launch slurm: no command 'sbatch' here; run it where jobs are submitted, as on a login node")
    parameters = {"time": settings.time, **_parameters(settings, machine)}
    if refused := slurm_queue.refusal(parameters):
        raise UserError(f"--launch slurm: Slurm would refuse the jobs: {refused}")
    return f"Slurm, partition {settings.parameters['partition']}" if "partition" in settings.parameters else "Slurm"


@dataclass(frozen=True)
class Aftermath:
    """The last job of a detached run: what ended badly is recorded, and a command of metagap runs."""

    jobs: Sequence[Sequence[Job]]
    machine: Machine
    then: Sequence[str]
    folder: Path

    def __call__(self) -> None:
        """Record the failures of each part, then run the command."""
        from metagap.executors.running import run_cells

        for jobs in self.jobs:
            every = [cell for job in jobs for cell in job.group.cells]

            def run(cells: Sequence[Cell], *_: Any, jobs=jobs, every=every) -> Iterator[tuple[int, Event]]:
                places = {id(cell): place for place, cell in enumerate(cells)}  # of those that have not failed for good
                for number, event in watch(jobs):
                    if id(every[number]) in places:
                        yield places[id(every[number])], event

            executor = Executor(name="slurm", about=SLURM.about, run=run)
            run_cells(every, jobs[0].group.store, self.machine, Console(width=120), executor)
        _note_end(self.folder)
        sys.stdout.flush()
        command = [sys.executable, "-c", "from metagap.cli import main; main()", *self.then]
        if code := subprocess.run(command, check=False).returncode:
            sys.exit(code)


def _detach(
    parts: Sequence[Sequence[Cell]],
    store: Path,
    machine: Machine,
    verbose: bool,
    then: Sequence[str],
    settings: SlurmSettings,
) -> str:
    """Queue the parts one after the other, and a job that runs `then`; says which jobs these are."""
    folder, submitted = _folder(store), list[list[Job]]()
    after = ""
    for number, cells in enumerate(parts):
        submitted.append(_submit(cells, store, machine, verbose, settings, folder / str(number), after))
        after = ":".join(_arrays(submitted[-1]))
    executor = _executor(folder, settings, machine, f"metagap {then[0]}", after)
    last = _taken(partial(executor.submit, Aftermath(submitted, machine, then, folder)))
    every = [job for part in submitted for job in part]
    ids, jobs = " ".join(_arrays(every)), f"{len(every)} job{'s' * (len(every) > 1)}"
    return (
        f"{jobs} submitted to Slurm as {ids}; job {last.job_id} writes the report when they have ended, with its log "
        f"in '{last.paths.stdout}'. `scancel {ids} {last.job_id}` ends them."
    )


SLURM = Executor(
    name="slurm",
    about="Jobs of Slurm, in arrays, through submitit; preempted ones go on from their checkpoints.",
    run=_run,
    where=_where,
    settings=SlurmSettings(),  # type: ignore[call-arg]
    detach=_detach,
)
