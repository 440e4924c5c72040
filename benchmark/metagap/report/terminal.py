"""The same numbers for a terminal, and as plain records for machines."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from metagap.report import published as beside
from metagap.report.frames import ROLE_ORDER, SHIFT_GROUP, Frames, correction, is_shifted, split_label
from metagap.text import MISSING, number, probability, share

if TYPE_CHECKING:
    from metagap.results import Results

LABEL = 32  # columns that a split's name may take
NARROW = 16  # and as few as this where it lets all algorithms stand side by side


def print_scores(frames: Frames, console: Console) -> None:
    """Splits by algorithms, each score with its interval, and the share of diverged episodes where there are any."""
    measure, table = frames.measure, frames.scores
    table = table[(table["condition"] == "standard") & (table["statistic"] == measure.statistic)]
    text = {
        (row["split"], row["algorithm"]): measure.score(row["score"], row["low"], row["high"])
        for row in table.to_dict("records")
    }
    mean = "interquartile mean over the episodes" if measure.log else "mean over the episodes"
    title = f"{measure.heading} ({mean}; {_interval(table)})"
    best = {(split, algorithm) for split in table["split"].unique() for algorithm in frames.best(split)}
    _grid(console, title, _score_rows(frames.suite, table), text, list(table["algorithm"].unique()), best)
    if measure.log or (table["diverged"] > 0).any():
        shares = {(row["split"], row["algorithm"]): share(row["diverged"]) for row in table.to_dict("records")}
        rows = _score_rows(frames.suite, table)
        _grid(console, "Share of diverged episodes", rows, shares, list(table["algorithm"].unique()))


def print_gaps(frames: Frames, console: Console) -> None:
    """The gaps between splits, by algorithm, each with its interval."""
    measure, table = frames.measure, frames.headline_gaps(place="terminal")
    if table.empty:
        return
    text = {
        (f"{row['gap']}/{row['split']}", row["algorithm"]): measure.gap(row["value"], row["low"], row["high"])
        for row in table.to_dict("records")
    }
    pairs = dict.fromkeys(zip(table["gap"], table["split"], strict=True))
    rows = [(gap, split_label(frames.suite, split), f"{gap}/{split}") for gap, split in pairs]
    title = f"Gaps in {measure.gap_unit}; positive: generalization costs ({_interval(table)})"
    _grid(console, title, rows, text, list(table["algorithm"].unique()))


def print_published(frames: Frames, console: Console) -> None:
    """Published values beside ours, and in what the suite differs; prints nothing where the suite cites none."""
    if frames.published.empty:
        return
    for split, rows in frames.published.groupby("split", sort=False):
        table = new_table(f"Published values and ours on {split}: {frames.measure.axis_label}")
        for position, row in enumerate(rows.to_dict("records")):
            cells = beside.stacked(row, frames.measure)
            if position == 0:
                for heading in ("", "steps", *cells, "verdict"):
                    table.add_column(heading, justify="left" if heading in ("", "verdict") else "right")
            step = MISSING if pd.isna(row["step"]) else str(int(row["step"]))
            table.add_row(escape(row["algorithm"]), step, *map(escape, cells.values()), coloured(beside.verdict(row)))
        console.print(table)
    for mark in beside.UNREAD:
        if mark in set(frames.published["mark"]):
            console.print(f"[dim]{escape(f'[{mark}]')} {beside.MARKS[mark]}[/]")
    if frames.deviations:
        console.print("[bold]Known deviations from the published protocol[/]")
        for deviation in frames.deviations:
            console.print(Padding(escape(f"– {deviation}"), (0, 0, 0, 2)))


def print_comparison(frame: pd.DataFrame, a: str, b: str, results: Results, console: Console) -> None:
    """The rows of `metagap.analysis.comparisons.compare`: by how much `a` differs from `b`, and is it significant."""
    measure = results.metric
    frame = frame[frame["statistic"] == measure.statistic]
    kinds = ", ".join(dict.fromkeys(frame["interval"]))
    out = new_table(f"{a} − {b} in {measure.gap_unit}, positive: {a} is better (95% interval: {kinds})")
    for heading in ("split", "role", "difference", "p", "p (Holm)", "P(first > second)", "verdict"):
        out.add_column(escape(heading), justify="left" if heading in ("split", "role", "verdict") else "right")
    for row in frame.to_dict("records"):
        out.add_row(
            escape(split_label(results.suite, row["split"])),
            row["role"],
            measure.gap(row["difference"], row["low"], row["high"]),
            probability(row["p"]),
            probability(row["p_holm"]),
            number(row["improvement"], 2),
            coloured(row["verdict"]),
        )
    console.print(out)
    console.print(f"[dim]{escape(correction(frame))}[/]")


def as_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as records of plain values: NaN is null, infinities are the strings "inf" and "-inf"."""
    return [{key: _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return None if value is pd.NA or value is pd.NaT else value


def _score_rows(suite: dict[str, Any], table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """(group, label, split) in the order of the table, with the splits of another shape last."""
    splits = table.drop_duplicates("split").set_index("split")["role"]
    rows = [(SHIFT_GROUP if is_shifted(suite, s) else role, split_label(suite, s), s) for s, role in splits.items()]
    order = [*ROLE_ORDER, *splits.unique(), SHIFT_GROUP]
    return sorted(rows, key=lambda row: order.index(row[0]))


def _grid(
    console: Console, title: str, rows: list[tuple[str, str, str]], text: dict, algorithms: list[str],
    best: Container[tuple[str, str]] = (),
) -> None:  # fmt: skip
    """Rows of (group, label, key) by algorithms; algorithms that do not fit beside each other follow below."""
    widest = max(len(value) for value in [*text.values(), *algorithms]) + 3
    label = min(LABEL, max(max(len(name) + 2, len(group)) for group, name, _ in rows))
    room = console.width - 2 - widest * len(algorithms)  # what a label may take if all algorithms are to fit
    label = min(label, room) if room >= NARROW else label
    fit = max(1, (console.width - label - 2) // widest)
    for start in range(0, len(algorithms), fit):
        shown = algorithms[start : start + fit]
        out = new_table(title if start == 0 else None)
        out.add_column("", width=label, overflow="fold")
        for algorithm in shown:
            out.add_column(escape(algorithm), justify="right", no_wrap=True)
        before = None
        for group, name, key in rows:
            if group != before:
                out.add_row(f"[dim]{escape(group)}[/]")
            cells = [Text(text.get((key, a), MISSING), style="bold" if (key, a) in best else "") for a in shown]
            out.add_row(Padding(escape(name), (0, 0, 0, 2)), *cells)
            before = group
        console.print(out)


def new_table(title: str | None) -> Table:
    """An empty table in the look of all of them."""
    return Table(
        title=None if title is None else escape(title),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        padding=(0, 1),
    )


def _interval(table: pd.DataFrame) -> str:
    return f"95% interval over {' or '.join(dict.fromkeys(table['interval']))}"


def coloured(verdict: str) -> str:
    """A verdict: green where something was shown, red where values differ, else yellow."""
    shown = verdict.startswith("agrees") or "better" in verdict
    colour = "green" if shown else "red" if verdict.startswith("differs") else "yellow"
    return f"[{colour}]{escape(verdict)}[/]"
