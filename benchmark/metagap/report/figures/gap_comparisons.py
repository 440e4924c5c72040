"""Whose gap is smaller: the difference of the gaps of every pair of algorithms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from metagap.report.figures.axes import NARROW, WIDTH, dots, label_values, limits_of, row_axis, wrapped
from metagap.report.frames import Frames, interval_words
from metagap.report.panels import Panel
from metagap.report.theme import INK, MUTED, PALETTE, Style, styles
from metagap.text import number

MANY = 30
"""More pairs than this are a matrix."""
MORE, LESS = PALETTE[1][0], PALETTE[0][0]
"""The colours of a gap that is larger than the other, and of one that is smaller."""
WRITTEN = 25
"""The most algorithms between whose columns there is room for numbers."""


def gap_comparisons(frames: Frames, narrow: bool) -> Figure | None:
    """Each pair a row with its interval; a matrix where there are many pairs; None without two algorithms."""
    table = frames.headline_gap_pairs()
    if table.empty:
        return None
    groups = [
        (f"{gap}, {frames.gap_row(str(split))}", part)
        for (gap, split), part in table.groupby(["gap", "split"], sort=False)
        if np.isfinite(part["difference"]).any()
    ]
    if not groups:
        return None
    return (_matrices if is_matrix(frames) else _forest)(frames, groups, narrow)


def is_matrix(frames: Frames) -> bool:
    """Whether there are too many pairs for a row each."""
    return len(frames.headline_gap_pairs()[["a", "b"]].drop_duplicates()) > MANY


def _forest(frames: Frames, groups: list[tuple[str, pd.DataFrame]], narrow: bool) -> Figure:
    look, scale = styles(frames.suite), frames.metric.gap_scale
    heights = [len(part) for _, part in groups]
    figure = Figure((NARROW if narrow else WIDTH, 0.34 * sum(heights) + 0.3 * len(groups) + 0.6), layout="constrained")
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    numbers = pd.concat([part for _, part in groups])[["difference", "low", "high"]].to_numpy(float) * scale
    limits = limits_of(numbers, log=False, zero=True)
    for axis, (title, part) in zip(axes, groups, strict=True):
        rows = part.to_dict("records")
        row_axis(axis, [wrapped(f"{row['a']} − {row['b']}", 18 if narrow else 32) for row in rows], title)
        axis.axvline(0, color=MUTED, linewidth=0.9)
        for level, row in enumerate(rows):
            smaller = _smaller(row)
            style = Style(look[smaller].color, look[smaller].marker) if smaller else Style(MUTED, "o")
            values = tuple(float(row[key]) * scale for key in ("difference", "low", "high"))
            dots(axis, [level], [values], style, limits)
        axis.set_xlim(*limits)
    label_values(figure, axes)
    label = f"gap of the first − gap of the second ({frames.metric.gap_unit})"
    axes[-1].set_xlabel(wrapped(label, 44 if narrow else 90))
    return figure


def _matrices(frames: Frames, groups: list[tuple[str, pd.DataFrame]], narrow: bool) -> Figure:
    names = _by_gap(frames, groups[-1][1])
    side, label = len(names), 16 if narrow else 28
    width, cell = NARROW if narrow else WIDTH, 0.2 if narrow else 0.26
    figure = Figure((width, len(groups) * (cell * side + 0.65)), layout="constrained")
    axes = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
    for axis, (title, part) in zip(axes, groups, strict=True):
        _matrix(axis, frames, names, part, written=not narrow and side <= WRITTEN)
        axis.set_title(title, loc="left")
        axis.set_yticks(range(side), [f"{_short(name, label)} {place}" for place, name in enumerate(names, 1)])
        axis.set_xticks(
            range(side), [str(place) if _has_room(place, side, narrow) else "" for place in range(1, side + 1)]
        )
    return figure


def _has_room(place: int, side: int, narrow: bool) -> bool:
    """Whether there is room for the number of a column."""
    every = -(-side // (10 if narrow else 40))
    return (place - 1) % every == 0


def _matrix(axis: Axes, frames: Frames, names: list[str], part: pd.DataFrame, written: bool) -> None:
    """A square for each pair, of the row minus the column; the stronger its colour, the larger the difference."""
    place, scale = {name: position for position, name in enumerate(names)}, frames.metric.gap_scale
    sizes = np.abs(part["difference"].to_numpy(float))
    sizes = sizes[np.isfinite(sizes)]
    largest = float(sizes[sizes <= 1e3 * max(float(np.median(sizes)), 1e-12)].max()) or 1.0
    for row in part.to_dict("records"):
        for first, second, sign in ((row["a"], row["b"], 1), (row["b"], row["a"], -1)):
            value = sign * float(row["difference"])
            if np.isnan(value):
                continue
            x, y, strength = place[second], place[first], min(abs(value) / largest, 1.0)
            corner = (x - 0.5, y - 0.5)
            axis.add_patch(
                Rectangle(corner, 1, 1, facecolor=MORE if value > 0 else LESS, alpha=0.06 + 0.5 * strength, linewidth=0)
            )
            clear = bool(_smaller(row))
            if written and np.isfinite(value):
                text = number(value * scale, decimals=0 if largest * scale >= 10 else 1)
                axis.text(x, y, text, ha="center", va="center", fontsize=7.5, color=INK,
                          fontweight="bold" if clear else "normal")  # fmt: skip
            elif clear:
                axis.plot(x, y, "o", color=INK, markersize=3)
    axis.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axis.grid(False)
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    axis.spines[["left", "bottom"]].set_visible(False)


def _smaller(row: dict[Any, Any]) -> str:
    """The algorithm whose gap is significantly smaller; empty where that cannot be told."""
    return row["verdict"].removesuffix(" smaller") if row["verdict"].endswith(" smaller") else ""


def _by_gap(frames: Frames, part: pd.DataFrame) -> list[str]:
    """The algorithms from the smallest gap to the largest."""
    gaps = dict(zip(part["a"], part["gap_a"], strict=True)) | dict(zip(part["b"], part["gap_b"], strict=True))
    return sorted(
        (name for name in frames.algorithms if name in gaps), key=lambda name: np.nan_to_num(gaps[name], nan=np.inf)
    )


def _short(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def caption(frames: Frames) -> str:
    """What is shown."""
    rows = frames.headline_gap_pairs()
    none = " None is significant." if not rows["verdict"].str.endswith(" smaller").any() else ""
    if not is_matrix(frames):
        return (
            "Whose gap is smaller, for every pair. In the colour of the algorithm whose gap is significantly smaller; "
            f"grey: not significant.{none} Whiskers: 95% {interval_words(rows)}, not corrected."
        )
    return (
        f"Whose gap is smaller: that of the row minus that of the column, in {frames.metric.gap_unit}. Orange: the row "
        "loses more; blue: the column does; the stronger, the larger the difference. Numbers in bold, or dots: "
        f"significant.{none} Sorted by the domain gap, the smallest first."
    )


GAP_COMPARISONS = Panel(name="gap-comparisons", section="comparisons", caption=caption, draw=gap_comparisons)
