"""The tables of a report on a terminal, and as plain records for machines."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from metagap.report.contents import page_contents
from metagap.report.frames import Frames
from metagap.report.panels import Failure, TableKind, attempt
from metagap.report.table import Table
from metagap.report.tables.comparisons import of_two

if TYPE_CHECKING:
    from metagap.analysis.comparisons import Comparisons
    from metagap.results import Results

LABEL = 34
"""Columns that the name of a row may take,"""
NARROW = 16
"""and as few as this where it lets all columns stand next to each other."""
PROSE = 12
"""The least columns for a column of words."""


def print_results(frames: Frames, console: Console) -> None:
    """Every table that is for a terminal, and in what the suite differs from what it is compared with."""
    for kind in page_contents()[0]:
        if isinstance(kind, TableKind) and kind.terminal is not None:
            table = attempt(f"The table '{kind.name}'", lambda make=kind.terminal: make(frames))
            if isinstance(table, Failure):
                console.print(f"[yellow]Note:[/] {escape(table)}")
            elif table is not None and len(table.frame):
                print_table(table, console)
    if frames.deviations:
        console.print("[bold]Known deviations from the published protocol[/]")
        for deviation in frames.deviations:
            console.print(Padding(escape(f"– {deviation}"), (0, 0, 0, 2)))


def print_comparison(found: Comparisons, a: str, b: str, results: Results, console: Console) -> None:
    """What `metagap.analysis.comparisons.compare` found: by how much `a` differs from `b`, and is it significant."""
    for table in of_two(found, a, b, results.suite, results.metric):
        print_table(table, console)


def print_table(table: Table, console: Console) -> None:
    """A table as wide as the console: columns that do not fit follow below, or every row becomes a sentence.

    A table with groups of columns is turned, so that its groups stand above its rows.
    """
    console.print(f"[bold]{escape(table.title or table.name.capitalize())}[/]")
    console.print(f"[dim]{escape(table.caption)}[/]")
    if table.groups and table.labels == 1 and table.frame.iloc[:, 0].is_unique:
        table = table.turned()
    columns = list(table.frame.columns[table.labels :])
    widths = {column: _width(table, column) + 3 for column in columns}
    labels = [table.frame.iloc[:, place] for place in range(table.labels)]
    longest = max(map(len, labels[-1])) + (2 if table.labels > 1 else 0)
    label = min(LABEL, max([longest, *(len(name) for part in labels[:-1] for name in part)]))
    room = console.width - 2 - sum(widths.values())  # what a label may take if all columns are to fit
    label = min(label, room) if room >= (NARROW if not table.plain else NARROW // 2) else label
    if label + sum(widths.values()) + 2 <= console.width:
        _print_grid(table, columns, label, console)
    elif table.plain:
        _print_rows(table, console)
    else:
        for part in _parts(columns, widths, console.width - label - 2):
            _print_grid(table, part, label, console)


def _parts(columns: list[str], widths: dict[str, int], room: int) -> list[list[str]]:
    """The columns in runs that fit into a room, each of one column at least."""
    parts: list[list[str]] = [[]]
    for column in columns:
        if parts[-1] and sum(widths[other] for other in parts[-1]) + widths[column] > room:
            parts.append([])
        parts[-1].append(column)
    return parts


def _width(table: Table, column: str) -> int:
    """What a column needs: its longest line, the longest word of its heading; prose can be broken."""
    lines = [len(line) for text in table.frame[column] for line in text.splitlines() or [""]]
    heading = max(map(len, column.split()), default=0)
    return max(heading, min(max(lines), PROSE) if column in table.plain else max(lines))


def _print_grid(table: Table, columns: list[str], label: int, console: Console) -> None:
    grid = new_table(None)
    grid.add_column("", width=label, overflow="fold")
    for column in columns:
        prose = column in table.plain
        least, align = _width(table, column), "left" if prose else "right"
        width = None if prose else least  # of numbers alone: their heading is broken between words
        grid.add_column(escape(column), justify=align, overflow="fold", min_width=least, width=width)
    before = None
    for place, row in enumerate(table.frame.to_dict("records")):
        *above, name = (row[part] for part in table.frame.columns[: table.labels])
        if above and above != before:
            grid.add_row(f"[dim]{escape(', '.join(above))}[/]")
        cells = [_cell(row[column], column, table.style(place, column)) for column in columns]
        grid.add_row(Padding(escape(name), (0, 0, 0, 2 if above else 0)), *cells)
        before = above
    console.print(grid)


def _print_rows(table: Table, console: Console) -> None:
    """A sentence for each row, where a grid would be wider than the console."""
    names = list(table.frame.columns)
    rows = table.frame.to_dict("records")
    for above, part in groupby(rows, key=lambda row: [row[name] for name in names[: table.labels - 1]]):
        if above:
            console.print(f"[dim]{escape(', '.join(above))}[/]")
        for row in part:
            columns = names[table.labels :]
            values = [f"{name} {' '.join(row[name].split())}" for name in columns if name not in table.plain]
            text = Text(f"{row[names[table.labels - 1]]}: {', '.join(values)}")
            for name in filter(table.plain.__contains__, columns):
                text.append("  ").append_text(_cell(row[name], name))
            console.print(Padding(text, (0, 0, 0, 2)))
    console.print()


def _cell(text: str, column: str, style: str = "") -> Text:
    looks = {"best": "bold", "highest": "italic", "": ""}
    return Text.from_markup(coloured(text)) if column == "verdict" else Text(text, style=looks[style])


def as_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as records of plain values: NaN is null, infinities are the strings "inf" and "-inf"."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return None if value is pd.NA or value is pd.NaT else value


def new_table(title: str | None) -> Grid:
    """An empty table in the look of all of them."""
    return Grid(
        title=None if title is None else escape(title),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        padding=(0, 1),
    )


def coloured(verdict: str) -> str:
    """A verdict: green where something was shown, red where values differ, else yellow."""
    shown = verdict.startswith("agrees") or verdict.endswith((" better", " smaller"))
    colour = "green" if shown else "red" if verdict.startswith("differs") else "yellow"
    return f"[{colour}]{escape(verdict)}[/]"
