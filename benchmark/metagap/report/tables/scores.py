"""The score of every algorithm on every split."""

from __future__ import annotations

from functools import partial

import pandas as pd

from metagap.report.computed import bounds_words, interval_computed, joined, statistic_words
from metagap.report.frames import STATISTICS, Frames, interval_words, values_by
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING


def scores(frames: Frames, statistic: str | None = None) -> Table:
    """Algorithms by splits, grouped by role; the best of a test split and those that equal it are bold."""
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
    marked: dict[str, set[tuple[int, str]]] = {"best": set(), "highest": set()}
    for name in groups:
        found = {"best": frames.best(name, statistic), "highest": frames.highest(name, statistic)}
        for style, names in found.items():
            marked[style] |= {(frames.algorithms.index(winner), labels[name]) for winner in names}
    highest = marked["highest"] - marked["best"]
    return Table(
        title="Scores",
        name=f"scores-{statistic}" if frames.is_robust else "scores",
        caption=f"{frames.metric.heading}: {STATISTICS[statistic]} at the headline inner step, "
        f"with the 95% {interval_words(table)}.{_marked(frames, bool(marked['best']), bool(highest))}",
        frame=frame.rename(columns=labels),
        groups={labels[name]: role for name, role in groups.items()},
        best=frozenset(marked["best"]),
        highest=frozenset(highest),
    )


def _marked(frames: Frames, bold: bool, italic: bool) -> str:
    """What bold and italics mean."""
    most = "highest" if frames.metric.higher_is_better else "lowest"
    said = " Bold: the best of a test split, and all that are not significantly worse." if bold else ""
    return said + (f" Italics: the {most} of a split on which nothing is claimed." if italic else "")


def further(frames: Frames, statistic: str) -> Table | None:
    """The same in a statistic that is not the headline one, where the episodes have several."""
    return (
        scores(frames, statistic) if statistic in frames.statistics and statistic != frames.metric.statistic else None
    )


def computed(frames: Frames) -> str:
    """How the numbers come about."""
    rows = frames.headline_scores()
    words = [statistic_words(frames), interval_computed(rows), bounds_words(frames)]
    return joined(*words, frames.correction if len(frames.headline_pairs()) else "")


SCORES = TableKind(name="scores", section="scores", make=scores, terminal=scores, computed=computed)
OTHER_STATISTICS = tuple(
    TableKind(name=f"scores-{statistic}", section="", make=partial(further, statistic=statistic), computed=computed)
    for statistic in STATISTICS
)
