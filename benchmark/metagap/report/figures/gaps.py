"""Every gap with its interval."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from metagap.analysis.gaps import what_positive_means
from metagap.report.figures.axes import ROW, dots, label_values, legend, limits_of, offsets, row_axis, tall, wrapped
from metagap.report.frames import HEADLINE, Frames, interval_words, within_title
from metagap.report.panels import Panel
from metagap.report.theme import MUTED, styles


def gaps(frames: Frames, narrow: bool, within: bool = False) -> Figure | None:
    """Every gap of every algorithm with its interval; the zero line means that nothing is lost."""
    table = frames.headline_gaps(within, "figure")
    if within:  # the roles that gaps are about; the table has the others
        table = table[table["split"].isin([n for r, names in frames.split_groups() if r in HEADLINE for n in names])]
    if table.empty:
        return None
    metric, style = frames.metric, styles(frames.suite)
    groups = [(str(gap), list(dict.fromkeys(part["split"]))) for gap, part in table.groupby("gap", sort=False)]
    heights = [len(names) for _, names in groups]
    numbers = table[["value", "low", "high"]].to_numpy(float) * metric.gap_scale
    symlog = _heavy(numbers)
    row = max(0.3, ROW * len(frames.algorithms) + 0.06)
    figure = tall(sum(heights) * row + 0.3 * len(groups), frames.algorithms, narrow)
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    limits = limits_of(numbers, log=False, zero=True)
    for axis, (gap, names) in zip(axes, groups, strict=True):
        row_axis(axis, [wrapped(frames.gap_row(name), 18 if narrow else 32) for name in names], gap)
        axis.axvline(0, color=MUTED, linewidth=0.9)
        for offset, algorithm in zip(offsets(len(frames.algorithms)), frames.algorithms, strict=True):
            here = (table["gap"] == gap) & (table["algorithm"] == algorithm)
            levels = [names.index(name) + offset for name in table.loc[here, "split"]]
            dots(axis, levels, numbers[here], style[algorithm], limits)
        if symlog:
            axis.set_xscale("symlog", linthresh=_threshold(numbers))
        axis.set_xlim(*limits)
    label_values(figure, axes)
    costs = all(frames.gap_kinds[gap].sign == "cost" for gap, _ in groups)
    meaning = "right of zero: generalization costs" if costs else "what it brings or costs"
    label = f"difference of scores ({metric.gap_unit}); {meaning}"
    axes[-1].set_xlabel(wrapped(label, 44 if narrow else 90))
    legend(figure, style, frames.algorithms)
    return figure


def _heavy(values: np.ndarray) -> bool:
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return bool(sizes.size) and bool(sizes.max() > 50 * np.median(sizes))


def _threshold(values: np.ndarray) -> float:
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(10.0 ** np.round(np.log10(np.median(sizes))))


def between_splits(frames: Frames) -> str:
    """The caption of the gaps between two splits."""
    rows = frames.headline_gaps(place="figure")
    statistic = f" {frames.statistic_name.capitalize()} over the episodes." if frames.is_robust else ""
    return (
        "What is lost between two kinds of tasks. Whiskers: 95% "
        f"{interval_words(rows)}.{statistic}{frames.reference_words(rows)}{frames.edge}"
    )


def within_a_split(frames: Frames) -> str:
    """The caption of the gaps between two readings of the same episodes."""
    shown = dict.fromkeys(frames.headline_gaps(within=True, place="figure")["gap"])
    meaning = what_positive_means([frames.gap_kinds[gap] for gap in shown])
    return f"Contrasts on the same episodes. {meaning}{frames.edge}"


GAPS = Panel(name="gaps", section="gaps", caption=between_splits, draw=gaps)
GAPS_WITHIN = Panel(
    name="gaps-within", section="gaps", caption=within_a_split, draw=partial(gaps, within=True), folded=within_title
)
