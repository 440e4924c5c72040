"""Measuring in a process of its own, with the memory allocator that the workers of `metagap run` have."""

from __future__ import annotations

import logging
import multiprocessing
import os
import traceback
from multiprocessing.connection import Connection
from typing import Any

from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from metagap.engine.process import set_up
from metagap.errors import CellError, UserError
from metagap.progress import Bars
from metagap.speed.compare import Measured, Settings, measure

ENVIRONMENT = {"KINETO_LOG_LEVEL": "99", "TORCH_CPP_LOG_LEVEL": "ERROR"}


def measure_apart(settings: Settings, console: Console) -> Measured:
    """`measure` in a fresh process, with a progress bar here.

    Raises the process's UserError; what else it fails of becomes a CellError.
    """
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(settings, there), daemon=True)
    process.start()
    there.close()
    columns = (TextColumn("{task.description}"), BarColumn(24), TaskProgressColumn(), TimeRemainingColumn())
    try:
        # Drawn rarely: the bar runs on a core that is being measured.
        with Bars(*columns, console=console, refresh_per_second=1, speed_estimate_period=300) as bar:
            task = bar.add_task("starting", total=1.0)
            while True:
                kind, *content = here.recv()
                if kind == "progress":
                    bar.update(task, description=content[0], completed=content[1])
                elif kind == "log":
                    bar.console.print(content[0], style="yellow", markup=False)
                elif kind == "done":
                    return content[0]
                else:
                    raise (UserError if kind == "refused" else CellError)(content[0])
    except EOFError:
        process.join()
        raise CellError(f"the measuring process ended with exit code {process.exitcode}") from None
    finally:
        process.terminate()
        process.join()


# In the process.


def _measure(settings: Settings, to: Connection) -> None:
    set_up()
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache_path("metagap") / "compiled"))
    logging.getLogger("metagap").addHandler(_Forward(to))
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    message: tuple[Any, ...]
    try:
        message = ("done", measure(settings, lambda text, done: to.send(("progress", text, done))))
    except UserError as error:
        message = ("refused", str(error))
    except KeyboardInterrupt:
        return
    except Exception:
        message = ("failed", traceback.format_exc())
    to.send(message)


class _Forward(logging.Handler):
    def __init__(self, to: Connection):
        super().__init__(logging.WARNING)
        self.to = to

    def emit(self, record: logging.LogRecord) -> None:
        self.to.send(("log", record.getMessage()))
