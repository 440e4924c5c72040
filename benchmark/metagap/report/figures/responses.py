"""Responses: scores against the strength of a shift, and what the shift does to an image."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metagap.analysis.responses import Family
from metagap.report.figures.axes import finish_grid, key, legend, limits_of, tall, value_axis, wrapped
from metagap.report.frames import Frames, interval_words
from metagap.report.panels import Gallery, Panel, Picture
from metagap.report.theme import MUTED, PAPER, Style, drawing, styles


def responses(frames: Frames, narrow: bool) -> Figure | None:
    """One axes for each response, with a line and a band for each algorithm; None without any."""
    table = frames.headline_rows(frames.responses.points)
    if table.empty:
        return None
    printed = [frames.metric.values(*row) for row in table[["score", "low", "high"]].itertuples(index=False)]
    value, low, high = np.array(printed, float).T
    table = table.assign(value=value, low=low, high=high, floor=table["floor"] * frames.metric.score_scale)
    halves = frames.headline_rows(frames.responses.areas).set_index(["response", "algorithm"])["half"]
    style, metric = styles(frames.suite), frames.metric
    found = list(dict.fromkeys(table["response"]))
    columns = min(2 if narrow else 3, len(found))
    figure = tall(1.9 * -(-len(found) // columns), frames.algorithms, narrow)
    axes = figure.subplots(-(-len(found) // columns), columns, sharey=True, squeeze=False).ravel()
    limits = limits_of(table[["value", "low", "high"]].to_numpy(float).ravel(), metric.log)
    for axis, name in zip(axes, found, strict=False):
        here = table[table["response"] == name].sort_values("strength", kind="stable")
        for algorithm, line in here.groupby("algorithm", sort=False):
            _line(axis, line, style[str(algorithm)], limits, float(halves[name, algorithm]))
        floor = here.drop_duplicates("strength")
        axis.plot(floor["strength"], floor["floor"], color=MUTED, linewidth=0.9, linestyle=":")
        axis.set_title(wrapped(str(name), 22 if narrow else 32), fontsize=8.5)
        axis.set_xticks(*_ticks(floor["strength"].to_numpy(float)))
        value_axis(axis, limits, metric.log, vertical=True)
        axis.tick_params(length=0, labelbottom=True)
    finish_grid(figure, axes, len(found), "strength of the shift", frames.score_label(short=True))
    extra = [key("half effect", linestyle="none", marker="o")] if np.isfinite(halves).any() else []
    extra += [key("guessing", linestyle=":", linewidth=1)] if np.isfinite(table["floor"]).any() else []
    legend(figure, style, [name for name in frames.algorithms if name in set(table["algorithm"])], extra)
    return figure


def _ticks(strengths: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The strengths with their labels, without those that would stand too close to the one before."""
    kept = [strengths[0]]
    for strength in strengths[1:]:
        if abs(strength - kept[-1]) >= 0.12 * np.ptp(strengths):
            kept.append(strength)
    return np.array(kept), [f"{strength:g}" for strength in kept]


def _line(axis: Axes, line: pd.DataFrame, look: Style, limits: tuple[float, float], half: float) -> None:
    """One algorithm: a line, its band, and a marker at the half-effect strength."""
    at = line["strength"].to_numpy(float)
    value, low, high = (np.clip(line[name].to_numpy(float), *limits) for name in ("value", "low", "high"))
    axis.fill_between(at, low, high, color=look.color, alpha=0.12, linewidth=0)
    axis.plot(at, value, color=look.color, linewidth=1.5)
    if np.isfinite(half):
        axis.plot(half, np.interp(half, at, value), look.marker, color=look.color, markersize=6.5,
                  markeredgecolor=PAPER, markeredgewidth=0.6, clip_on=False, zorder=5)  # fmt: skip


def caption(frames: Frames) -> str:
    """What is shown."""
    rows = frames.headline_rows(frames.responses.points)
    return (
        "Scores against the strength of a shift, on the same tasks at every strength; each response begins with what "
        f"is not shifted. Bands: 95% {interval_words(rows)}.{frames.robust} A marker stands where half of what the "
        "algorithm is better than guessing by is lost; dotted: guessing."
    )


def pictures(frames: Frames) -> list[Picture]:
    """For each response of images, an image of its first test episode at every strength."""
    found = []
    for number, family in enumerate(frames.families, 1):
        shown = [frames.samples.get(split, {}) for split in family.splits]
        if all(_is_image(sample) for sample in shown):
            images = [sample["support_x"][0] for sample in shown]
            text = f"{shown[0]['class_names'][int(shown[0]['support_y'][0])]}, of {family.reference}"
            draw = partial(_row, family, images)
            found.append(Picture(f"response-{number}", family.name, text, draw))
    return found


def _is_image(sample: dict[str, np.ndarray]) -> bool:
    x = sample.get("support_x", np.empty(0))
    return x.ndim == 4 and x.shape[1] in (1, 3) and x.dtype == np.uint8 and "class_names" in sample


def _row(family: Family, images: list[np.ndarray]) -> Figure:
    with drawing():
        figure = Figure((2.7, 0.25 + 2.7 / len(images)), layout="constrained")
        for axis, image, strength in zip(
            figure.subplots(1, len(images), squeeze=False)[0], images, family.strengths, strict=True
        ):
            axis.imshow(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1), cmap="gray", vmin=0, vmax=255,
                        interpolation="none")  # fmt: skip
            axis.set_title(f"{strength:g}", fontsize=8, loc="center", fontweight="normal")
            axis.axis("off")
    return figure


RESPONSES = Panel(name="responses", section="responses", caption=caption, draw=responses)
IMAGES = Gallery(
    name="response-images",
    section="responses",
    text="The same image at every strength; the first one is not shifted.",
    pictures=pictures,
)
