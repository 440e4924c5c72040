"""The sentences above what is along training: when gaps open, what the choice of an iteration costs.

They say what the tables below them hold, and link to these.
"""

from __future__ import annotations

import pandas as pd

from metagap.analysis.along.openings import NEVER, OPENS, REVERSED, TOO_FEW
from metagap.analysis.along.selection import COSTS, LAST, VALIDATION
from metagap.analysis.gaps import DOMAIN_GAP, TASK_GAP
from metagap.analysis.grids import AVERAGE
from metagap.analysis.intervals import CLAIMS_FROM
from metagap.report.frames import Frames
from metagap.report.panels import Phrase, Prose, Text
from metagap.report.table import row_id

Paragraph = list[Phrase]


def findings(frames: Frames) -> Prose | None:
    """What is claimed, and what cannot be; None without checkpoints."""
    openings = frames.headline_rows(frames.along.openings)
    paragraphs = [[*_opened(frames, openings), *_costs(frames), *_selected(frames)]]
    return Prose(paragraphs=paragraphs, style="verdict") if paragraphs[0] else None


def quantity_splits(frames: Frames, table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The splits on which quantities are shown first: of the whole run and of new tasks, and of new domains."""
    there = set(table["split"])
    home = [name for name in ("", *frames.role("in-distribution")[:1]) if name in there]
    away = [AVERAGE] if AVERAGE in there else [name for name in frames.role("cross-domain") if name in there]
    return home, away


def _opened(frames: Frames, openings: pd.DataFrame) -> Paragraph:
    phrases: Paragraph = []
    for gap in (TASK_GAP.name, DOMAIN_GAP.name):
        rows = openings[openings["gap"] == gap]
        rows = rows[rows["split"] == AVERAGE] if AVERAGE in set(rows["split"]) else rows
        rows = rows[rows["split"] == rows["split"].iloc[0]] if len(rows) else rows
        if rows.empty:
            continue
        split = str(rows["split"].iloc[0])
        of = f"average {gap}" if split == AVERAGE else gap
        opened = rows[rows["verdict"] == OPENS].sort_values("opens", kind="stable")
        said = [
            f"by iteration {at:,.0f} for {_listed(list(some['algorithm']))}" for at, some in opened.groupby("opens")
        ]
        parts = [f"opens {_listed(said)}"] if said else []
        for verdict, words in (
            (REVERSED, "is negative at the end for"),
            (NEVER, "is not shown to open within the budget for"),
        ):
            if names := list(rows.loc[rows["verdict"] == verdict, "algorithm"]):
                parts.append(f"{words} {_listed(names)}")
        if (rows["verdict"] == TOO_FEW).all():
            parts = [f"has too few seeds for a claim, which takes {CLAIMS_FROM}"]
        target = row_id("openings", gap, frames.gap_row(split))
        phrases += [Phrase(f"The {of} ", target=target), Phrase(f"{'; it '.join(parts)}. ")]
    return phrases


def _costs(frames: Frames) -> Paragraph:
    table = frames.headline_rows(frames.along.costs)
    if table.empty or not table["family"].max():
        return []
    phrases: Paragraph = []
    for rule, doing in ((LAST, "Taking the last checkpoint"), (VALIDATION, "Selecting on validation")):
        rows = table[table["rule"] == rule]
        if rows.empty:
            continue
        found = rows[rows["verdict"] == COSTS]
        target = "table-selection-costs"
        if found.empty:
            words = f"is not shown to cost anything on any of the {len(rows)} pairs of algorithm and split"
            phrases += [Phrase(f"{doing} "), Phrase(words, target=target), Phrase(". ")]
            continue
        worst = found.iloc[int(found["cost"].argmax())]
        most = frames.metric.gap(worst["cost"], worst["low"], worst["high"])
        where = f"{worst['algorithm']} on {frames.split_label(worst['split'])}"
        words = f"costs something on {len(found)} of {len(rows)} pairs of algorithm and split"
        phrases += [
            Phrase(f"{doing} "),
            Phrase(words, target=target),
            Phrase(f", at most {most} {frames.metric.gap_unit} ({where}). "),
        ]
    return phrases


def _selected(frames: Frames) -> Paragraph:
    table = frames.headline_rows(frames.along.selected)
    table = table[table["selection"] == VALIDATION]
    if table.empty:
        return []
    text = (
        f"The iteration that a run selected is the checkpoint that is best on validation in {table['same'].sum()} of "
    )
    return [Phrase(f"{text}{len(table)} runs.", target="table-selected-iterations")]


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


FINDINGS = Text(name="along-findings", section="training", write=findings)
