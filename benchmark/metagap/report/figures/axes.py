"""What the figures have in common: axes that stay readable when some values are not finite, sizes, legends.

Such a value is drawn at the edge of the axis and marked ``∞``; with a heavy tail, the interquartile mean is drawn on a
logarithmic axis, so that one exploded episode flattens nothing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike

from metagap.report.theme import BAND, MUTED, PAPER, Style

WIDTH = 9.2  # inches, of 96 pixels on the page
NARROW = 3.75  # on a phone: the same in the same size of letters, so that it is read without scrolling
ROW = 0.11
SCREEN = 8  # inches
LEGEND = 34  # characters of a line in the legend


def offsets(count: int) -> np.ndarray:
    """Where `count` marks stand within a row of height 1, around its middle."""
    return (np.arange(count) - (count - 1) / 2) * (0.78 / max(count, 1))


def row_axis(axis: Axes, labels: list[str], title: str) -> None:
    """Make an axis of rows, one for each label, the first on top."""
    axis.set(ylim=(len(labels) - 0.5, -0.5))
    axis.set_yticks(range(len(labels)), labels)
    axis.set_title(title, loc="left")
    axis.grid(False, axis="y")
    axis.tick_params(axis="y", length=0)
    axis.spines[["left", "bottom"]].set_visible(False)
    for level in range(0, len(labels), 2):
        axis.axhspan(level - 0.5, level + 0.5, color=BAND, linewidth=0, zorder=0)


def dots(axis: Axes, y: ArrayLike, rows: ArrayLike, look: Style, limits: tuple[float, float]) -> None:
    """Values with their whiskers; what lies beyond the axis is drawn at its edge, marked as infinite or cut.

    All whiskers are one line with gaps, and all dots another: thousands of artists take seconds.

    Args:
        axis: where they are drawn.
        y: the height of each, shape (n,).
        rows: value, low and high of each, shape (n, 3).
        look: of all of them.
        limits: of the axis.
    """
    y, rows = np.asarray(y, dtype=float), np.asarray(rows, dtype=float).reshape(-1, 3)
    there = ~np.isnan(rows[:, 0])
    y, (value, low, high) = y[there], rows[there].T
    ends = np.clip(np.where(np.isnan([low, high]), value, [low, high]), *limits)
    ends[:, ~np.isfinite([low, high]).any(axis=0)] = np.nan
    gaps = np.full(len(y), np.nan)
    if np.isfinite(ends).any():
        axis.plot(np.stack([*ends, gaps], axis=1).ravel(), np.stack([y, y, gaps], axis=1).ravel(),
                  color=look.color, linewidth=1.5, solid_capstyle="round")  # fmt: skip
    inside = (limits[0] <= value) & (value <= limits[1])
    if inside.any():
        size = 6.5 if look.marker in "XP" else 5
        axis.plot(value[inside], y[inside], look.marker, color=look.color, markersize=size, markeredgecolor=PAPER,
                  markeredgewidth=0.5)  # fmt: skip
    for one, height in zip(value[~inside], y[~inside], strict=True):
        edge, side = (limits[1], "right") if one > limits[1] else (limits[0], "left")
        text = ("∞" if one > 0 else "−∞") if np.isinf(one) else f"{one:.1e}"
        axis.annotate(text, (edge, height), (-2 if side == "right" else 2, 0), textcoords="offset points", ha=side,
                      va="center", color=look.color, fontsize=8)  # fmt: skip


def limits_of(values: np.ndarray, log: bool, zero: bool = False) -> tuple[float, float]:
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


def value_axis(axis: Axes, limits: tuple[float, float], log: bool, vertical: bool = False) -> None:
    """Make the axis along which values are drawn, logarithmic or not; `vertical` where it is the y axis."""
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


def finish_grid(figure: Figure, axes: Sequence[Axes] | np.ndarray, shown: int, x: str, y: str) -> None:
    """Remove the axes that nothing is shown in, the first `shown` stay, and say once what x and y are; y may be ""."""
    for axis in axes[shown:]:
        axis.remove()
    figure.supxlabel(x, color=MUTED, fontsize=9)
    if y:
        figure.supylabel(y, color=MUTED, fontsize=9)


def label_values(figure: Figure, axes: Iterable[Axes]) -> None:
    """Write the values below the last of `axes`, and above the first too where the figure is taller than a screen."""
    rows = list(axes)
    for axis in rows:
        top = axis is rows[0] and figure.get_figheight() > SCREEN
        axis.tick_params(axis="x", labelbottom=axis is rows[-1], labeltop=top, length=0)


def key(label: str, **line) -> Line2D:
    """A line of the legend that is no algorithm's."""
    return Line2D([], [], color=MUTED, label=label, **line)


def tall(height: float, names: Sequence[str], narrow: bool) -> Figure:
    """A figure of the page's or a phone's width whose axes are about `height` high, below the legend of `names`."""
    width = NARROW if narrow else WIDTH
    rows = -(-(len(names) + 2) // max(1, _columns([*map(str, names), "steps trained with"], width)))
    return Figure((width, height + 0.6 + 0.19 * rows), layout="constrained")


def _columns(labels: Sequence[str], width: float) -> int:
    """How many columns of a legend fit into `width` inches."""
    lengths = sorted(min(len(label), LEGEND) + 6 for label in labels)
    return max((n for n in range(1, len(lengths) + 1) if sum(lengths[-n:]) <= 12.8 * width), default=1)


def legend(figure: Figure, style: dict[str, Style], names: Sequence[str], extra: Sequence[Line2D] = ()) -> None:
    """Draw the legend of these algorithms above the axes, and after them the `extra` lines."""
    handles = [
        Line2D([], [], color=style[n].color, marker=style[n].marker, markersize=5.5, linewidth=1.6,
               label=textwrap.fill(n, LEGEND))
        for n in names
    ]  # fmt: skip
    handles += extra
    labels = [label for handle in handles for label in str(handle.get_label()).splitlines()]
    columns = _columns(labels, figure.get_figwidth())
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, handlelength=1.6, columnspacing=1.6)


def wrapped(text: str, width: int) -> str:
    """The text in at most two lines of `width` characters."""
    return textwrap.fill(text, width, max_lines=2, placeholder="…")
