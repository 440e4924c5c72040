"""Many cells: at the same time on this machine's devices, with a progress bar."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from platformdirs import user_cache_path
from rich.console import Console
from rich.markup import escape

from metagap import pool, registry, results
from metagap.engine.process import set_up
from metagap.errors import CellError, UserError
from metagap.machine import Machine
from metagap.memory import require
from metagap.progress import bars
from metagap.runner.cell import run_cell
from metagap.runner.context import spec_of, training_part, training_spec
from metagap.runner.contract import examine, examine_metrics
from metagap.runner.overlap import overlap
from metagap.runner.rehearsal import rehearse
from metagap.runner.score import missing, remarks
from metagap.suite import Cell, make_source
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part

DEVICES = ("auto", "cpu", "cuda")


def devices(machine: Machine) -> list[str]:
    """One device per worker process: every GPU once, or `cpu` once for each core; or as many as the machine says.

    Raises UserError for `cuda` where there is none.
    """
    name = machine.device
    if name not in DEVICES:
        meant = "cuda" if name.lower().startswith(("cuda", "gpu", "nvidia")) else name
        raise UserError(f"--device '{name}'{registry.suggest(meant, list(DEVICES))}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; allowed: auto, cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return ["cpu"] * (machine.workers or machine.cores)
    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [found[i % len(found)] for i in range(machine.workers or len(found))]


def check(cells: Sequence[Cell]) -> list[str]:
    """Look for everything that would stop the cells after they have started: missing data, too few classes or images,
    a network that cannot be meta-trained.

    Returns sentences on the data, such as that some classes are too small. Raises UserError with the place.
    """
    suite = cells[0].suite
    source = make_source(suite.source)
    training = source.tasks(training_part(suite), "cpu")
    source.digest(suite.training_classes)
    notes: list[str] = []
    for cell in {cell.label: cell for cell in cells}.values():
        spec = training_spec(suite.task, cell.training)
        with _place(f"training of {cell.label}"):
            _require(spec, training.x_shape, cell.training.meta_batch)
            examine(training, spec)
            notes += remarks(suite.source, training, spec, "Training")
            rehearse(cell, training)
    for split in suite.splits:
        if split.optional and missing(split):
            continue
        source = make_source(split.source)
        tasks = source.tasks(Part(split.classes, split.images), "cpu")
        source.digest(split.classes)
        with _place(f"split '{split.name}'"):
            spec = spec_of(suite.split_task(split))
            _require(spec, tasks.x_shape, 1)
            examine(tasks, spec)
            examine_metrics(suite.metrics, tasks, spec)
            notes += remarks(split.source, tasks, spec, f"Split '{split.name}'")
        if tasks.x_shape != training.x_shape:
            raise UserError(
                f"split '{split.name}': inputs of shape {tasks.x_shape}, but the networks are trained on "
                f"{training.x_shape}; set image_size and channels of its source to match"
            )
        notes += overlap(suite, split)
    return list(dict.fromkeys(notes))


class CellFailure(NamedTuple):
    """A cell that failed: what is said of it, and whether it is bad input."""

    name: str
    failed: results.Failed
    is_bad_input: bool


def run_cells(
    cells: Sequence[Cell], store: Path, machine: Machine, console: Console, verbose: bool = False
) -> list[CellFailure]:
    """Run cells that are not done, in the worker processes of a machine; returns those that failed.

    Every task is computed on one CPU thread, so that results do not depend on how many run at the same time; a worker
    computes several tasks at once where there are fewer cells than cores. Workers end with this process, however that
    ends. verbose: print what the engine has to say.
    A cell that fails keeps no other from being run, and is recorded in its folder. One whose process is killed is run
    once more, from its last checkpoint.
    """
    if not cells:
        return []
    chosen = devices(machine)[: len(cells)]
    several = len({cell.suite.name for cell in cells}) > 1
    names = [f"{cell.suite.name}, {cell}" if several else str(cell) for cell in cells]
    jobs = [(cell, store) for cell in cells]
    starts = [partial(_start_worker, machine.worker(device, len(chosen)), verbose) for device in chosen]
    failed: list[CellFailure] = []
    with _Progress(len(cells), console) as progress, closing(pool.run(jobs, _work, starts)) as events:
        for number, event, value in events:
            cell, name = cells[number], names[number]
            match event:
                case "reported":
                    progress.tell(name, *value)
                case "again":
                    progress.say(f"{name}: {value}; it is run once more, from its last checkpoint", "yellow")
                case "done":
                    progress.finish(name, f"[green]✓[/] {escape(name)} in {value:.0f} s")
                case "failed":
                    about = {"label": cell.label, "seed": cell.seed, "variant": cell.variant}
                    record = results.write_failure(cell.folder(store), about, value.message, value.traceback)
                    failed.append(CellFailure(name, record, value.is_bad_input))
                    progress.finish(name, f"[red]✗[/] {escape(name)}: {escape(value.message)}")
    return failed


def error_of(failed: Sequence[CellFailure]) -> UserError | CellError:
    """What is to be raised where cells failed: a UserError where all of them are bad input, else a CellError."""
    if all(one.is_bad_input for one in failed):
        return UserError("\n".join(dict.fromkeys(one.failed.message for one in failed)))
    failures: dict[str, list[CellFailure]] = {}
    for one in failed:
        failures.setdefault(one.failed.message, []).append(one)
    lines = [f"{', '.join(one.name for one in same)}: {same[0].failed}" for same in failures.values()]
    return CellError("\n".join([f"{len(failed)} cell{'s' * (len(failed) > 1)} failed", *lines]))


def _require(spec: TaskSpec, x_shape: tuple[int, ...], tasks: int) -> None:
    """Raise UserError where a batch of this number of tasks cannot fit into this machine's memory.

    Examples are counted eight times: where they are drawn, as an episode, and as what small networks make of them.
    """
    examples = tasks * spec.ways * (spec.shots + spec.queries)
    of_each = f"{spec.ways} ways with {spec.shots} shots and {spec.queries} queries"
    require(8 * 4 * examples * math.prod(x_shape), f"a batch of {tasks} tasks of {of_each} of shape {x_shape}")


@contextmanager
def _place(place: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}: {error}") from None


# In the workers.

_worker: dict[str, Machine] = {}


def _start_worker(machine: Machine, verbose: bool, tell: pool.Tell) -> None:
    set_up()
    if machine.device != "cpu":
        torch.cuda.set_device(machine.device)
    _worker["machine"] = machine
    log = logging.getLogger("metagap")
    log.addHandler(_Forward(tell))
    log.setLevel(logging.INFO if verbose else logging.WARNING)
    # What torch compiles is kept between runs.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache_path("metagap") / "compiled"))
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


class _Forward(logging.Handler):
    def __init__(self, tell: pool.Tell):
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell("log", record.getMessage())


def _work(job: tuple[Cell, Path], tell: pool.Tell) -> None:
    cell, store = job
    last = 0.0

    def report(phase: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.1 or done == total:
            last = time.monotonic()
            tell("progress", phase, done, total)

    run_cell(cell, store, _worker["machine"], report)


# On the terminal.


class _Progress:
    """Bars for the cells in work and one for all of them."""

    def __init__(self, total: int, console: Console):
        self._bars = bars(console, speed_estimate_period=30)
        self._total = total
        self._rows: dict[str, tuple[str, Any]] = {}
        self._said: set[str] = set()

    def __enter__(self) -> _Progress:
        self._bars.__enter__()
        self._overall = self._bars.add_task("cells", total=self._total, brief=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self._bars.__exit__(*error)

    def tell(self, name: str, kind: str, *value: Any) -> None:
        """Show what a cell tells: how far it is, or a remark of the engine."""
        if kind == "log":
            (text,) = value
            if text not in self._said:  # by another cell
                self.say(text, "yellow")
            self._said.add(text)
            return
        phase, done, total = value
        if name not in self._rows or self._rows[name][0] != phase:
            if name in self._rows:
                self._bars.remove_task(self._rows[name][1])
            self._rows[name] = (phase, self._bars.add_task(f"{name}, {phase}", total=total))
        self._bars.update(self._rows[name][1], completed=done)

    def say(self, text: str, style: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text, style=style, markup=False, soft_wrap=True)

    def finish(self, name: str, line: str) -> None:
        """Count a cell as over, and print a line about it."""
        if name in self._rows:
            self._bars.update(self._rows.pop(name)[1], visible=False)
        self._bars.advance(self._overall)
        self._bars.console.print(line)
