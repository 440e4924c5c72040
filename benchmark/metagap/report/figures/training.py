"""The curves of meta-training."""

from __future__ import annotations

import numpy as np
import pandas as pd
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
GAP = pd.Series([np.nan], index=[np.nan])


def _training_lines(axis: Axes, runs: pd.DataFrame, column: str, validation: str, scale: float, look: Style,
                    selected: dict[int, int]) -> None:  # fmt: skip
    """One algorithm's runs: a thin line for each seed, the mean of the seeds, validation dots, the selected star."""
    lines, dots = (
        runs.pivot(index="iteration", columns="seed", values=name).sort_index() * scale for name in (column, validation)
    )
    lines = lines.replace([np.inf, -np.inf], np.nan)
    iteration, length = lines.index.to_numpy()[:, None], len(lines)
    running = lines.rolling(max(1, length // 50), min_periods=1, center=True).mean()
    running = running.where(iteration <= runs.groupby("seed")["iteration"].max().to_numpy())  # some ended earlier
    running = running.iloc[:: max(1, length // CURVE_POINTS)]
    # All seeds by one artist, a gap between them: hundreds of artists take seconds.
    star = dots.where(iteration == [selected.get(int(seed), -1) for seed in dots.columns])
    axis.plot(*_points(running, gaps=True), color=look.color, linewidth=0.7, alpha=0.35)
    axis.plot(*_points(dots), ".", color=look.color, markersize=4, alpha=0.8)
    axis.plot(
        *_points(star), "*", color=look.color, markersize=10, markeredgecolor=PAPER, markeredgewidth=0.6, zorder=5
    )
    if running.shape[1] > 1:
        axis.plot(running.index, running.mean(axis=1), color=look.color, linewidth=1.6)


def _points(table: pd.DataFrame, gaps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The values of a table, column after column, and their index; with a gap between columns, or without NaN."""
    x = np.tile(np.append(table.index.to_numpy(float), np.nan), table.shape[1])
    y = np.vstack([table.to_numpy(float), np.full(table.shape[1], np.nan)]).T.ravel()
    kept = slice(0, -1) if gaps else np.isfinite(y)
    return x[kept], y[kept]


def caption(frames: Frames) -> str:
    """What is shown."""
    thin = " (thin: single seeds)" if frames.seeds > 1 else ""
    return (
        f"Meta-training: lines are running means over training batches{thin}. Values that are not finite are left out "
        "of the lines."
    )


TRAINING = Panel(name="training", section="curves", caption=caption, draw=training)
