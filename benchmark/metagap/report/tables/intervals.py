"""All intervals of the same score."""

from __future__ import annotations

import math

import pandas as pd

from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING


def intervals(frames: Frames) -> Table:
    """All four intervals side by side, one row for each algorithm and split."""
    table, metric = frames.headline_scores(), frames.metric
    rows = []
    for _, row in frames.ordered(table).iterrows():
        seeds = (row["low"], row["high"]) if row["interval"] == "seeds" else (math.nan, math.nan)
        rows.append(
            {
                "split": frames.split_label(row["split"]),
                "algorithm": row["algorithm"],
                "score": metric.score(row["score"]),
                "seeds": _bounds(frames, row["score"], *seeds),
                "episodes": _bounds(frames, row["score"], row["episodes_low"], row["episodes_high"]),
                "hierarchical bootstrap": _bounds(frames, row["score"], row["bootstrap_low"], row["bootstrap_high"]),
                "open": metric.score(row["open_score"], row["open_low"], row["open_high"]),
            }
        )
    columns = ["split", "algorithm", "score", "seeds", "episodes", "hierarchical bootstrap", "open"]
    return Table(
        name="intervals",
        caption=f"{metric.heading}: the four 95% intervals of the same score. The open one has its own score, for its "
        "episodes draw no image twice.",
        frame=pd.DataFrame(rows, columns=columns),
        labels=2,
    )


def _bounds(frames: Frames, score: float, low: float, high: float) -> str:
    """Only the interval: ± half its width where it is symmetric, else the bounds."""
    text = frames.metric.score(score, low, high)
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return "± " + text.split(" ± ")[1] if " ± " in text else text[text.find("[") :] if "[" in text else text


INTERVALS = TableKind(name="intervals", section="intervals", make=intervals, folded="All four intervals side by side")
