"""Every algorithm on every split."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from metagap.report.figures.axes import (
    ROW,
    dots,
    key,
    label_values,
    legend,
    limits_of,
    offsets,
    row_axis,
    tall,
    value_axis,
    wrapped,
)
from metagap.report.frames import Frames
from metagap.report.panels import Panel
from metagap.report.theme import MUTED, styles


def scores(frames: Frames, narrow: bool) -> Figure | None:
    """Dots with whiskers: the headline score of every algorithm on every split, grouped by role."""
    table = frames.headline_scores()
    if table.empty:
        return None
    metric, order = frames.metric, frames.algorithms
    groups = [(title, names) for title, names in frames.split_groups() if names]
    heights = [len(names) for _, names in groups]
    row = max(0.34, ROW * len(order) + 0.1)
    figure = tall(sum(heights) * row + 0.28 * len(groups), order, narrow)
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    style = styles(frames.suite)
    printed = np.array([metric.values(*row) for row in table[["score", "low", "high"]].itertuples(index=False)])
    limits = limits_of(printed, metric.log)
    extra: list[Line2D] = []
    for axis, (title, names) in zip(axes, groups, strict=True):
        row_axis(axis, [wrapped(frames.split_label(name), 18 if narrow else 32) for name in names], title)
        for offset, algorithm in zip(offsets(len(order)), order, strict=True):
            here = (table["algorithm"] == algorithm) & table["split"].isin(names)
            levels = [names.index(name) + offset for name in table.loc[here, "split"]]
            dots(axis, levels, printed[here], style[algorithm], limits)
        for level, name in enumerate(names):
            chance = frames.chance(name)
            if chance is not None and limits[0] <= chance <= limits[1]:
                extra = [key(dict(frames.kind.terms).get("chance", "chance"), linestyle=":", linewidth=1.4)]
                axis.plot([chance, chance], [level - 0.5, level + 0.5], color=MUTED, linewidth=1.4, linestyle=":")
        value_axis(axis, limits, metric.log)
    label_values(figure, axes)
    axes[-1].set_xlabel(wrapped(frames.score_label(), 44 if narrow else 90))
    legend(figure, style, order, extra)
    return figure


def caption(frames: Frames) -> str:
    """What is shown."""
    return f"Every algorithm on every split at the headline inner step. {frames.whiskers}{frames.robust}{frames.edge}"


SCORES = Panel(name="scores", section="scores", caption=caption, draw=scores)
