"""Algorithms across suites: the critical-difference diagram, interquartile means, and performance profiles."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metagap.analysis.across_suites import AcrossSuites
from metagap.report.figures.axes import NARROW, WIDTH, dots, legend, limits_of, row_axis, tall, value_axis, wrapped
from metagap.report.theme import INK, MUTED, Style

NORMALISED = "normalised score: guessing 0, best possible 1"
LABEL, NARROW_LABEL = 2.2, 1.05  # inches beside the axis for the names
LETTERS, NARROW_LETTERS = 24, 13  # of a name
LINE, NARROW_LINE = 0.3, 0.38  # inches between two names
BAR = 0.13  # inches between two bars


def critical_difference(found: AcrossSuites, style: dict[str, Style], narrow: bool) -> Figure:
    """Demsar's diagram: mean ranks on a line, the best on the left, and a bar over each group that may be equal.

    Heights are inches below the axis: first the bars, then the names, which stand to the left for the better half.
    """
    test, names = found.test, found.algorithms
    groups = test.groups
    label, width, line = (NARROW_LABEL, NARROW, NARROW_LINE) if narrow else (LABEL, WIDTH, LINE)
    left = (len(names) + 1) // 2
    below = 0.2 + BAR * len(groups)
    depth = below + line * left
    above = 0.62  # the ruler of the critical difference, and the numbers of the axis
    figure = Figure((width, above + depth))
    axis = figure.add_axes((label / width, 0.0, 1 - 2 * label / width, depth / (above + depth)))
    axis.set(xlim=(1, len(names)), ylim=(depth, 0))
    axis.xaxis.tick_top()
    axis.xaxis.set_major_locator(MaxNLocator(6 if narrow else 12, integer=True))
    axis.yaxis.set_visible(False)
    axis.grid(False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.spines["top"].set_visible(True)
    axis.spines["top"].set_color(MUTED)
    axis.tick_params(axis="x", color=MUTED, length=4)
    _ruler(axis, test.critical_difference, len(names) - 1)
    for level, group in enumerate(groups):
        height = 0.14 + BAR * level
        reach = 0.012 * (len(names) - 1)  # a bar that ends a little beyond the ranks it joins
        axis.plot(
            [test.ranks[group[0]] - reach, test.ranks[group[-1]] + reach], [height, height],
            color=INK, linewidth=3, solid_capstyle="butt", clip_on=False,
        )  # fmt: skip
    for place, name in enumerate(names):
        first = place < left
        height = below + line * ((place if first else len(names) - 1 - place) + 0.5)
        _name(axis, name, float(test.ranks[name]), height, first, style[name], narrow)
    return figure


def _ruler(axis: Axes, length: float, room: float) -> None:
    """The critical difference as a length above the axis, from its best rank on; where it fits."""
    height = -0.42
    end = 1 + min(length, room)
    axis.plot([1, end], [height, height], "|-" if length <= room else "|--", color=MUTED, linewidth=1.2, clip_on=False)
    beyond = "" if length <= room else ", longer than the axis"
    axis.text(1, height - 0.07, f"critical difference {length:.2f}{beyond}", color=MUTED, fontsize=9, va="bottom")


def _name(axis: Axes, name: str, rank: float, height: float, first: bool, look: Style, narrow: bool) -> None:
    """One algorithm: a line from its rank down and to the side, where its name and its mean rank stand."""
    side = axis.get_xlim()[0 if first else 1]
    axis.plot([rank, rank, side], [0, height, height], color=look.color, linewidth=1.2, clip_on=False)
    axis.plot(rank, 0, look.marker, color=look.color, markersize=6, clip_on=False, zorder=5)
    letters = NARROW_LETTERS if narrow else LETTERS
    short = name if len(name) <= letters else f"{name[: letters - 1]}…"
    text = f"{short}\n{rank:.2f}" if narrow else f"{short}  {rank:.2f}"
    axis.annotate(text, (side, height), (-5 if first else 5, 0), textcoords="offset points",
                  ha="right" if first else "left", va="center", fontsize=9, linespacing=1.1)  # fmt: skip


def interquartile_means(found: AcrossSuites, style: dict[str, Style], narrow: bool) -> Figure:
    """A dot with a whisker for each algorithm."""
    table = found.aggregates
    figure = Figure((NARROW if narrow else WIDTH, 0.6 + 0.32 * len(table)), layout="constrained")
    axis = figure.subplots()
    row_axis(axis, [wrapped(name, 18 if narrow else 32) for name in table["algorithm"]], "")
    values = table[["iqm", "low", "high"]].to_numpy(dtype=float)
    limits = limits_of(values, log=False)
    for level, (name, row) in enumerate(zip(table["algorithm"], values, strict=True)):
        dots(axis, [level], [row], style[name], limits)
    value_axis(axis, limits, log=False)
    axis.tick_params(axis="x", length=0)
    axis.set_xlabel("IQM of the normalised score" if narrow else f"interquartile mean of the {NORMALISED}")
    return figure


def profiles(found: AcrossSuites, style: dict[str, Style], narrow: bool) -> Figure:
    """A line with a band for each algorithm: the share of runs above every normalised score."""
    figure = tall(2.6 if narrow else 3.2, found.algorithms, narrow)
    axis = figure.subplots()
    for name in found.algorithms:
        rows = found.profiles[found.profiles["algorithm"] == name]
        tau, share, low, high = rows[["tau", "share", "low", "high"]].to_numpy(dtype=float).T
        axis.plot(tau, share, color=style[name].color, marker=style[name].marker, markevery=(0.05, 0.2), markersize=4)
        if np.isfinite(low).all():
            axis.fill_between(tau, low, high, color=style[name].color, alpha=0.14, linewidth=0)
    axis.set(xlim=(0, 1), ylim=(0, 1.02))
    axis.tick_params(length=0)
    axis.set_xlabel("normalised score (τ)" if narrow else f"{NORMALISED} (τ)")
    axis.set_ylabel("share of runs above τ")
    legend(figure, style, found.algorithms)
    return figure
