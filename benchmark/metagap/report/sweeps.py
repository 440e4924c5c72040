"""The page of a sweep: how scores and gaps change with its values; and the same on a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.markup import escape

from metagap.analysis.trends import SCORE, WORDS, Trends
from metagap.report import terminal, theme
from metagap.report.figures import sweeps as figures
from metagap.report.page import Block, Drawn, drawn, render_page, stacked, write_page
from metagap.report.panels import Phrase, Prose
from metagap.report.table import Table
from metagap.report.tables import sweeps as tables
from metagap.report.tables.sweeps import measure, per, step_of
from metagap.suite import Axis
from metagap.text import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

BANDS = "Lines: mean over seeds. Bands: the crossed 95% interval, of new training runs on new episodes, at each value."
ALL_GAPS = "All gaps at all values"
OTHERS = "Slopes and trends of other measures"
TABLES: dict[str, Callable[[Trends], Table | None]] = {
    "trends": tables.trends,
    "trends-others": partial(tables.trends, claimed=False),
    "scores": tables.scores,
    "gaps": tables.gaps,
}
"""Name -> how it is made; None where there is nothing to show."""

Draw = Callable[[Trends, bool], "Figure | None"]


def figures_of(found: Trends) -> dict[str, tuple[Draw, str]]:
    """Name -> how it is drawn, and its caption: lines along one key, or a heat map for each claim about two."""
    if len(found.axes) == 1:
        name = found.axes[0].name
        return {
            "scores": (figures.scores, f"{found.metric.heading}, on each split against {name}. {BANDS}"),
            "gaps": (figures.gaps, f"Each gap against {name}; above zero, generalization costs something. {BANDS}"),
        }
    claimed = found.trends[found.trends["family"] > 0]
    first, second = found.axes
    drawn: dict[str, tuple[Draw, str]] = {}
    for what, split in dict.fromkeys(zip(claimed["what"], claimed["split"], strict=True)):
        about = measure(what, split)
        unit = found.metric.axis_label if what == SCORE else found.metric.gap_unit
        drawn["map-" + re.sub(r"[^a-z0-9]+", "-", about.lower()).strip("-")] = (
            lambda found, narrow, what=what, split=split: figures.heat_map(found, what, split, narrow),
            f"{about[0].upper()}{about[1:]}: {unit}, mean over seeds, over {first.name} (across) and {second.name} "
            "(up); the darker, the greater. The table has the intervals.",
        )
    return drawn


def figure(found: Trends, name: str, narrow: bool = False) -> Figure | None:
    """A figure in the style of the page; None where there is nothing to draw."""
    draw, _ = figures_of(found)[name]
    with theme.drawing():
        return draw(found, narrow)


def findings(found: Trends) -> list[list[Phrase]]:
    """What rises and falls, by how much, and what cannot be told: a paragraph for each measure and key."""
    claimed = found.trends[found.trends["family"] > 0]
    paragraphs = [
        _paragraph(found, axis, str(what), str(split), part)
        for axis in found.axes
        for (what, split), part in claimed[claimed["key"] == axis.key].groupby(["what", "split"], sort=False)
    ]
    if claimed.empty:
        return [[Phrase("No algorithm has results at two values, so that there is nothing to compare.")]]
    units = " and ".join(dict.fromkeys(f"{found.metric.gap_unit} {per(axis)}" for axis in found.axes))
    ends = "the measure at the least and at the greatest value"
    paragraphs.append([Phrase(f"In brackets: the slope in {units} with its 95% interval, and {ends}.")])
    if not np.isfinite(claimed["p_holm"]).any():
        return [*paragraphs, [Phrase("Trends are claimed from three seeds on.")]]
    return [*paragraphs, *_limits(found, claimed)]


def _paragraph(found: Trends, axis: Axis, what: str, split: str, rows: pd.DataFrame) -> list[Phrase]:
    """How one measure changes with one key."""
    about = measure(what, split)
    said = [Phrase(f"{about[0].upper()}{about[1:]}, with {axis.name}", strong=True), Phrase(": ")]
    parts = []
    for verdict in WORDS[what == SCORE]:
        told = [_slope(found, axis, row) for row in rows[rows["verdict"] == verdict].to_dict("records")]
        parts += [f"{verdict} for {', '.join(told)}"] if told else []
    open_ones = rows[~rows["verdict"].isin(WORDS[what == SCORE])]
    if not open_ones.empty:
        told = [_slope(found, axis, row) for row in open_ones.to_dict("records")]
        parts.append(f"no trend can be told for {', '.join(told)}")
    return [*said, Phrase(f"{'; '.join(parts)}.")]


def _slope(found: Trends, axis: Axis, row: dict[Any, Any]) -> str:
    """`maml (+2.1 ± 0.5; 55.3 to 64.1)`."""
    step, text = step_of(axis), found.metric.score if row["what"] == SCORE else found.metric.gap
    slope = found.metric.gap(step * row["slope"], step * row["low"], step * row["high"])
    return f"{row['algorithm']} ({slope}; {text(row['least'])} to {text(row['greatest'])})"


def _limits(found: Trends, claimed: pd.DataFrame) -> Iterator[list[Phrase]]:
    """What slopes these results could show."""
    for axis in found.axes:
        finds = claimed.loc[claimed["key"] == axis.key, "detectable_claim"].dropna() * step_of(axis)
        if finds.empty:
            continue
        low, high = (number(one * found.metric.gap_scale, found.metric.decimals) for one in (finds.min(), finds.max()))
        yield [
            Phrase(
                f"With these runs, a straight line leads to a claim with a probability of 80% if its slope is {low} "
                f"to {high} {found.metric.gap_unit} {per(axis)}, depending on the algorithm and the measure."
            )
        ]


def blocks(found: Trends) -> list[Block]:
    """The page from top to bottom."""
    shown = {name: _drawn(found, name) for name in figures_of(found)}
    maps = {name: one for name, one in shown.items() if name.startswith("map-")}
    made = [
        ("findings", "findings", "", Prose(paragraphs=findings(found), style="verdict")),
        ("notes", "findings", "", Prose(items=found.notes, style="notes")),
        ("figure-scores", "scores", "", shown.get("scores")),
        *((name, "scores", "", one) for name, one in maps.items() if name.startswith("map-score")),
        ("scores", "scores", "", tables.scores(found)),
        ("figure-gaps", "gaps", "", shown.get("gaps")),
        *((name, "gaps", "", one) for name, one in maps.items() if not name.startswith("map-score")),
        ("gaps", "gaps", ALL_GAPS, tables.gaps(found)),
        ("trends", "slopes-and-trends", "", tables.trends(found)),
        ("trends-others", "slopes-and-trends", OTHERS, tables.trends(found, claimed=False)),
        ("run", "what-was-run", "", Prose(terms=_run(found))),
    ]
    return stacked(made, found.notes)


def _drawn(found: Trends, name: str) -> Drawn | None:
    return drawn(name, figures_of(found)[name][1], figure(found, name), figure(found, name, narrow=True))


def _facts(found: Trends) -> list[tuple[str, str]]:
    """The sweep in a few words, below the title of the page."""
    suite, first = found.results.suite, next(iter(found.results.members.values()))
    seeds = found.points["seeds"]
    several = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    return [
        *((axis.name, f"{axis.name}: {', '.join(f'{value:g}' for value in axis.values)}") for axis in found.axes),
        ("Task", f"{suite.shape()} {suite.kind}"),
        ("Model", suite.model["name"]),
        ("Training", f"{first.suite.training.iterations:,} iterations, {several} seeds"),
    ]


def _run(found: Trends) -> list[tuple[str, str]]:
    suite = found.results.suite
    members = [
        (found.results.said(values), f"variant {one.variant}: {len(one.cells)} cells")
        for values, one in found.results.members.items()
    ]
    splits = ", ".join(f"{split.name} ({split.role})" for split in suite.test_splits)
    return [*_facts(found), ("Splits", splits), ("Algorithms", ", ".join(found.algorithms)), *members]


def render(found: Trends, made: list[Block]) -> str:
    """The page of these blocks as HTML."""
    suite = found.results.suite
    description = " ".join(suite.description.split())
    return render_page(made, suite.title, description, _facts(found), theme.styles(suite))


def write(found: Trends, folder: Path) -> Path:
    """Write the page with its figures and tables, and return its path. Raises UserError where a file cannot be."""
    made = blocks(found)
    return write_page(render(found, made), made, {"points": found.points, "trends": found.trends}, folder)


def print_sweep(found: Trends, console: Console) -> None:
    """The findings, the tables of what claims are made on and of scores, and the notes."""
    for paragraph in findings(found):
        console.print("".join(f"[bold]{escape(one.text)}[/]" if one.strong else escape(one.text) for one in paragraph))
    for name in ("trends", "scores"):
        if (table := TABLES[name](found)) is not None:
            terminal.print_table(table, console)
    for note in found.notes:
        console.print(f"[yellow]Note:[/] {escape(note)}")


def as_json(found: Trends) -> dict[str, Any]:
    """All numbers as plain values."""
    return {
        "sweep": [axis.model_dump() for axis in found.axes],
        "points": terminal.as_json(found.points),
        "trends": terminal.as_json(found.trends),
        "notes": found.notes,
    }
