"""The gaps between splits, and those within a split."""

from __future__ import annotations

from functools import partial

import pandas as pd

from metagap.analysis.gaps import what_positive_means
from metagap.analysis.gaps.kind import Place
from metagap.report.frames import WITHIN, Frames, interval_words, values_by
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING


def gaps(frames: Frames, within: bool = False, place: Place = "table") -> Table | None:
    """Gap and split by algorithm: the gaps between splits, or those within a split; None without any."""
    table = frames.headline_gaps(within, place)
    if table.empty:
        return None
    cells = values_by(table, ["gap", "split", "algorithm"], ["value", "low", "high"])
    rows = []
    for gap, split in dict.fromkeys(zip(table["gap"], table["split"], strict=True)):
        row = {"gap": gap, "split": frames.gap_row(split)}
        text = frames.gap_text(gap)
        for algorithm in frames.algorithms:
            key = (gap, split, algorithm)
            row[algorithm] = text(*cells[key]) if key in cells else MISSING
        rows.append(row)
    sign = what_positive_means([frames.gap_kinds[gap] for gap in dict.fromkeys(table["gap"])])
    return Table(
        name="gaps-within" if within else "gaps",
        caption=f"In {frames.metric.gap_unit}{_others(frames, table)}. {sign} 95% {interval_words(table)}"
        + (f". {frames.statistic_name.capitalize()} over the episodes." if frames.is_robust else "."),
        frame=pd.DataFrame(rows, columns=["gap", "split", *frames.algorithms]),
        labels=2,
        title="Gaps within a split" if within else "Gaps",
    )


def _others(frames: Frames, table: pd.DataFrame) -> str:
    """The gaps that are in another unit."""
    units = {gap: frames.gap_kinds[gap].unit for gap in dict.fromkeys(table["gap"])}
    return ", but for the loss and the error ratio" if {"loss", "ratio"} & {*units.values()} else ""


GAPS = TableKind(name="gaps", section="gaps", make=gaps, terminal=partial(gaps, place="terminal"))
GAPS_WITHIN = TableKind(name="gaps-within", section="gaps", make=partial(gaps, within=True), folded=WITHIN)
