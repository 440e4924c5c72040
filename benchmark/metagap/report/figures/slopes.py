"""From the training tasks to new tasks to new domains."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from metagap.report.figures.axes import legend, limits_of, offsets, tall, value_axis
from metagap.report.frames import HEADLINE, Frames
from metagap.report.panels import Panel
from metagap.report.theme import INK, PAPER, styles


def slopes(frames: Frames, narrow: bool) -> Figure | None:
    """Lines from meta-train to in-distribution to cross-domain: the mean over the splits of each role."""
    table = frames.headline_scores()
    table = table[table["split"].isin(frames.plain_splits())]
    roles = [role for role in HEADLINE if role in set(table["role"])]
    if len(roles) < 2:
        return None
    metric, style = frames.metric, styles(frames.suite)
    table = table.assign(shown=table["score"] * metric.score_scale)
    table = table[np.isfinite(table["shown"])]
    means = table.groupby(["algorithm", "role"])["shown"].mean()
    figure = tall(3.0, frames.algorithms, narrow)
    axis = figure.subplots()
    limits = limits_of(table["shown"].to_numpy(), metric.log)
    ends: list[str] = []
    for shift, algorithm in zip(offsets(len(frames.algorithms)) * 0.1, frames.algorithms, strict=True):
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
    value_axis(axis, limits, metric.log, vertical=True)
    axis.set_xlim(-0.15, len(roles) - 1 + 0.15)
    axis.set_xticks(range(len(roles)), roles)
    axis.tick_params(axis="x", labelcolor=INK, length=0)
    axis.grid(False, axis="x")
    axis.set_ylabel(frames.score_label(short=True))
    legend(figure, style, ends)
    return figure


def caption(frames: Frames) -> str:
    """What is shown."""
    several = any(len(frames.role(role)) > 1 for role in HEADLINE)
    return (
        "From the training tasks to new tasks to new domains: the mean over the splits of each kind"
        f"{'; small marks are the single splits' if several else ''}. The intervals are in the table above."
        f"{frames.robust}"
    )


SLOPES = Panel(name="slopes", section="scores", caption=caption, draw=slopes)
