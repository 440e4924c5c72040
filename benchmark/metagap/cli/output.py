"""What commands print, and how they end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from metagap.errors import UserError
from metagap.text import is_control, printable

if TYPE_CHECKING:
    from rich.console import Console

    from metagap.executors.running import CellFailure
    from metagap.registry import Kind
    from metagap.report.reproduction import Reproduction
    from metagap.reproduce.paper_table import PaperTable
    from metagap.results import Results, SweepResults


def present(found: Results, folder: Path, json: bool) -> None:
    """Print the tables and write the page."""
    from metagap.report import terminal
    from metagap.report.frames import Frames
    from metagap.report.page import write_report

    screen = console(stderr=json)
    with screen.status("computing scores, gaps and their intervals"):
        frames = Frames.of(found)
    if json:
        tables = {name: terminal.as_json(frames.data(name)) for name in ("scores", "gaps", "pairs", "published")}
        print_json({**tables, "notes": found.notes})
    else:
        terminal.print_results(frames, screen)
        print_notes(found.notes, screen)
    with screen.status("drawing the report"):
        page = write_report(frames, folder)
    screen.print(f"Report: {page}", markup=False)


def print_notes(notes: Sequence[str], screen: Console) -> None:
    """Print what a reader of numbers should know."""
    from rich.markup import escape

    for note in notes:
        screen.print(f"[yellow]Note:[/] {escape(note)}")


def present_sweep(found: SweepResults, folder: Path, json: bool) -> None:
    """Print scores, gaps and trends of a sweep, or what held-out domains cost, and write the page."""
    from metagap.analysis.domains import domains
    from metagap.analysis.trends import trends
    from metagap.report import domains as pages
    from metagap.report import sweeps

    screen = console(stderr=json)
    if not found.axes:
        with screen.status("computing scores, gaps and what rules select"):
            held_out = domains(found)
        if json:
            print_json(pages.as_json(held_out))
        else:
            pages.print_domains(held_out, screen)
        screen.print(f"Report: {pages.write(held_out, folder)}", markup=False)
        return
    with screen.status("computing scores, gaps and their trends"):
        numbers = trends(found)
    if json:
        print_json(sweeps.as_json(numbers))
    else:
        sweeps.print_sweep(numbers, screen)
    with screen.status("drawing the page"):
        page = sweeps.write(numbers, folder)
    screen.print(f"Report: {page}", markup=False)


def present_table(
    table: PaperTable, store: Path, seeds: list[int] | None, hashes: Any, out: Path, json: bool
) -> Reproduction:
    """Print the table next to ours, write its files, and return it."""
    from metagap.report import reproduction, terminal
    from metagap.reproduce.reading import read

    found = read(table, store, seeds, hashes)
    screen = console(stderr=json)
    if json:
        deviations = reproduction.deviations(found)
        print_json({"cells": terminal.as_json(found.cells), "deviations": deviations, "notes": found.notes})
    else:
        reproduction.print_reproduction(found, screen)
    screen.print(f"Report: {reproduction.write(found, out / found.folder)}", markup=False)
    return found


@contextmanager
def failing(failed: Sequence[CellFailure]) -> Iterator[None]:
    """Present what there is; then the error of the cells that failed is raised, also where nothing can be presented."""
    from metagap.executors.running import error_of

    try:
        yield
    except UserError as error:
        if not failed:
            raise
        print(f"metagap: {printable(str(error))}", file=sys.stderr)
    if failed:
        raise error_of(failed)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C says how to resume, and exits with code 130."""
    try:
        yield
    except KeyboardInterrupt:
        print("metagap: interrupted; run the same command again to resume", file=sys.stderr)
        raise typer.Exit(130) from None


def warn_of_clashes(kind: Kind | None) -> None:
    """Say which plugins are not used because of their name."""
    from metagap.registry import clashes

    for message in clashes(kind) if kind else []:
        print(f"metagap: {printable(message)}", file=sys.stderr)


def say_what_is_run() -> None:
    """Of all that suites and results name, files of plugins are the one thing that is run: let each be said, once."""

    class Said(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print(f"metagap: {printable(record.getMessage())}", file=sys.stderr)

    plugins = logging.getLogger("metagap.plugins")
    plugins.handlers, plugins.propagate = [Said()], False
    plugins.setLevel(logging.INFO)


def console(stderr: bool = False) -> Console:
    """Where tables are printed; on standard error where standard output is for JSON."""
    from metagap.screen import Screen

    return Screen(stderr=stderr, highlight=False, soft_wrap=False)


def print_title(console: Console, title: str, rest: str = "") -> None:
    """Print what is run."""
    from rich.text import Text

    console.print(Text.assemble((title, "bold"), rest))


def print_json(value: Any) -> None:
    """Print a plain value."""
    import json

    text = json.dumps(value, indent=1, ensure_ascii=False)
    print("".join(json.dumps(c)[1:-1] if is_control(c) else c for c in text))
