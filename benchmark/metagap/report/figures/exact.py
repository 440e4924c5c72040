"""How far what was measured is from what is exact."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

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
    wrapped,
)
from metagap.report.frames import Frames
from metagap.report.panels import Panel
from metagap.report.tables.exact import held
from metagap.report.theme import MUTED, styles


def exact(frames: Frames, narrow: bool) -> Figure | None:
    """Dots: measured minus exact, in half widths of the interval over episodes, whose ends are the dotted lines."""
    table = frames.exact
    if table.empty:
        return None
    half = (table["episodes_high"] - table["episodes_low"]) / 2
    table = table.assign(off=(table["value"] - table["exact"]) / half)
    groups = [(str(gap), list(dict.fromkeys(part["split"]))) for gap, part in table.groupby("gap", sort=False)]
    heights = [len(names) for _, names in groups]
    style, order = styles(frames.suite), frames.algorithms
    row = max(0.3, ROW * len(order) + 0.06)
    figure = tall(sum(heights) * row + 0.3 * len(groups), order, narrow)
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    limits = limits_of(np.append(table["off"].to_numpy(float), [-1.5, 1.5]), log=False)
    for axis, (gap, names) in zip(axes, groups, strict=True):
        row_axis(axis, [wrapped(frames.gap_row(name), 18 if narrow else 32) for name in names], gap)
        axis.axvline(0, color=MUTED, linewidth=0.9)
        for end in (-1, 1):
            axis.axvline(end, color=MUTED, linewidth=1.2, linestyle=":")
        for offset, algorithm in zip(offsets(len(order)), order, strict=True):
            here = table[(table["gap"] == gap) & (table["algorithm"] == algorithm)]
            levels = [names.index(name) + offset for name in here["split"]]
            values = [(off, np.nan, np.nan) for off in here["off"]]
            dots(axis, levels, values, style[algorithm], limits)
        axis.set_xlim(*limits)
    label_values(figure, axes)
    label = "measured − exact, in half widths of the interval over episodes"
    axes[-1].set_xlabel(wrapped(label, 44 if narrow else 90))
    legend(figure, style, order, [key("ends of the interval", linestyle=":", linewidth=1.2)])
    return figure


def caption(frames: Frames) -> str:
    """What is shown."""
    return (
        "How far each measured score and gap is from what it is exactly for these very runs. Between the dotted lines "
        f"the 95% interval over new episodes holds the exact value. {held(frames.exact)}"
    )


EXACT = Panel(name="exact", section="exact", caption=caption, draw=exact)
