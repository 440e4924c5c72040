"""Many cells: side by side on this machine's devices, with a progress bar."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from rich.console import Console
from rich.markup import escape

from benchmark import registry
from benchmark.engine.process import set_up
from benchmark.errors import CellError, UserError
from benchmark.memory import require
from benchmark.progress import bars
from benchmark.runner.cell import is_done, run_cell
from benchmark.runner.score import missing, remarks
from benchmark.runner.workbench import Machine, spec_of, training_part, training_spec
from benchmark.suite import Cell, make_model, make_source
from benchmark.tasks.episode import TaskSpec
from benchmark.tasks.source import Part

DEVICES = ("auto", "cpu", "cuda")


def devices(name: str, jobs: int | None) -> list[str]:
    """One device per worker process: every GPU once, or as many times `cpu` as there are cores; or `jobs` in all.

    Raises UserError for `cuda` where there is none.
    """
    if name not in DEVICES:
        meant = "cuda" if name.lower().startswith(("cuda", "gpu", "nvidia")) else name
        raise UserError(f"--device '{name}'{registry.suggest(meant, list(DEVICES))}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; allowed: auto, cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return ["cpu"] * (jobs or cores())
    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [found[i % len(found)] for i in range(jobs or len(found))]


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check(cells: Sequence[Cell]) -> list[str]:
    """Look for everything that would stop the cells after they have started: missing data, too few classes or images.

    Returns sentences on the data, such as that some classes are too small. Raises UserError with the place.
    """
    suite = cells[0].suite
    source = make_source(suite.source)
    training = source.tasks(training_part(suite), "cpu")
    source.digest(suite.training_classes)
    make_model(suite.model, training.x_shape, suite.task.ways)
    generator, notes = torch.Generator(), []
    for cell in {cell.label: cell for cell in cells}.values():
        spec = training_spec(suite.task, cell.training)
        with _place(f"training of {cell.label}"):
            _require(spec, training.x_shape, cell.training.meta_batch)
            training.draw(1, spec, generator)
            notes += remarks(suite.source, training, spec, "Training")
    for split in suite.splits:
        if split.optional and missing(split):
            continue
        source = make_source(split.source)
        tasks = source.tasks(Part(split.classes, split.images), "cpu")
        source.digest(split.classes)
        with _place(f"split '{split.name}'"):
            spec = spec_of(suite.split_task(split))
            _require(spec, tasks.x_shape, 1)
            tasks.draw(1, spec, generator)
            notes += remarks(split.source, tasks, spec, f"Split '{split.name}'")
        if tasks.x_shape != training.x_shape:
            raise UserError(
                f"split '{split.name}': inputs of shape {tasks.x_shape}, but the networks are trained on "
                f"{training.x_shape}; set image_size and channels of its source to match"
            )
    return list(dict.fromkeys(notes))


def run_cells(
    cells: Sequence[Cell],
    store: Path,
    workers: list[str],
    machine: dict[str, Any],
    console: Console,
    verbose: bool = False,
) -> None:
    """Run the cells that are not done, one worker process per entry of `workers`.

    Every task is computed on one CPU thread, so that results do not depend on how many run beside each other; a worker
    computes several tasks at once where there are fewer cells than cores. Workers end with this process, however that
    ends. machine: the fields of `Machine` but the device and the cores. verbose: print what the engine has to say.
    A cell that fails keeps no other from being run. In the end its error is raised: a UserError where that is what all
    of them are, and else a CellError that names the cells.
    """
    pending = [cell for cell in cells if not is_done(cell, store)]
    if len(pending) < len(cells):
        console.print(f"{len(cells) - len(pending)} of {len(cells)} cells are already done.")
    if not pending:
        return
    context = multiprocessing.get_context("spawn")
    messages: Any = context.Queue()
    free: Any = context.Queue()
    workers = workers[: len(pending)]
    machine = {**machine, "cores": max(1, cores() // len(workers))}
    for device in workers:
        free.put(device)
    failures: list[tuple[Cell, BaseException]] = []
    with (
        ProcessPoolExecutor(len(workers), context, _start_worker, (messages, free, verbose)) as pool,
        _progress(messages, len(pending), console) as finish,
    ):
        several = len({cell.suite.name for cell in pending}) > 1
        names = [f"{cell.suite.name}, {cell}" if several else str(cell) for cell in pending]
        futures: dict[Future[float], tuple[Cell, str]] = {
            pool.submit(_work, cell, name, store, machine): (cell, name)
            for cell, name in zip(pending, names, strict=True)
        }
        try:
            for future in as_completed(futures):
                cell, name = futures[future]
                error = future.exception()
                if error is not None:
                    failures.append((cell, error))
                finish(name, error, None if error else future.result())
        except BaseException:
            for worker in list((pool._processes or {}).values()):
                worker.terminate()
            raise
    if failures and all(isinstance(error, UserError) for _, error in failures):
        raise UserError("\n".join(dict.fromkeys(str(error) for _, error in failures)))
    if failures:
        raise CellError("\n".join(f"{cell}: {error!r}\n{error.__cause__ or ''}" for cell, error in failures))


def _require(spec: TaskSpec, x_shape: tuple[int, ...], tasks: int) -> None:
    """Raise UserError where so many tasks cannot fit into this machine's memory.

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

_worker: dict[str, Any] = {}


def _start_worker(messages: Any, free: Any, verbose: bool) -> None:
    device = free.get()
    set_up()
    if device != "cpu":
        torch.cuda.set_device(device)
    _worker.update(messages=messages, device=torch.device(device))
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    log = logging.getLogger("metagap")
    log.addHandler(_Forward())
    log.setLevel(logging.INFO if verbose else logging.WARNING)
    # What torch compiles is kept between runs.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache_path("metagap") / "compiled"))
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _worker["messages"].put(("log", "", record.getMessage(), 0, 0))


def _work(cell: Cell, name: str, store: Path, machine: dict[str, Any]) -> float:
    started, last = time.monotonic(), 0.0

    def report(phase: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.1 or done == total:
            last = time.monotonic()
            _worker["messages"].put(("progress", name, phase, done, total))

    run_cell(cell, store, Machine(device=_worker["device"], **machine), report)
    return time.monotonic() - started


# On the terminal.


@contextmanager
def _progress(messages: Any, total: int, console: Console) -> Iterator[Any]:
    """Bars for the cells in work and one for all of them; gives the function to call for a finished cell."""
    with bars(console, speed_estimate_period=30) as shown:
        overall = shown.add_task(f"{total} cells", total=total)
        rows: dict[str, tuple[str, Any]] = {}
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    kind, cell, phase, done, of = messages.get(timeout=0.1)
                except queue.Empty:
                    continue
                if kind == "log":
                    shown.console.print(phase, style="yellow")
                    continue
                if cell not in rows or rows[cell][0] != phase:
                    if cell in rows:
                        shown.remove_task(rows[cell][1])
                    rows[cell] = (phase, shown.add_task(f"{cell}, {phase}", total=of))
                shown.update(rows[cell][1], completed=done)

        def finish(cell: str, error: BaseException | None, seconds: float | None) -> None:
            if cell in rows:
                shown.update(rows.pop(cell)[1], visible=False)
            shown.advance(overall)
            if error is None:
                shown.console.print(f"[green]✓[/] {cell} in {seconds:.0f} s")
            else:
                shown.console.print(f"[red]✗[/] {cell}: {escape(str(error))}")

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield finish
        finally:
            stop.set()
            listener.join()
