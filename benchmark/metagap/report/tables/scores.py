"""The score of every algorithm on every split."""

from __future__ import annotations

from functools import partial

import pandas as pd

from metagap.report.frames import STATISTICS, Frames, values_by
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING


def scores(frames: Frames, statistic: str | None = None) -> Table:
    """Algorithms by splits, grouped by role; the best score of a split is bold."""
    statistic = statistic or frames.metric.statistic
    table = frames.headline_scores(statistic)
    groups = {name: role for role, names in frames.split_groups() for name in names if name in set(table["split"])}
    cells = values_by(table, ["algorithm", "split"], ["score", "low", "high"])
    rows = {
        algorithm: {
            name: frames.metric.score(*cells[algorithm, name]) if (algorithm, name) in cells else MISSING
            for name in groups
        }
        for algorithm in frames.algorithms
    }
    frame = pd.DataFrame(
        [{"algorithm": algorithm, **row} for algorithm, row in rows.items()], columns=["algorithm", *groups]
    )
    labels = {name: frames.split_label(name) for name in groups}
    best = set()
    for name in groups:
        best |= {(frames.algorithms.index(winner), labels[name]) for winner in frames.best(name, statistic)}
    return Table(
        title="Scores",
        name=f"scores-{statistic}" if frames.is_robust else "scores",
        caption=f"{frames.metric.heading}: {STATISTICS[statistic]} at the headline inner step, "
        f"with the {frames.interval}. "
        "Bold: the best of each column, significantly better than the next or not.",
        frame=frame.rename(columns=labels),
        groups={labels[name]: role for name, role in groups.items()},
        best=frozenset(best),
    )


def further(frames: Frames, statistic: str) -> Table | None:
    """The same in a statistic that is not the headline one, where the episodes have several."""
    return (
        scores(frames, statistic) if statistic in frames.statistics and statistic != frames.metric.statistic else None
    )


SCORES = TableKind(name="scores", section="scores", make=scores, terminal=scores)
OTHER_STATISTICS = tuple(
    TableKind(name=f"scores-{statistic}", section="", make=partial(further, statistic=statistic))
    for statistic in STATISTICS
)
