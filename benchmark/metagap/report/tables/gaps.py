"""The gaps between splits, and those within a split."""

from __future__ import annotations

from functools import partial

import pandas as pd

from metagap.analysis.gaps import what_positive_means
from metagap.analysis.gaps.kind import Place
from metagap.report.computed import interval_computed, joined
from metagap.report.frames import STATISTICS, Frames, interval_words, values_by, within_title
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
        + (f". {frames.statistic_name.capitalize()} over the episodes." if frames.is_robust else ".")
        + frames.reference_words(table),
        frame=pd.DataFrame(rows, columns=["gap", "split", *frames.algorithms]),
        labels=2,
        title="Gaps within a split" if within else "Gaps",
    )


def _others(frames: Frames, table: pd.DataFrame) -> str:
    """The gaps that are in another unit."""
    units = {gap: frames.gap_kinds[gap].unit for gap in dict.fromkeys(table["gap"])}
    steps = " (horizon shifts: per step)" if "per step" in units.values() and frames.metric.accumulates else ""
    return steps + (", but for the loss and the error ratio" if {"loss", "ratio"} & {*units.values()} else "")


def computed(frames: Frames, within: bool = False) -> str:
    """How the numbers come about."""
    rows = frames.headline_gaps(within)
    if rows.empty:
        return ""
    two = (
        "the same episodes, so that their difference is paired"
        if within
        else "two sets of episodes, apart from each other"
    )
    average = (
        "The average speaks about these very domains; its interval over domains like them is among the intervals of "
        "the gaps."
    )
    return joined(
        f"Value: the difference of the two sides' {STATISTICS[frames.metric.statistic]}s, run by run, then the mean "
        f"over the runs. The sides are {two}.",
        interval_computed(rows, "the gap"),
        average if (rows["domains"] > 1).any() else "",
        "The interval of an error ratio is taken on the logarithm (delta method)."
        if (rows["unit"] == "ratio").any()
        else "",
        "" if within else "Whose gap is smaller is tested under Comparisons; whether a gap is zero is not.",
    )


GAPS = TableKind(name="gaps", section="gaps", make=gaps, terminal=partial(gaps, place="terminal"), computed=computed)
GAPS_WITHIN = TableKind(
    name="gaps-within",
    section="gaps",
    make=partial(gaps, within=True),
    folded=within_title,
    computed=partial(computed, within=True),
)
