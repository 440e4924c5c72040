"""Training runs that are far from the other seeds of their algorithm."""

from __future__ import annotations

import pandas as pd

from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import number


def outliers(frames: Frames) -> Table | None:
    """One row for each outlier, with the interval of its algorithm with and without it; None without any."""
    table, metric = frames.outliers, frames.metric
    if table.empty:
        return None
    rows = [
        {
            "algorithm": row["algorithm"],
            "seed": str(row["seed"]),
            "split": frames.split_label(row["split"]),
            "score": metric.score(row["score"]),
            "distance": number(row["distance"], 1),
            "all seeds": metric.score(row["mean"], row["low"], row["high"]),
            "without it": metric.score(row["others"], row["others_low"], row["others_high"]),
        }
        for row in frames.ordered(table).to_dict("records")
    ]
    limits = sorted({number(value, 1) for value in table["threshold"]}, key=float)
    beyond = limits[0] if len(limits) == 1 else f"{limits[0]} to {limits[-1]}, depending on the number of seeds"
    return Table(
        name="outliers",
        title="Outlying training runs",
        caption=f"{metric.heading}: training runs that are far from the other seeds of their algorithm. Distance: "
        "from the mean of the others, in standard deviations of such a distance between normal runs; 1.5% of the "
        f"algorithms without an outlier have a run beyond {beyond}. Outliers may have collapsed. Nothing is left out: "
        "all scores hold them. 95% intervals as in the scores.",
        frame=pd.DataFrame(rows),
        labels=3,
    )


COMPUTED = (
    "The distance of a run from the mean of the other n seeds is divided by √(1 + 1/n) times the largest of: the "
    "standard deviation of the others, the median of those of the other algorithms on this split, and the standard "
    "error of the run over its episodes. The limit is simulated with normal runs of equal spread, for this number of "
    "seeds and of algorithms. The intervals are the crossed ones of the scores, with and without the run."
)
OUTLIERS = TableKind(
    name="outliers",
    section="findings",
    heading="Outlying training runs",
    make=outliers,
    terminal=outliers,
    computed=COMPUTED,
)
