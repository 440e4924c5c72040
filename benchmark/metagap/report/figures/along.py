"""Small multiples against the iterations of meta-training: gaps, scores, and recorded quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from metagap.analysis.grids import AVERAGE
from metagap.report.along import quantity_splits
from metagap.report.figures.axes import finish_grid, key, legend, limits_of, tall, value_axis, wrapped
from metagap.report.frames import Frames, interval_words
from metagap.report.panels import Panel
from metagap.report.theme import MUTED, PAPER, Style, styles


class Multiple(NamedTuple):
    """One of the axes: algorithm, iteration, value, low, high, as printed, and `dashed`, where not all lines are drawn
    through; marked: algorithm -> an iteration."""

    title: str
    rows: pd.DataFrame
    marked: Mapping[str, float] = {}


def gaps(frames: Frames, narrow: bool) -> Figure | None:
    """Every gap against the iterations, with a marker where it opens."""
    table = frames.headline_rows(frames.along.gaps)
    table = table.assign(**{name: table[name] * frames.metric.gap_scale for name in ("value", "low", "high")})
    found = frames.headline_rows(frames.along.openings).dropna(subset="opens")
    multiples = [
        Multiple(
            str(gap) if split in frames.role("in-distribution") else f"{gap}: {frames.gap_row(str(split))}",
            rows,
            _opened(found[(found["gap"] == gap) & (found["split"] == split)]),
        )
        for (gap, split), rows in table.groupby(["gap", "split"], sort=False)
    ]
    marker = [key("opens by", linestyle="none", marker="o")] if len(found) else []
    return _drawn(frames, narrow, multiples, f"gap ({frames.metric.gap_unit})", marker, zero=True)


def _opened(rows: pd.DataFrame) -> dict[str, float]:
    """Algorithm -> the iteration by which its gap opens."""
    return dict(zip(rows["algorithm"], rows["opens"], strict=True))


def scores(frames: Frames, narrow: bool) -> Figure | None:
    """The score on every split against the iterations."""
    table = frames.headline_rows(frames.along.scores)
    printed = [frames.metric.values(*row) for row in table[["score", "low", "high"]].itertuples(index=False)]
    table = table.assign(
        **dict(zip(("value", "low", "high"), zip(*printed, strict=True), strict=True) if printed else {})
    )
    multiples = [
        Multiple(frames.split_label(split.name), rows)
        for split in frames.suite.splits
        if len(rows := table[table["split"] == split.name])
    ]
    return _drawn(frames, narrow, multiples, frames.score_label(short=True), log=frames.metric.log)


def quantities(frames: Frames, narrow: bool) -> Figure | None:
    """Every recorded quantity against the iterations, at home and in the domains on average."""
    table = frames.along.quantities
    if table["iteration"].nunique() < 2:
        return None
    home, away = quantity_splits(frames, table)
    table = table[table["split"].isin([*home, *away])].assign(dashed=table["split"].isin(away))
    multiples = [
        Multiple(str(quantity), rows)
        for quantity, rows in table.groupby("quantity", sort=False)
        if rows["value"].notna().any()
    ]
    dashed = table["dashed"].any()
    return _drawn(frames, narrow, multiples, "", [key("new domains", linestyle="--")] if dashed else [], alike=False)


def _drawn(
    frames: Frames,
    narrow: bool,
    multiples: Sequence[Multiple],
    label: str,
    extra: Sequence[Line2D] = (),
    log: bool = False,
    zero: bool = False,
    alike: bool = True,
) -> Figure | None:
    """One axes for each, with a line and a band for each algorithm; None without any.

    alike: whether all have the same value axis.
    """
    if not multiples:
        return None
    style, last = styles(frames.suite), max(int(one.rows["iteration"].max()) for one in multiples)
    columns = min(1 if narrow and not alike else 2 if narrow else 3, len(multiples))
    rows = -(-len(multiples) // columns)
    there = set().union(*(one.rows["algorithm"] for one in multiples))
    names = [name for name in frames.suite.algorithms if name in there]
    figure = tall(1.9 * rows, names, narrow)
    axes = figure.subplots(rows, columns, sharex=True, sharey=alike, squeeze=False).ravel()
    multiples = [one._replace(rows=one.rows.assign(dashed=one.rows.get("dashed", False))) for one in multiples]
    together = _limits([one.rows for one in multiples], log, zero)
    for axis, one in zip(axes, multiples, strict=False):
        limits = together if alike else _limits([one.rows], log, zero)
        if zero:
            axis.axhline(0, color=MUTED, linewidth=0.9)
        for name in names:
            for _, line in one.rows[one.rows["algorithm"] == name].groupby("dashed"):
                _line(axis, line.sort_values("iteration"), style[name], limits, last, one.marked.get(name, np.nan))
        value_axis(axis, limits, log, vertical=True)
        axis.set_xlim(0, last)
        axis.xaxis.set_major_locator(MaxNLocator(4 if narrow else 5, integer=True))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_title(wrapped(one.title, (19 if columns > 1 else 44) if narrow else 32), fontsize=8.5)
        axis.tick_params(length=0, labelbottom=True)
    finish_grid(figure, axes, len(multiples), "meta-iteration", label)
    legend(figure, style, names, extra)
    return figure


def _limits(tables: Sequence[pd.DataFrame], log: bool, zero: bool) -> tuple[float, float]:
    """Those of the values, and of the bands but for the widest tenth of them, which few runs can make very wide."""
    rows = pd.concat(tables)
    numbers = rows["value"].to_numpy(float)
    for name, share in (("low", 0.1), ("high", 0.9)):
        ends = rows[name].to_numpy(float)
        ends = ends[np.isfinite(ends)]
        numbers = np.append(numbers, np.quantile(ends, share)) if len(ends) else numbers
    return limits_of(numbers, log, zero)


def _line(axis: Axes, line: pd.DataFrame, look: Style, limits: tuple[float, float], last: int, marked: float) -> None:
    """One algorithm: a line and its band, and a marker at one iteration; a single point is the same all along."""
    if len(line) == 1:
        line = pd.concat([line, line.assign(iteration=last)])
    at = line["iteration"].to_numpy()
    value, low, high = (line[name].to_numpy(float) for name in ("value", "low", "high"))
    low, high = (np.where(np.isnan(value), np.nan, part) for part in (low, high))
    value, low, high = (np.clip(part, *limits) for part in (value, low, high))
    axis.fill_between(at, low, high, color=look.color, alpha=0.12, linewidth=0)
    axis.plot(at, value, color=look.color, linewidth=1.5, linestyle="--" if line["dashed"].any() else "-")
    if (here := at == marked).any():
        axis.plot(at[here], value[here], look.marker, color=look.color, markersize=6.5, markeredgecolor=PAPER,
                  markeredgewidth=0.6, clip_on=False, zorder=5)  # fmt: skip


def gaps_caption(frames: Frames) -> str:
    """What is shown."""
    rows = frames.headline_rows(frames.along.gaps)
    return (
        f"Gaps against the iterations of meta-training; above zero, generalization costs. Bands: 95% "
        f"{interval_words(rows)}, of each iteration by itself.{frames.robust} A marker stands where a gap opens: from "
        "there on the band excludes zero at every checkpoint. "
        "Iteration 0 is the untrained start; what does not train is the same all along."
    )


def scores_caption(frames: Frames) -> str:
    """What is shown."""
    rows = frames.headline_rows(frames.along.scores)
    return (
        f"Scores against the iterations of meta-training, on the same episodes at every checkpoint. Bands: 95% "
        f"{interval_words(rows)}.{frames.robust}"
    )


def quantities_caption(frames: Frames) -> str:
    """What is shown."""
    home, away = quantity_splits(frames, frames.along.quantities)
    where = f" Drawn through: {frames.split_label(home[-1])}, or the whole run." if home and home[-1] else ""
    where += f" Dashed: {'the average over the domains' if away == [AVERAGE] else away[0]}." if away else ""
    return (
        f"Recorded quantities against the iterations of meta-training: means over the episodes and the runs.{where} "
        "Bands: 95% interval over the runs. “metagap show NAME” says what a quantity is."
    )


GAPS = Panel(name="along-gaps", section="training", caption=gaps_caption, draw=gaps)
SCORES = Panel(name="along-scores", section="training", caption=scores_caption, draw=scores)
QUANTITIES = Panel(
    name="along-quantities",
    section="training",
    heading="Recorded quantities",
    caption=quantities_caption,
    draw=quantities,
)
