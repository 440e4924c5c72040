"""All intervals of the same score."""

from __future__ import annotations

import math

import pandas as pd

from metagap.analysis.intervals import CROSSED, DISJOINT, DOMAINS
from metagap.report.computed import DOMAINS as DOMAINS_COMPUTED
from metagap.report.computed import bounds_words, interval_computed, joined, statistic_words
from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING

OVER = (
    "Over seeds: t over the S values of the runs, with S − 1 degrees of freedom. Over episodes: t over the M "
    "episodes, each averaged over the runs, with M − 1."
)
IMAGES = (
    "Over disjoint tasks: t over episodes that share no image. Over classes: what each test class does to the episodes "
    "that hold it is a random effect with multiple membership, whose variance is added to that of the episodes."
)
OTHERS = ("seeds", "episodes", "classes")
"""The intervals of the same score that stand next to the headline, each named by what it resamples."""


def intervals(frames: Frames) -> Table:
    """All intervals side by side, one row for each algorithm and split; those that no row has are left out."""
    table, metric = frames.headline_scores(), frames.metric
    rows = []
    for _, row in frames.ordered(table).iterrows():
        several = row["interval"] == CROSSED
        cells = {CROSSED: _bounds(frames, row["score"], row["low"], row["high"]) if several else MISSING}
        for name in OTHERS:
            cells[name] = _bounds(frames, row["score"], row[f"{name}_low"], row[f"{name}_high"])
        cells[DISJOINT] = metric.score(row["disjoint_score"], row["disjoint_low"], row["disjoint_high"])
        about = {"split": frames.split_label(row["split"]), "algorithm": row["algorithm"]}
        rows.append(about | {"seeds run": str(row["seeds"]), "score": metric.score(row["score"])} | cells)
    frame = pd.DataFrame(rows, columns=["split", "algorithm", "seeds run", "score", CROSSED, *OTHERS, DISJOINT])
    empty = [name for name in (CROSSED, *OTHERS, DISJOINT) if (frame[name] == MISSING).all()]
    caption = f"{metric.heading}: the 95% intervals of the same score, each named by what it resamples."
    if DISJOINT not in empty:
        caption += " That of disjoint tasks has its own score, for its episodes draw no image twice."
    return Table(name="intervals", caption=caption, frame=frame.drop(columns=empty), labels=2)


def gap_intervals(frames: Frames) -> Table | None:
    """The same for the gaps between splits; None without any."""
    table = frames.headline_gaps()
    if table.empty:
        return None
    names = (CROSSED, "seeds", "episodes", DOMAINS)
    rows = []
    for row in table.to_dict("records"):
        text = frames.gap_text(row["gap"])
        ends = {CROSSED: (row["low"], row["high"]) if row["interval"] == CROSSED else (math.nan, math.nan)}
        ends |= {name: (row[f"{name}_low"], row[f"{name}_high"]) for name in names[1:]}
        cells = {
            name: MISSING if math.isnan(low) or math.isnan(high) else _only(text(row["value"], low, high))
            for name, (low, high) in ends.items()
        }
        about = {"gap": row["gap"], "split": frames.gap_row(row["split"]), "algorithm": row["algorithm"]}
        about["seeds run"] = str(row["seeds"])
        rows.append(about | {"value": text(row["value"], math.nan, math.nan)} | cells)
    frame = pd.DataFrame(rows)
    empty = [name for name in names if (frame[name] == MISSING).all()]
    return Table(
        name="gap-intervals",
        caption="The 95% intervals of the same gap, each named by what it resamples. “domains” speaks about domains "
        f"like these, the others about these very domains.{frames.reference_words(table)}",
        frame=frame.drop(columns=empty),
        labels=3,
    )


def _bounds(frames: Frames, score: float, low: float, high: float) -> str:
    """Only the interval of a score."""
    return MISSING if math.isnan(low) or math.isnan(high) else _only(frames.metric.score(score, low, high))


def _only(text: str) -> str:
    """± half its width where it is symmetric, else the bounds."""
    return "± " + text.split(" ± ")[1] if " ± " in text else text[text.find("[") :] if "[" in text else text


def computed(frames: Frames) -> str:
    """How the intervals of the scores come about."""
    rows = frames.headline_scores()
    images = IMAGES if "open" in frames.kind.diagnostics else ""
    return joined(statistic_words(frames), interval_computed(rows), OVER, images, bounds_words(frames))


def computed_of_gaps(frames: Frames) -> str:
    """How those of the gaps come about."""
    rows = frames.headline_gaps()
    return joined(interval_computed(rows, "the gap"), OVER, DOMAINS_COMPUTED if (rows["domains"] > 1).any() else "")


INTERVALS = TableKind(
    name="intervals",
    section="intervals",
    make=intervals,
    folded="All intervals of the scores",
    computed=computed,
)
GAP_INTERVALS = TableKind(
    name="gap-intervals",
    section="intervals",
    make=gap_intervals,
    folded="All intervals of the gaps",
    computed=computed_of_gaps,
)
