"""How far a long job is: bars on a terminal, and elsewhere, as in a cluster's log, a line now and then."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.progress import TransferSpeedColumn as TransferRate
from rich.text import Text

from metagap.screen import Screen

FIRST_LINE, NEXT_LINES = 2.0, 30.0
"""Seconds until a job that has no terminal tells how far it is, and between such lines."""


class Rate(ProgressColumn):
    """Iterations, episodes or whatever is counted, per second."""

    def render(self, task: Task) -> Text:
        """The rate with two digits after the point where it is low."""
        speed = task.speed or 0.0
        return Text(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2f}/s", style="cyan")


class Bars(Progress):
    """rich's bars, which vanish when the job ends. Without a terminal each visible bar is a line of text instead,
    with the time of day: soon after the start, and every 30 s from then on. The field `brief` of a task leaves out its
    rate and the time left there, which a few cells do not give.
    """

    def __init__(self, *columns: ProgressColumn, console: Console, hidden: bool = False, **options: Any):
        super().__init__(*columns, console=console, transient=True, disable=not console.is_terminal, **options)
        self._told = not console.is_terminal and not hidden
        self.disable |= hidden
        self._over = threading.Event()

    def start(self) -> None:
        """Show the bars, or begin to print lines."""
        super().start()
        if self._told:
            threading.Thread(target=self._tell, daemon=True).start()

    def stop(self) -> None:
        """Remove the bars; no further line is printed."""
        self._over.set()
        super().stop()

    def _tell(self) -> None:
        wait = FIRST_LINE
        while not self._over.wait(wait):
            wait = NEXT_LINES
            for task in self.tasks:
                if task.visible and not task.finished:
                    self.console.print(self._line(task), markup=False, soft_wrap=True)

    def _line(self, task: Task) -> str:
        hidden = (BarColumn, Rate, TimeLeft) if task.fields.get("brief") else BarColumn
        columns = [
            column for column in self.columns if isinstance(column, ProgressColumn) and not isinstance(column, hidden)
        ]
        cells = [(column, column(task)) for column in columns]
        texts = [
            f"{text.plain.strip()}{' left' if isinstance(column, TimeLeft) else ''}"
            for column, text in cells
            if isinstance(text, Text) and "-:--" not in text.plain  # no time is known yet
        ]
        return f"{time.strftime('%H:%M:%S')} {', '.join(filter(None, texts))}"


def bars(console: Console, **options: Any) -> Bars:
    """Bars of things that are counted, with their rate and the time left; options: those of rich's `Progress`."""
    description = TextColumn("{task.description}", markup=False)
    return Bars(description, BarColumn(24), MofNCompleteColumn(), Rate(), TimeLeft(), console=console, **options)


@contextmanager
def progress(what: str, total: int | None, size: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar on the error stream for one job; gives the function that is called with how much more is done.

    size: it is bytes that are counted. A worker process shows nothing, for it would draw over the bars of its parent.
    """
    console = Screen(stderr=True)
    amount = (DownloadColumn(), TransferRate()) if size else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(24), *amount, TimeLeft())
    with Bars(*columns, console=console, hidden=multiprocessing.parent_process() is not None) as shown:
        bar = shown.add_task(what, total=total)
        yield lambda more: shown.update(bar, advance=more)
