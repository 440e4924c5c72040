"""The score over inner steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metagap.report.figures.axes import finish_grid, key, legend, limits_of, tall, value_axis, wrapped
from metagap.report.frames import Frames
from metagap.report.panels import Panel
from metagap.report.theme import MUTED, Style, styles


def adaptation(frames: Frames, narrow: bool) -> Figure | None:
    """Score over inner steps on every split; a ring marks the headline step, a dotted line the steps trained with."""
    table = frames.headline_steps()
    if table.empty or table["step"].nunique() < 2:
        return None
    metric, style = frames.metric, styles(frames.suite)
    names = [name for _, group in frames.split_groups() for name in group if name in set(table["split"])]
    columns = min(2 if narrow else 4, len(names))
    rows = -(-len(names) // columns)
    figure = tall(1.9 * rows, frames.algorithms, narrow)
    share = not metric.accumulates  # sums of rewards have a scale of their own in every domain
    axes = figure.subplots(rows, columns, sharex=True, sharey=share, squeeze=False).ravel()
    trained = {frames.trained_steps(a) for a in frames.algorithms} - {None}
    for axis, name in zip(axes, names, strict=False):
        here = table[table["split"] == name]
        limits = _limits(frames, table if share else here)
        for algorithm in frames.algorithms:
            line = here[here["algorithm"] == algorithm].sort_values("step")
            if not line.empty:
                _step_line(axis, line, frames, style[algorithm], limits)
        for step in trained:
            axis.axvline(step, color=MUTED, linewidth=0.9, linestyle=":")
        axis.set_title(wrapped(frames.split_label(name), 22 if narrow else 25), fontsize=8.5)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        value_axis(axis, limits, metric.log, vertical=True)
        axis.tick_params(length=0, labelbottom=True)
    finish_grid(figure, axes, len(names), "inner steps", frames.score_label(short=True))
    extra = [key("headline step", linestyle="none", marker="o", markerfacecolor="none")]
    if trained:
        extra.append(key("steps trained with", linestyle=":", linewidth=1))
    legend(figure, style, [a for a in frames.algorithms if a in set(table["algorithm"])], extra)
    return figure


def _limits(frames: Frames, rows: pd.DataFrame) -> tuple[float, float]:
    """Of an axis that shows these scores."""
    printed = [frames.metric.values(*row) for row in rows[["score", "low", "high"]].itertuples(index=False)]
    return limits_of(np.array(printed), frames.metric.log)


def _step_line(axis: Axes, line: pd.DataFrame, frames: Frames, look: Style, limits: tuple[float, float]) -> None:
    """One algorithm on one split: a line, the interval as a band, and a ring at the headline step."""
    columns = line[["score", "low", "high"]].itertuples(index=False)
    value, low, high = np.array([frames.metric.values(*row) for row in columns], float).T
    steps = line["step"].to_numpy()
    value, low, high = (np.where(np.isposinf(part), limits[1], part) for part in (value, low, high))
    axis.fill_between(steps, low, high, color=look.color, alpha=0.15, linewidth=0)
    axis.plot(steps, value, color=look.color, linewidth=1.5)
    at = steps == frames.headline_step(line["algorithm"].iloc[0])
    axis.plot(steps[at], np.clip(value[at], *limits), look.marker, markerfacecolor="none", color=look.color,
              markersize=6.5, markeredgewidth=1.3, clip_on=False)  # fmt: skip


def caption(frames: Frames) -> str:
    """What is shown."""
    step = dict(frames.kind.terms).get("inner step")
    about = f" An inner step: {step}." if step else ""
    return f"Score over inner steps.{about} Bands: {frames.interval}.{frames.robust}"


ADAPTATION = Panel(name="adaptation", section="curves", caption=caption, draw=adaptation)
