"""A progress bar for what a source does by itself: decoding, hashing, fetching."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(what: str, total: int | None, size: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal's error stream; gives the function that is told how much more is done.

    size: it is bytes that are counted. Nothing is shown where the error stream is no terminal, nor by a worker process,
    whose bar would be drawn over that of its parent.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft
    from rich.progress import TransferSpeedColumn as Rate

    console = Console(stderr=True)
    hidden = not console.is_terminal or multiprocessing.parent_process() is not None
    amount = (DownloadColumn(), Rate()) if size else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(24), *amount, TimeLeft())
    with Progress(*columns, console=console, transient=True, disable=hidden) as bars:
        bar = bars.add_task(what, total=total)
        yield lambda more: bars.update(bar, advance=more)
