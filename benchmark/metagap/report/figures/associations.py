"""What goes with the gap: the correlations with their intervals, and the pairs of the strongest ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metagap.analysis.associations import Associations
from metagap.analysis.associations.ranks import OVERALL, WITHIN
from metagap.analysis.comparisons import CANNOT_TELL
from metagap.report.figures.axes import NARROW, WIDTH, dots, legend, row_axis, wrapped
from metagap.report.theme import INK, MUTED, Style

SHOWN = 6
"""Scatter plots."""
LIMITS = (-1.0, 1.0)


def correlations(found: Associations, style: dict[str, Style], narrow: bool) -> Figure:
    """A row per quantity, a column per gap (on a phone one below the other); two dots with whiskers in each."""
    names, gaps = found.quantities, found.gaps
    height = 0.55 + 0.34 * len(names)
    columns = 1 if narrow else len(gaps)
    size = (NARROW, 0.3 + (height + 0.3) * len(gaps)) if narrow else (WIDTH, height + 0.4)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(gaps) if narrow else 1, columns, squeeze=False).ravel()
    for place, (axis, gap) in enumerate(zip(axes, gaps, strict=True)):
        row_axis(axis, [wrapped(name, 18 if narrow else 26) for name in names], gap)
        if place and not narrow:
            axis.set_yticklabels([])
        axis.axvline(0, color=MUTED, linewidth=0.8)
        rows = found.correlations[found.correlations["gap"] == gap]
        for one in rows.to_dict("records"):
            level = names.index(one["quantity"]) + (-0.17 if one["scope"] == WITHIN else 0.17)
            look = Style(MUTED if one["verdict"] == CANNOT_TELL else INK, "o" if one["scope"] == WITHIN else "s")
            dots(axis, [level], [[one["value"], one["low"], one["high"]]], look, LIMITS)
        axis.set(xlim=LIMITS)
        axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "", "0", "", "1"])
        axis.tick_params(axis="x", length=0)
        if not narrow or place == len(gaps) - 1:
            axis.set_xlabel("rank correlation")
    return figure


def strongest(found: Associations, style: dict[str, Style], narrow: bool) -> Figure:
    """Small scatter plots of ranks within suites."""
    table = found.correlations
    within = table[(table["scope"] == WITHIN) & table["value"].notna()]
    chosen = within if len(within) else table[(table["scope"] == OVERALL) & table["value"].notna()]
    chosen = chosen.assign(told=chosen["verdict"] != CANNOT_TELL, size=chosen["value"].abs())
    shown = chosen.sort_values(["told", "size"], ascending=False, kind="stable").head(SHOWN).to_dict("records")
    columns = 2 if narrow else 3
    rows = -(-len(shown) // columns)
    figure = Figure((NARROW if narrow else WIDTH, 1.1 + (1.9 if narrow else 2.6) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, one in zip(axes, shown, strict=False):
        _scatter(axis, found.rows, one, style, narrow)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    legend(figure, style, found.algorithms)
    return figure


def _scatter(axis: Axes, rows: pd.DataFrame, one: dict, style: dict[str, Style], narrow: bool) -> None:
    """One quantity and one gap: an algorithm has its colour and marker, whatever the suite."""
    pair = [one["quantity"], one["gap"]]
    points = rows.groupby(["suite", "algorithm", "split"], sort=False)[pair].mean().dropna().reset_index()
    ranked = points.groupby("suite")[pair]
    places = (ranked.rank() - 0.5).div(ranked.transform("count"))
    for name in dict.fromkeys(points["algorithm"]):
        here = places[points["algorithm"] == name].to_numpy()
        axis.plot(*here.T, style[name].marker, color=style[name].color, markersize=4, alpha=0.75, markeredgewidth=0)
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axis.set_xticks(np.linspace(0, 1, 3))
    axis.set_yticks(np.linspace(0, 1, 3))
    axis.tick_params(length=0)
    axis.set_title(f"{one['value']:+.2f}".replace("-", "−"))
    axis.set_xlabel(wrapped(one["quantity"], 20 if narrow else 34))
    axis.set_ylabel(wrapped(one["gap"], 16 if narrow else 28))
