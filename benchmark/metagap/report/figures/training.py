"""The curves of meta-training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from metagap.report.figures.axes import key, legend, limits_of, tall, value_axis
from metagap.report.frames import Frames
from metagap.report.panels import Panel
from metagap.report.theme import PAPER, Style, styles


def training(frames: Frames, narrow: bool) -> Figure | None:
    """Meta-training loss and score over iterations: lines are the training batches, dots the validation."""
    curves = frames.curves
    if curves.empty:
        return None
    metric, style = frames.kind.metric, styles(frames.suite)
    # Of tasks that answer back the loss is minus the return.
    panels = [] if frames.kind.acts else [("loss", "val_loss", 1.0, "loss")]
    if frames.kind.acts or not np.allclose(curves["score"], -curves["loss"], equal_nan=True):  # else the same twice
        unit = f" ({metric.unit})" if metric.unit else ""
        when = " after adaptation" if frames.kind.acts else ""
        panels.append(("score", "val_score", metric.score_scale, f"{metric.label}{unit}{when}"))
    across = 1 if narrow else len(panels)
    figure = tall(2.6 * len(panels) / across, frames.algorithms, narrow)
    axes = figure.subplots(len(panels) // across, across, squeeze=False).ravel()
    for axis, (column, validation, scale, label) in zip(axes, panels, strict=True):
        for algorithm in frames.algorithms:
            runs = curves[curves["algorithm"] == algorithm].sort_values("iteration")
            _training_lines(axis, runs, column, validation, scale, style[algorithm], frames.selected(algorithm))
        drawn = np.concatenate([line.get_ydata() for line in axis.lines] or [np.array([1.0])]).astype(float)
        drawn = drawn[np.isfinite(drawn)]
        log = column == "loss" and len(drawn) > 0 and drawn.min() > 0 and np.quantile(drawn, 0.98) > 20 * drawn.min()
        value_axis(axis, limits_of(drawn, log), log, vertical=True)
        axis.set_xlim(left=0)
        axis.set_xlabel("meta-iteration")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_title(label, loc="left")
        axis.tick_params(length=0)
    extra = []
    if curves["val_loss"].notna().any():
        extra.append(key("validation", linestyle="none", marker="."))
    if any(frames.selected(algorithm) for algorithm in frames.algorithms):
        extra.append(key("selected iteration", linestyle="none", marker="*", markersize=9))
    legend(figure, style, [a for a in frames.algorithms if a in set(curves["algorithm"])], extra)
    return figure


CURVE_POINTS = 250  # of a running mean: more cannot be seen, and would only make the page heavy


def _training_lines(axis: Axes, runs: pd.DataFrame, column: str, validation: str, scale: float, look: Style,
                    selected: dict[int, int]) -> None:  # fmt: skip
    """One algorithm's runs: a thin line for each seed, the mean of the seeds, validation dots, the selected star."""
    smooth = []
    for seed, run in runs.groupby("seed"):
        values = (run.set_index("iteration")[column] * scale).replace([np.inf, -np.inf], np.nan)
        running = values.rolling(max(1, len(values) // 50), min_periods=1, center=True).mean()
        smooth.append(running.iloc[:: max(1, len(values) // CURVE_POINTS)])
        axis.plot(smooth[-1].index, smooth[-1], color=look.color, linewidth=0.7, alpha=0.35)
        dots = run.dropna(subset=[validation])
        axis.plot(dots["iteration"], dots[validation] * scale, ".", color=look.color, markersize=4, alpha=0.8)
        star = dots[dots["iteration"] == selected.get(int(str(seed)), -1)]
        axis.plot(star["iteration"], star[validation] * scale, "*", color=look.color, markersize=10,
                  markeredgecolor=PAPER, markeredgewidth=0.6, zorder=5)  # fmt: skip
    if len(smooth) > 1:
        mean = pd.concat(smooth, axis=1).mean(axis=1)
        seaborn.lineplot(x=mean.index, y=mean.to_numpy(), ax=axis, color=look.color, linewidth=1.6, errorbar=None)
        axis.set(xlabel=None, ylabel=None)


def caption(frames: Frames) -> str:
    """What is shown."""
    thin = " (thin: single seeds)" if frames.seeds > 1 else ""
    return (
        f"Meta-training: lines are running means over training batches{thin}. Values that are not finite are left out "
        "of the lines."
    )


TRAINING = Panel(name="training", section="curves", caption=caption, draw=training)
