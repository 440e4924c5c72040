"""The figures of a report. Each function returns a `Figure`, or None where the results have nothing to draw.

Every figure stays readable when some values are not finite: such a value is drawn at the edge of the axis and marked
``∞``, and regression uses the interquartile mean on a logarithmic axis, so that one exploded episode flattens nothing.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from metagap.report.frames import Frames
from metagap.report.theme import BAND, INK, MUTED, PALETTE, PAPER, Style, drawing, styles

HEADLINE = ("meta-train", "in-distribution", "cross-domain")
SAMPLE_CLASSES = 5
WIDTH = 9.2  # inches, of 96 pixels on the page
NARROW = 3.75  # on a phone: the same in the same size of letters, so that it is read without scrolling
P = ParamSpec("P")
ROW = 0.11
LEGEND = 34  # characters of a line in the legend


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element without XML prologue, dates or fixed size (it scales to its container)."""
    about = {"Date": None, "Creator": None, "Format": None, "Type": None}
    svg = _saved(figure, format="svg", metadata=about).decode()
    return svg[svg.index("<svg") :]


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG on white, at 160 dots per inch."""
    return _saved(figure, format="png", dpi=160, facecolor="white")


def _saved(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with drawing():
        try:
            figure.savefig(buffer, **options)
        except Exception as error:  # such as a name that reads as a formula
            buffer = io.BytesIO()
            failed("this", error).savefig(buffer, **options)
    return buffer.getvalue()


def panel(draw: Callable[P, Figure | None]) -> Callable[P, Figure | None]:
    """A figure that is a sentence where it cannot be drawn, so that a report does not fail by what a plugin shows."""

    @wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> Figure | None:
        try:
            return draw(*arguments, **options)
        except Exception as error:
            return failed(draw.__name__, error)

    return drawn


def failed(name: str, error: Exception) -> Figure:
    """The sentence that stands in the place of a figure, and is its label."""
    about = f"{type(error).__name__}: {error}".rstrip(": ")
    text = f"The figure '{name}' cannot be drawn: {about}."
    with drawing():
        figure = Figure((WIDTH / 2, 1))
        figure.set_label(text)
        text = textwrap.fill(text, 60, max_lines=4, placeholder=" …")
        figure.text(0.01, 0.5, text.replace("$", "\\$"), va="center", fontsize=8.5, color=MUTED)
    return figure


@panel
def scores(frames: Frames, narrow: bool = False) -> Figure | None:
    """Dots with whiskers: the headline score of every algorithm on every split, grouped by role."""
    table = frames.headline_scores()
    if table.empty:
        return None
    measure, order = frames.measure, frames.algorithms
    groups = [(title, names) for title, names in frames.split_groups() if names]
    heights = [len(names) for _, names in groups]
    with drawing():
        row = max(0.34, ROW * len(order) + 0.1)
        figure = _tall(sum(heights) * row + 0.28 * len(groups), order, narrow)
        axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        style = styles(frames.suite)
        printed = [measure.values(*row) for row in table[["score", "low", "high"]].itertuples(index=False)]
        limits = _limits(np.array(printed), measure.log)
        extra: list[Line2D] = []
        for axis, (title, names) in zip(axes, groups, strict=True):
            _row_axis(axis, [_wrapped(frames.split_label(name), 18 if narrow else 32) for name in names], title)
            for level, name in enumerate(names):
                here = table[table["split"] == name].set_index("algorithm")
                for offset, algorithm in zip(_offsets(len(order)), order, strict=True):
                    if algorithm in here.index:
                        cell = here.loc[algorithm]
                        values = measure.values(cell["score"], cell["low"], cell["high"])
                        _dot(axis, level + offset, values, style[algorithm], limits)
                chance = frames.chance(name)
                if chance is not None and limits[0] <= chance <= limits[1]:
                    extra = [_key("chance", linestyle=":", linewidth=1.4)]
                    axis.plot([chance, chance], [level - 0.5, level + 0.5], color=MUTED, linewidth=1.4, linestyle=":")
            _value_axis(axis, limits, measure.log)
            axis.tick_params(axis="x", labelbottom=axis is axes[-1], length=0)
        axes[-1].set_xlabel(_wrapped(frames.score_label(), 44 if narrow else 90))
        _legend(figure, style, order, extra)
    return figure


@panel
def slopes(frames: Frames, narrow: bool = False) -> Figure | None:
    """Lines from meta-train to in-distribution to cross-domain: the mean over the splits of each role."""
    table = frames.headline_scores()
    table = table[table["split"].isin(frames.plain_splits())]
    roles = [role for role in HEADLINE if role in set(table["role"])]
    if len(roles) < 2:
        return None
    measure, style = frames.measure, styles(frames.suite)
    table = table.assign(shown=table["score"] * measure.score_scale)
    table = table[np.isfinite(table["shown"])]
    means = table.groupby(["algorithm", "role"])["shown"].mean()
    with drawing():
        figure = _tall(3.0, frames.algorithms, narrow)
        axis = figure.subplots()
        limits = _limits(table["shown"].to_numpy(), measure.log)
        ends: list[str] = []
        for shift, algorithm in zip(_offsets(len(frames.algorithms)) * 0.1, frames.algorithms, strict=True):
            look = style[algorithm]
            points = [(x, means[algorithm, r]) for x, r in enumerate(roles) if (algorithm, r) in means.index]
            for x, role in enumerate(roles):
                single = table[(table["algorithm"] == algorithm) & (table["role"] == role)]["shown"]
                if len(single) > 1:
                    axis.plot([x + shift] * len(single), single, color=look.color, marker=look.marker, markersize=3.5,
                              linewidth=0.8, alpha=0.45)  # fmt: skip
            if points:
                ends.append(algorithm)
                xs, ys = zip(*points, strict=True)
                axis.plot([x + shift for x in xs], ys, color=look.color, marker=look.marker, markersize=6,
                          linewidth=2, markeredgecolor=PAPER, markeredgewidth=0.8)  # fmt: skip
        _value_axis(axis, limits, measure.log, vertical=True)
        axis.set_xlim(-0.15, len(roles) - 1 + 0.15)
        axis.set_xticks(range(len(roles)), roles)
        axis.tick_params(axis="x", labelcolor=INK, length=0)
        axis.grid(False, axis="x")
        axis.set_ylabel(frames.score_label(short=True))
        _legend(figure, style, ends)
    return figure


@panel
def training(frames: Frames, narrow: bool = False) -> Figure | None:
    """Meta-training loss and score over iterations: lines are the training batches, dots the validation."""
    curves = frames.curves
    if curves.empty:
        return None
    measure, style = frames.measure, styles(frames.suite)
    panels = [("loss", "val_loss", 1.0, "loss")]
    if not measure.log:
        panels.append(("score", "val_score", measure.score_scale, f"{measure.label} ({measure.unit})"))
    with drawing():
        across = 1 if narrow else len(panels)
        figure = _tall(2.6 * len(panels) / across, frames.algorithms, narrow)
        axes = figure.subplots(len(panels) // across, across, squeeze=False).ravel()
        for axis, (column, validation, scale, label) in zip(axes, panels, strict=True):
            for algorithm in frames.algorithms:
                runs = curves[curves["algorithm"] == algorithm].sort_values("iteration")
                _training_lines(axis, runs, column, validation, scale, style[algorithm], frames.selected(algorithm))
            drawn = np.concatenate([line.get_ydata() for line in axis.lines] or [np.array([1.0])]).astype(float)
            drawn = drawn[np.isfinite(drawn)]
            log = (
                column == "loss" and len(drawn) > 0 and drawn.min() > 0 and np.quantile(drawn, 0.98) > 20 * drawn.min()
            )
            _value_axis(axis, _limits(drawn, log), log, vertical=True)
            axis.set_xlim(left=0)
            axis.set_xlabel("meta-iteration")
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axis.set_title(label, loc="left")
            axis.tick_params(length=0)
        extra = []
        if curves["val_loss"].notna().any():
            extra.append(_key("validation", linestyle="none", marker="."))
        if any(frames.selected(algorithm) for algorithm in frames.algorithms):
            extra.append(_key("selected iteration", linestyle="none", marker="*", markersize=9))
        _legend(figure, style, [a for a in frames.algorithms if a in set(curves["algorithm"])], extra)
    return figure


@panel
def adaptation(frames: Frames, narrow: bool = False) -> Figure | None:
    """Score over inner steps on every split; a ring marks the headline step, a dotted line the steps trained with."""
    table = frames.headline_steps()
    if table.empty or table["step"].nunique() < 2:
        return None
    measure, style = frames.measure, styles(frames.suite)
    names = [name for _, group in frames.split_groups() for name in group if name in set(table["split"])]
    columns = min(2 if narrow else 4, len(names))
    rows = -(-len(names) // columns)
    with drawing():
        figure = _tall(1.9 * rows, frames.algorithms, narrow)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        printed = [measure.values(*row) for row in table[["score", "low", "high"]].itertuples(index=False)]
        limits = _limits(np.array(printed), measure.log)
        trained = {frames.trained_steps(a) for a in frames.algorithms} - {None}
        for axis, name in zip(axes, names, strict=False):
            here = table[table["split"] == name]
            for algorithm in frames.algorithms:
                line = here[here["algorithm"] == algorithm].sort_values("step")
                if not line.empty:
                    _step_line(axis, line, frames, style[algorithm], limits)
            for step in trained:
                axis.axvline(step, color=MUTED, linewidth=0.9, linestyle=":")
            axis.set_title(_wrapped(frames.split_label(name), 22 if narrow else 25), fontsize=8.5)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
            _value_axis(axis, limits, measure.log, vertical=True)
            axis.tick_params(length=0, labelbottom=True)
        for axis in axes[len(names) :]:
            axis.remove()
        figure.supxlabel("inner steps", color=MUTED, fontsize=9)
        figure.supylabel(frames.score_label(short=True), color=MUTED, fontsize=9)
        extra = [_key("headline step", linestyle="none", marker="o", markerfacecolor="none")]
        if trained:
            extra.append(_key("steps trained with", linestyle=":", linewidth=1))
        _legend(figure, style, [a for a in frames.algorithms if a in set(table["algorithm"])], extra)
    return figure


@panel
def gaps(frames: Frames, within: bool = False, narrow: bool = False) -> Figure | None:
    """Every gap of every algorithm with its interval; the zero line means that nothing is lost."""
    table = frames.headline_gaps(within, "figure")
    if within:  # the roles that gaps are about; the table has the others
        table = table[table["split"].isin([n for r, names in frames.split_groups() if r in HEADLINE for n in names])]
    if table.empty:
        return None
    measure, style = frames.measure, styles(frames.suite)
    groups = [(gap, list(dict.fromkeys(part["split"]))) for gap, part in table.groupby("gap", sort=False)]
    heights = [len(names) for _, names in groups]
    numbers = table[["value", "low", "high"]].to_numpy(float) * measure.gap_scale
    symlog = _heavy(numbers)
    with drawing():
        row = max(0.3, ROW * len(frames.algorithms) + 0.06)
        figure = _tall(sum(heights) * row + 0.3 * len(groups), frames.algorithms, narrow)
        axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        limits = _limits(numbers, log=False, zero=True)
        for axis, (gap, names) in zip(axes, groups, strict=True):
            _row_axis(axis, [_wrapped(frames.gap_row(name), 18 if narrow else 32) for name in names], gap)
            axis.axvline(0, color=MUTED, linewidth=0.9)
            for level, name in enumerate(names):
                here = table[(table["gap"] == gap) & (table["split"] == name)].set_index("algorithm")
                for offset, algorithm in zip(_offsets(len(frames.algorithms)), frames.algorithms, strict=True):
                    if algorithm in here.index:
                        cell = here.loc[algorithm]
                        values = tuple(float(cell[key]) * measure.gap_scale for key in ("value", "low", "high"))
                        _dot(axis, level + offset, values, style[algorithm], limits)
            if symlog:
                axis.set_xscale("symlog", linthresh=_threshold(numbers))
            axis.set_xlim(*limits)
            axis.tick_params(axis="x", labelbottom=axis is axes[-1], length=0)
        meaning = "what it brings or costs" if within else "right of zero: generalization costs"
        label = f"difference of scores ({measure.gap_unit}); {meaning}"
        axes[-1].set_xlabel(_wrapped(label, 44 if narrow else 90))
        _legend(figure, style, frames.algorithms)
    return figure


def sample_images(sample: dict[str, np.ndarray], classes: int = SAMPLE_CLASSES, queries: int = 3) -> Figure:
    """One classification episode: a column for each class, its support images above, a few queries below."""
    ways = min(len(sample["class_names"]), classes)
    support = _by_class(sample["support_x"], sample["support_y"], ways, 3)
    query = _by_class(sample["query_x"], sample["query_y"], ways, queries)
    blocks = [block for block in (support, query) if block.size]
    side = support.shape[2]
    gap = 0.35 * side
    height = sum(block.shape[0] * side * 1.08 for block in blocks) + gap * len(blocks)
    width = ways * side * 1.08
    with drawing():
        figure = Figure((2.7, 2.7 * (height + gap) / (width * 1.02)))
        axis = figure.add_axes((0.01, 0.0, 0.98, 1.0))
        axis.set(xlim=(0, width), ylim=(height + gap * 0.4, 0))
        axis.axis("off")
        top = gap
        for block, title in zip(blocks, ("support", "queries"), strict=False):
            axis.text(0, top - 0.12 * side, title, fontsize=9, color=MUTED)
            for row in range(block.shape[0]):
                for column in range(ways):
                    left = column * side * 1.08
                    axis.imshow(block[row, column], extent=(left, left + side, top + side, top), cmap="gray",
                                vmin=0, vmax=255, interpolation="none", aspect="equal")  # fmt: skip
                top += side * 1.08
            top += gap
        axis.set(xlim=(0, width), ylim=(height + gap * 0.4, 0))
    return figure


def sample_functions(sample: dict[str, np.ndarray]) -> Figure:
    """Regression tasks: the true functions as lines, the support points that an algorithm adapts to as dots."""
    with drawing():
        figure = Figure((2.7, 1.9), layout="constrained")
        axis = figure.subplots()
        for task, (color, _) in enumerate(PALETTE[: len(sample["curve_x"])]):
            order = np.argsort(sample["curve_x"][task, :, 0])
            axis.plot(sample["curve_x"][task, order, 0], sample["curve_y"][task, order, 0], color=color, linewidth=1.2)
            axis.plot(sample["support_x"][task, :, 0], sample["support_y"][task, :, 0], "o", color=color, markersize=4,
                      markeredgecolor=PAPER, markeredgewidth=0.6)  # fmt: skip
        axis.tick_params(length=0, labelsize=8.5, labelcolor=MUTED)
        axis.set(xlabel=None)
    return figure


def sample_series(sample: dict[str, np.ndarray], classes: int = SAMPLE_CLASSES, each: int = 3) -> Figure:
    """One classification episode of series (n, length) or (n, channels, length), of which the first channel is drawn.

    A row for each class: its support examples in colour, a few queries in grey.
    """
    ways = min(len(sample["class_names"]), classes)
    with drawing():
        figure = Figure((2.7, 0.3 + 0.62 * ways), layout="constrained")
        axes = figure.subplots(ways, 1, sharex=True, squeeze=False)[:, 0]
        for way, axis in enumerate(axes):
            for part, color in (("query", MUTED), ("support", PALETTE[way % len(PALETTE)][0])):
                series = sample[f"{part}_x"][sample[f"{part}_y"] == way][:each]
                for values in series.reshape(len(series), -1, series.shape[-1])[:, 0]:
                    axis.plot(values, color=color, linewidth=1.1 if part == "support" else 0.6)
            axis.set_yticks([])
            axis.tick_params(length=0, labelsize=7.5, labelcolor=MUTED)
    return figure


@panel
def sample(episode: dict[str, np.ndarray]) -> Figure:
    """One split's sample episode, whatever its kind."""
    if "curve_x" in episode:
        return sample_functions(episode)
    shape = np.shape(episode["support_x"])
    if len(shape) == 4 and shape[1] in (1, 3, 4):
        return sample_images({**episode, **{key: _levels(episode[key]) for key in ("support_x", "query_x")}})
    if len(shape) in (2, 3):
        return sample_series(episode)
    raise ValueError(f"examples of shape {shape[1:]} are neither images nor series")


def _levels(images: np.ndarray) -> np.ndarray:
    """Pixels as 0..255, whatever they are."""
    if images.dtype == np.uint8 or not images.size:
        return images
    images = np.nan_to_num(images.astype(float))
    low, high = images.min(), images.max()
    return ((images - low) / (high - low or 1.0) * 255).astype(np.uint8)


def _by_class(images: np.ndarray, labels: np.ndarray, ways: int, most: int) -> np.ndarray:
    """Images (n, C, H, W) as a grid (rows, ways, H, W[, 3]) with one column for each class."""
    most = min([most, *(int((labels == way).sum()) for way in range(ways))])
    grid = np.stack([images[labels == way][:most] for way in range(ways)], axis=1)
    return grid[:, :, 0] if grid.shape[2] == 1 else np.moveaxis(grid[:, :, :3], 2, -1)


def _offsets(count: int) -> np.ndarray:
    return (np.arange(count) - (count - 1) / 2) * (0.78 / max(count, 1))


def _row_axis(axis: Axes, labels: list[str], title: str) -> None:
    axis.set(ylim=(len(labels) - 0.5, -0.5))
    axis.set_yticks(range(len(labels)), labels)
    axis.set_title(title, loc="left")
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines[["left", "bottom"]].set_visible(False)
    for level in range(0, len(labels), 2):
        axis.axhspan(level - 0.5, level + 0.5, color=BAND, linewidth=0, zorder=0)


def _dot(axis: Axes, y: float, values: tuple[float, ...], look: Style, limits: tuple[float, float]) -> None:
    """One value with its whisker; what lies beyond the axis is drawn at its edge, marked as infinite or cut."""
    value, low, high = values
    lowest, highest = limits
    if np.isnan(value):
        return
    if np.isfinite([low, high]).any():
        axis.plot(np.clip([np.nan_to_num(low, nan=value), np.nan_to_num(high, nan=value)], lowest, highest), [y, y],
                  color=look.color, linewidth=1.5, solid_capstyle="round")  # fmt: skip
    if lowest <= value <= highest:
        size = 6.5 if look.marker in "XP" else 5
        axis.plot(value, y, look.marker, color=look.color, markersize=size, markeredgecolor=PAPER, markeredgewidth=0.5)
    else:
        edge, side = (highest, "right") if value > highest else (lowest, "left")
        text = ("∞" if value > 0 else "−∞") if np.isinf(value) else f"{value:.1e}"
        axis.annotate(text, (edge, y), (-2 if side == "right" else 2, 0), textcoords="offset points", ha=side,
                      va="center", color=look.color, fontsize=8)  # fmt: skip


def _limits(values: np.ndarray, log: bool, zero: bool = False) -> tuple[float, float]:
    """Axis limits around the finite values; values far beyond the bulk do not stretch the axis."""
    flat = np.abs(values[np.isfinite(values)]) if log else values[np.isfinite(values)]
    flat = flat[flat > 0] if log else flat
    if not flat.size:
        return (0.1, 10.0) if log else (0.0, 1.0)
    if log:
        kept = flat[(flat < 1e4 * np.median(flat)) & (flat > 1e-6 * np.median(flat))]
        return float(kept.min() / 1.25), float(kept.max() * 1.25)
    flat = flat[np.abs(flat) <= 1e3 * max(np.median(np.abs(flat)), 1e-12)]
    low, high = float(flat.min()), float(flat.max())
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
    return low - pad, high + pad


def _heavy(values: np.ndarray) -> bool:
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return bool(sizes.size) and bool(sizes.max() > 50 * np.median(sizes))


def _threshold(values: np.ndarray) -> float:
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(10.0 ** np.round(np.log10(np.median(sizes))))


def _value_axis(axis: Axes, limits: tuple[float, float], log: bool, vertical: bool = False) -> None:
    which = axis.yaxis if vertical else axis.xaxis
    (axis.set_ylim if vertical else axis.set_xlim)(*limits)
    if log:
        (axis.set_yscale if vertical else axis.set_xscale)("log")
        decades = np.log10(limits[1] / limits[0])
        which.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
        which.set_minor_formatter(NullFormatter())
        which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        (axis.set_ylim if vertical else axis.set_xlim)(*limits)
    elif vertical:
        which.set_major_locator(MaxNLocator(6))


def _key(label: str, **line) -> Line2D:
    """A line of the legend that is no algorithm's."""
    return Line2D([], [], color=MUTED, label=label, **line)


def _tall(height: float, names: Sequence[str], narrow: bool) -> Figure:
    """A figure of the page's or a phone's width whose axes are about `height` high, below the legend of `names`."""
    width = NARROW if narrow else WIDTH
    rows = -(-(len(names) + 2) // max(1, _columns([*map(str, names), "steps trained with"], width)))
    return Figure((width, height + 0.6 + 0.19 * rows), layout="constrained")


def _columns(labels: Sequence[str], width: float) -> int:
    """How many columns of a legend fit into so many inches."""
    lengths = sorted(min(len(label), LEGEND) + 6 for label in labels)
    return max((n for n in range(1, len(lengths) + 1) if sum(lengths[-n:]) <= 12.8 * width), default=1)


def _legend(figure: Figure, style: dict[str, Style], names: Sequence[str], extra: Sequence[Line2D] = ()) -> None:
    handles = [
        Line2D([], [], color=style[n].color, marker=style[n].marker, markersize=5.5, linewidth=1.6,
               label=textwrap.fill(n, LEGEND))
        for n in names
    ]  # fmt: skip
    handles += extra
    labels = [label for handle in handles for label in str(handle.get_label()).splitlines()]
    columns = _columns(labels, figure.get_figwidth())
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=1.6, columnspacing=1.6)


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
        star = dots[dots["iteration"] == selected.get(int(seed), -1)]
        axis.plot(star["iteration"], star[validation] * scale, "*", color=look.color, markersize=10,
                  markeredgecolor=PAPER, markeredgewidth=0.6, zorder=5)  # fmt: skip
    if len(smooth) > 1:
        mean = pd.concat(smooth, axis=1).mean(axis=1)
        seaborn.lineplot(x=mean.index, y=mean.to_numpy(), ax=axis, color=look.color, linewidth=1.6, errorbar=None)
        axis.set(xlabel=None, ylabel=None)


def _step_line(axis: Axes, line: pd.DataFrame, frames: Frames, look: Style, limits: tuple[float, float]) -> None:
    """One algorithm on one split: a line, the interval as a band, and a ring at the headline step."""
    columns = line[["score", "low", "high"]].itertuples(index=False)
    value, low, high = np.array([frames.measure.values(*row) for row in columns], float).T
    steps = line["step"].to_numpy()
    value, low, high = (np.where(np.isposinf(part), limits[1], part) for part in (value, low, high))
    axis.fill_between(steps, low, high, color=look.color, alpha=0.15, linewidth=0)
    axis.plot(steps, value, color=look.color, linewidth=1.5)
    at = steps == frames.headline_step(line["algorithm"].iloc[0])
    axis.plot(steps[at], np.minimum(value[at], limits[1]), look.marker, markerfacecolor="none", color=look.color,
              markersize=6.5, markeredgewidth=1.3, clip_on=False)  # fmt: skip


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width, max_lines=2, placeholder="…")
