"""A test episode of every split."""

from __future__ import annotations

import math
import re
import textwrap
from functools import partial
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from metagap.report.frames import Frames
from metagap.report.panels import Gallery, Picture
from metagap.report.theme import MUTED, PALETTE, PAPER, drawing

SAMPLE_CLASSES = 5
EXAMPLES = ("support_x", "query_x")
SENTENCES = {
    "functions": "Tasks of every split: the true functions, and the support points that an algorithm adapts to.",
    "images": "The first test episode of every split. Each column is a class: an algorithm adapts to the support "
    "images and is scored on the queries.",
    "table": "The first test episode of every split: a few rows of its support set and of its queries.",
    "series": "The first test episode of every split: support examples in colour, queries in grey.",
}
"""What is said of samples, by the manner in which they are drawn."""
LONG = 8
"""Numbers of an example from which on it is drawn as a line, and not written down, where nothing names them."""
LONGEST = 10
"""Letters in a cell of a table, at most."""


def sample_images(sample: dict[str, np.ndarray], classes: int = SAMPLE_CLASSES, queries: int = 3) -> Figure:
    """One classification episode: a column for each class, its support images above, a few queries below."""
    ways = min(len(sample["class_names"]), classes)
    support = _by_class(sample["support_x"], sample["support_y"], ways, 3)
    query = _by_class(sample["query_x"], sample["query_y"], ways, queries)
    blocks = [block for block in (support, query) if block]
    side = sample["support_x"].shape[-2]
    gap = 0.35 * side
    height = sum(len(block) * side * 1.08 for block in blocks) + gap * len(blocks)
    width = ways * side * 1.08
    with drawing():
        figure = Figure((2.7, 2.7 * (height + gap) / (width * 1.02)))
        axis = figure.add_axes((0.01, 0.0, 0.98, 1.0))
        axis.set(xlim=(0, width), ylim=(height + gap * 0.4, 0))
        axis.axis("off")
        top = gap
        for block, title in zip(blocks, ("support", "queries"), strict=False):
            axis.text(0, top - 0.12 * side, title, fontsize=9, color=MUTED)
            for row in block:
                for column, image in enumerate(row):
                    if image is None:
                        continue
                    left = column * side * 1.08
                    axis.imshow(image, extent=(left, left + side, top + side, top), cmap="gray",
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


def sample_table(sample: dict[str, np.ndarray], most: int = 3) -> Figure:
    """One episode of rows (n, features): a few rows, with their first features and their target."""
    names = sample.get("feature_names", [f"input {i + 1}" for i in range(np.shape(sample["support_x"])[1])])
    heads, more = [str(name) for name in names[:most]], max(0, len(names) - most)
    lines: list[tuple[str, list[str]]] = [("", [*heads, f"+ {more}" if more else "", "target"])]
    for part, count in (("support", most + 1), ("query", most)):
        for i, (x, y) in enumerate(zip(sample[f"{part}_x"][:count], sample[f"{part}_y"], strict=False)):
            values = ["–" if np.isnan(value) else f"{value:.5g}" for value in x[: len(heads)]]
            lines.append(("" if i else part, [*values, "…" if more else "", _target(sample, y)]))
    with drawing():
        figure = Figure((2.7, 0.2 * len(lines)))
        axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axis.set(xlim=(0, len(heads) + 2.95), ylim=(len(lines), 0))
        axis.axis("off")
        for row, (part, cells) in enumerate(lines):
            style: dict[str, Any] = {"fontsize": 6.5, "va": "center", "color": MUTED if row == 0 else None}
            axis.text(0.05, row + 0.5, part, **{**style, "color": MUTED})
            for column, cell in enumerate(cells):
                shown = cell if len(cell) <= LONGEST else f"{cell[: LONGEST - 1]}…"
                axis.text(column + 1.9, row + 0.5, shown, ha="right", **style)
    return figure


def _target(sample: dict[str, np.ndarray], y: np.ndarray) -> str:
    """The target of an example, in words."""
    if "class_names" in sample:
        return str(sample["class_names"][int(y)])
    return ", ".join(f"{value:.4g}" for value in np.ravel(y)[:2]) + (", …" if np.size(y) > 2 else "")


def sample_series(sample: dict[str, np.ndarray], classes: int = SAMPLE_CLASSES, each: int = 3) -> Figure:
    """One episode of series (n, length) or (n, channels, length), of which the first channel is drawn.

    A row for each class: its support examples in colour, a few queries in grey. In regression a row for each of the
    first support examples, with its target.
    """
    titled = "class_names" not in sample
    sample = _by_target(sample, classes) if titled else sample
    ways = min(len(sample["class_names"]), classes)
    with drawing():
        figure = Figure((2.7, 0.3 + 0.62 * ways), layout="constrained")
        axes = figure.subplots(ways, 1, sharex=True, squeeze=False)[:, 0]
        for way, axis in enumerate(axes):
            for part, color in (("query", MUTED), ("support", PALETTE[way % len(PALETTE)][0])):
                series = sample[f"{part}_x"][sample[f"{part}_y"] == way][:each]
                for values in series if series.ndim == 2 else series[:, 0]:
                    axis.plot(values, color=color, linewidth=1.1 if part == "support" else 0.6)
            axis.set_yticks([])
            axis.tick_params(length=0, labelsize=7.5, labelcolor=MUTED)
            if titled:
                axis.set_ylabel(
                    sample["class_names"][way], fontsize=7, color=MUTED, rotation=0, ha="right", va="center"
                )
    return figure


def sample(episode: dict[str, np.ndarray]) -> Figure:
    """One split's sample episode, whatever its kind and the shape of its examples."""
    manner = _manner(episode)
    if manner == "functions":
        return sample_functions(episode)
    if manner == "images":
        images = {key: _levels(episode[key]) for key in EXAMPLES}
        return sample_images({**(episode if "class_names" in episode else _by_target(episode)), **images})
    if np.ndim(episode["support_x"]) != 3:
        episode = {**episode, **{key: np.reshape(episode[key], (len(episode[key]), -1)) for key in EXAMPLES}}
    return sample_table(episode) if manner == "table" else sample_series(episode)


def _manner(episode: dict[str, np.ndarray]) -> Literal["functions", "images", "table", "series"]:
    """How a sample is drawn: what is neither images nor a few numbers is a line."""
    if "curve_x" in episode:
        return "functions"
    shape = np.shape(episode["support_x"])[1:]
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        return "images"
    return "table" if len(shape) < 2 and ("feature_names" in episode or math.prod(shape) < LONG) else "series"


def _by_target(sample: dict[str, np.ndarray], most: int = SAMPLE_CLASSES) -> dict[str, np.ndarray]:
    """A sample of regression as one of classes: each of the first support examples is one, called by its target."""
    names = np.array([_target(sample, y) for y in sample["support_y"][:most]])
    of_support = np.where(np.arange(len(sample["support_x"])) < most, np.arange(len(sample["support_x"])), -1)
    return {**sample, "support_y": of_support, "query_y": np.full(len(sample["query_x"]), -1), "class_names": names}


def _levels(images: np.ndarray) -> np.ndarray:
    """Pixels as 0..255, whatever they are."""
    if images.dtype == np.uint8 or not images.size:
        return images
    images = np.nan_to_num(images.astype(float))
    low, high = images.min(), images.max()
    return ((images - low) / (high - low or 1.0) * 255).astype(np.uint8)


def _by_class(images: np.ndarray, labels: np.ndarray, ways: int, most: int) -> list[tuple[np.ndarray | None, ...]]:
    """Rows of images (H, W) or (H, W, 3) of images (n, C, H, W), one column for each class, as far as it has any."""
    images = images[:, 0] if images.shape[1] == 1 else np.moveaxis(images[:, :3], 1, -1)
    return [*zip_longest(*(images[labels == way][:most] for way in range(ways)))]


def names(frames: Frames) -> dict[str, str]:
    """Split -> the name of its sample figure, made of letters, digits and dashes and different for every split."""
    shifted = {split.name for split in frames.suite.splits if split.dose is not None}  # the responses have them
    slugs = {
        split: re.sub(r"[^a-z0-9]+", "-", split.lower()).strip("-") for split in frames.samples if split not in shifted
    }
    return {split: f"sample-{number}-{slug}".strip("-") for number, (split, slug) in enumerate(slugs.items(), 1)}


def pictures(frames: Frames) -> list[Picture]:
    """A picture for each split that has a sample, in the order of the page."""
    roles = {name: role for role, group in frames.split_groups() for name in group}
    order = list(roles)
    named, found = names(frames), []
    for split in sorted(named, key=lambda name: order.index(name) if name in roles else len(order)):
        episode = frames.samples[split]
        found.append(
            Picture(named[split], split, _about(episode, roles.get(split, "")), partial(drawn, frames, episode))
        )
    return found


def drawn(frames: Frames, episode: dict[str, np.ndarray]) -> Figure:
    """A sample as its kind of task is drawn, in the style of the page."""
    with drawing():
        return frames.kind.drawing_function()(episode)


def _about(episode: dict[str, np.ndarray], role: str) -> str:
    """Its role and, for classification, what the first classes are called."""
    if "class_names" not in episode or len(np.shape(episode["class_names"])) != 1:
        return role
    classes = ", ".join(str(name) for name in episode["class_names"][:SAMPLE_CLASSES])
    more = len(episode["class_names"]) - SAMPLE_CLASSES
    further = f" and {more} more" if more > 0 else ""
    return f"{role} · {textwrap.shorten(classes, 72, placeholder=' …')}{further}"


def text(frames: Frames) -> str:
    """What the pictures are: what the kind of task says, or else by what the samples hold."""
    if frames.kind.sampled:
        return frames.kind.sampled
    manners = {_manner(episode) for episode in frames.samples.values()}
    return " ".join(sentence for manner, sentence in SENTENCES.items() if manner in manners)


SAMPLES = Gallery(name="samples", section="samples", text=text, pictures=pictures)
