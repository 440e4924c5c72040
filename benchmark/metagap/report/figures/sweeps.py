"""Scores and gaps against the values of a sweep: lines with bands, and heat maps for a grid of two keys."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from metagap.analysis.trends import SCORE, Trends
from metagap.report.figures.axes import NARROW, WIDTH, legend, limits_of, tall, value_axis, wrapped
from metagap.report.theme import MUTED, styles
from metagap.suite import Axis

COLUMNS, NARROW_COLUMNS = 3, 1
MAPS, NARROW_MAPS = 4, 2
PANEL, MAP = 2.3, 1.7  # inches
COLOURS = "Blues"
DARK, LIGHT = "#10161d", "#fdfdfd"  # of numbers on the colours of a map, in both modes of the page
CELLS = 6
"""Values of a key up to which a map has its numbers written in it."""


def scores(found: Trends, narrow: bool) -> Figure | None:
    """The score on each split against the value; a line with a band for each algorithm."""
    rows = found.points[found.points["what"] == SCORE]
    metric = found.metric
    values = [metric.values(*row) for row in rows[["value", "low", "high"]].itertuples(index=False)]
    unit = f"{metric.label} ({metric.unit})" if metric.unit else metric.label
    return _panels(found, _scaled(rows, values), narrow, unit, metric.log, lambda _, split: split)


def gaps(found: Trends, narrow: bool) -> Figure | None:
    """Every gap against the value, the same way."""
    rows = found.points[found.points["what"] != SCORE]
    values = rows[["value", "low", "high"]].to_numpy(float) * found.metric.gap_scale
    return _panels(found, _scaled(rows, values), narrow, found.metric.gap_unit, False, _gap_title)


def _gap_title(what: str, split: str) -> str:
    return f"{what}: {split}"


def _scaled(rows: pd.DataFrame, values: list[tuple[float, float, float]] | np.ndarray) -> pd.DataFrame:
    """The rows with their values in printed units."""
    value, low, high = np.asarray(values, dtype=float).reshape(-1, 3).T
    return rows.assign(value=value, low=low, high=high)


def _panels(
    found: Trends, rows: pd.DataFrame, narrow: bool, unit: str, log: bool, title: Callable[[str, str], str]
) -> Figure | None:
    """A panel for each measure, against the only key."""
    measures = list(dict.fromkeys(zip(rows["what"], rows["split"], strict=True)))
    if not measures or len(found.axes) > 1:
        return None
    axis_of, style = next(iter(found.axes)), styles(found.results.suite)
    columns = min(NARROW_COLUMNS if narrow else COLUMNS, len(measures))
    lines = -(-len(measures) // columns)
    figure = tall(PANEL * lines, found.algorithms, narrow)
    axes = figure.subplots(lines, columns, squeeze=False)
    for number, axis in enumerate(axes.flat):
        if number >= len(measures):
            axis.set_visible(False)
            continue
        what, split = measures[number]
        here = rows[(rows["what"] == what) & (rows["split"] == split)]
        limits = limits_of(here[["value", "low", "high"]].to_numpy(float), log=log, zero=what != SCORE)
        for algorithm in found.algorithms:
            part = here[here["algorithm"] == algorithm].sort_values(axis_of.key)
            x, y, low, high = part[[axis_of.key, "value", "low", "high"]].to_numpy(float).T
            look = style[algorithm]
            axis.plot(x, np.clip(y, *limits), color=look.color, marker=look.marker, markersize=4, linewidth=1.4)
            axis.fill_between(x, np.clip(np.nan_to_num(low, nan=np.inf), *limits),
                              np.clip(np.nan_to_num(high, nan=-np.inf), *limits),
                              where=np.isfinite(low) & np.isfinite(high),
                              color=look.color, alpha=0.13, linewidth=0)  # fmt: skip
        if what != SCORE:
            axis.axhline(0, color=MUTED, linewidth=0.9)
        value_axis(axis, limits, log=log, vertical=True)
        axis.set_title(wrapped(title(what, split), 40 if narrow or columns == 1 else 30))
        _key_axis(axis, axis_of)
        if number % columns == 0:
            axis.set_ylabel(unit)
        if number >= len(measures) - columns:
            axis.set_xlabel(axis_of.name)
    legend(figure, style, found.algorithms)
    return figure


def _key_axis(axis: Axes, key: Axis) -> None:
    """The values of a key along the x axis, each with its number."""
    if key.scale == "log":
        axis.set_xscale("log", base=2)
    axis.xaxis.set_major_locator(FixedLocator(_apart(key)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.tick_params(length=0)


def _apart(key: Axis) -> list[float]:
    """The values that can have their number below the axis without touching the one before."""
    places = np.log2(key.values) if key.scale == "log" else np.asarray(key.values, dtype=float)
    span, kept = places[-1] - places[0], [0]
    for number in range(1, len(places)):
        if places[number] - places[kept[-1]] >= span / 9:
            kept.append(number)
    return [float(key.values[number]) for number in kept]


def heat_map(found: Trends, what: str, split: str, narrow: bool) -> Figure | None:
    """A measure over the values of two keys, a map for each algorithm."""
    rows = found.points[(found.points["what"] == what) & (found.points["split"] == split)]
    if len(found.axes) < 2 or rows.empty:
        return None
    first, second = found.axes
    metric = found.metric
    scale = metric.score_scale if what == SCORE else metric.gap_scale
    maps = {}
    for algorithm in found.algorithms:
        part = rows[rows["algorithm"] == algorithm]
        if not part.empty:
            table = part.pivot(index=second.key, columns=first.key, values="value") * scale
            maps[algorithm] = table.reindex(index=second.values, columns=first.values).to_numpy(float)
    finite = np.concatenate([one[np.isfinite(one)] for one in maps.values()])
    limits = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    columns = min(NARROW_MAPS if narrow else MAPS, len(maps))
    lines = -(-len(maps) // columns)
    figure = Figure((NARROW if narrow else WIDTH, 0.5 + (MAP + 0.25) * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for number, axis in enumerate(axes.flat):
        if number >= len(maps):
            axis.set_visible(False)
            continue
        algorithm = list(maps)[number]
        _map(axis, maps[algorithm], limits, metric.decimals)
        axis.set_title(wrapped(algorithm, 18))
        axis.set_xticks(range(len(first.values)), [f"{value:g}" for value in first.values])
        axis.set_yticks(range(len(second.values)), [f"{value:g}" for value in second.values])
        if number % columns == 0:
            axis.set_ylabel(second.name)
        if number >= len(maps) - columns:
            axis.set_xlabel(first.name)
    return figure


def _map(axis: Axes, values: np.ndarray, limits: tuple[float, float], decimals: int) -> None:
    low, high = limits
    shades = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    axis.imshow(shades, cmap=COLOURS, vmin=0, vmax=1, aspect="auto", origin="lower", interpolation="nearest")
    axis.grid(False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.tick_params(length=0)
    if max(values.shape) > CELLS:
        return
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = colormaps[COLOURS](shades[row, column])
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            axis.text(column, row, f"{value:.{decimals}f}", ha="center", va="center",
                      fontsize=9, color=LIGHT if dark else DARK)  # fmt: skip
