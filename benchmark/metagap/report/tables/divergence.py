"""What diverged, and what it does to the mean."""

from __future__ import annotations

import pandas as pd

from metagap.analysis.grids import STANDARD
from metagap.report.computed import bounds_words, interval_computed, joined
from metagap.report.frames import STATISTICS, Frames, values_by
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING, share


def divergence(frames: Frames) -> Table | None:
    """Mean, median and interquartile mean next to the share of diverged episodes; None where it says nothing."""
    if not frames.has_divergence():
        return None
    metric, table = frames.metric, frames.scores[frames.scores["condition"] == STANDARD]
    cells = values_by(table, ["split", "algorithm", "statistic"], ["score", "low", "high", "finite_mean"])
    statistics, limit = frames.statistics, frames.kind.divergence
    rows = []
    for _, row in frames.ordered(frames.headline_scores()).iterrows():
        key = (row["split"], row["algorithm"])
        printed = {STATISTICS[s]: metric.score(*cells[*key, s][:3]) for s in statistics}
        rows.append(
            {"split": frames.split_label(key[0]), "algorithm": key[1], **printed}
            | {"mean of the others": metric.score(cells[*key, statistics[0]][3])}
            | {"diverged": share(row["diverged"])}
        )
    return Table(
        name="divergence",
        caption=f"{metric.heading}, with the {frames.interval}. An episode diverged when its query loss is not finite"
        + (f", or exceeds {limit:g} times that of the predictor that knows nothing" if limit else "")
        + ". No episode is dropped, except in “mean of the others”.",
        frame=pd.DataFrame(rows),
        labels=2,
    )


def shares(frames: Frames) -> Table | None:
    """The share of diverged episodes alone: algorithms by splits."""
    if not frames.has_divergence():
        return None
    table = frames.headline_scores()
    cells = table.assign(text=table["diverged"].map(share)).pivot(index="algorithm", columns="split", values="text")
    groups = {name: role for role, names in frames.split_groups() for name in names if name in cells}
    frame = cells.reindex(index=frames.algorithms, columns=list(groups)).fillna(MISSING)
    labels = {name: frames.split_label(name) for name in groups}
    return Table(
        name="diverged",
        caption="The share of episodes whose loss is not finite, or far above that of not learning at all.",
        frame=frame.rename(columns=labels).reset_index(),
        groups={labels[name]: role for name, role in groups.items()},
        title="Diverged episodes",
    )


def computed(frames: Frames) -> str:
    """How the numbers come about."""
    return joined(
        "Each statistic is taken over the episodes of each run, then averaged over the runs.",
        interval_computed(frames.headline_scores()),
        "What new episodes do to a median and an interquartile mean is seen by resampling the episodes, jointly for "
        "all runs.",
        bounds_words(frames),
    )


DIVERGENCE = TableKind(
    name="divergence",
    section="scores",
    make=divergence,
    heading="Mean, median and diverged episodes",
    computed=computed,
)
SHARES = TableKind(name="diverged", section="", make=lambda _: None, terminal=shares)
