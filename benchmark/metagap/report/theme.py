"""One colour and one marker for each algorithm, on every figure and in the light and the dark page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib

from metagap.suite import Suite

# Figures are drawn in the light colours; on the page each becomes a CSS variable that the dark mode redefines.
ROLES = {
    "ink": ("#1c2128", "#e4e8ec"),
    "muted": ("#656d76", "#9aa4ae"),
    "grid": ("#dde2e7", "#333b44"),
    "band": ("#f3f5f7", "#1d232a"),
    "paper": ("#fefefe", "#14181d"),
}
# Blue, orange and bluish green first: the three that all common colour-vision deficiencies keep apart.
PALETTE = (
    ("#2569b0", "#6aa9ec"),
    ("#d97706", "#f0a23c"),
    ("#12876b", "#3dbf9b"),
    ("#c2528b", "#e58bb8"),
    ("#7453b8", "#a98fe6"),
    ("#8f7a00", "#cbb52e"),
    ("#3aa0d8", "#7cc8f2"),
    ("#a63d2f", "#e07a68"),
)
CONTROLS = {"scratch": ("#98a1aa", "#77818b"), "pretrain": ("#59616a", "#b6bec6")}
LIKE = {"policy-scratch": "scratch", "policy-pretrain": "pretrain"}
"""Controls that look as others do."""
FIXED = {"maml": 0, "fomaml": 1, "reptile": 2, "maml-trpo": 0, "fomaml-trpo": 1, "policy-reptile": 2}
MARKERS = ("o", "s", "D", "^", "v", "<", ">", "d")
CONTROL_MARKERS = {"scratch": "X", "pretrain": "P"}

INK, MUTED, GRID, BAND, PAPER = (light for light, _ in ROLES.values())


@dataclass(frozen=True)
class Style:
    """How one algorithm is drawn: the light colour and the matplotlib marker."""

    color: str
    marker: str


def styles(suite: Suite) -> dict[str, Style]:
    """The style of every algorithm of a suite: known names keep theirs, controls are grey, the rest follow in order."""
    chosen: dict[str, Style] = {}
    free = [i for i in range(len(PALETTE)) if i not in FIXED.values()]
    for position, (name, entry) in enumerate(suite.algorithms.items()):
        kind = LIKE.get(entry.algorithm, entry.algorithm)
        if kind in CONTROLS:
            chosen[name] = Style(CONTROLS[kind][0], CONTROL_MARKERS[kind])
        elif name in FIXED:
            chosen[name] = Style(PALETTE[FIXED[name]][0], MARKERS[FIXED[name]])
        else:
            index, rounds = (free.pop(0), 0) if free else (position % len(PALETTE), 1 + position // len(PALETTE))
            # Beyond as many algorithms as there are colours, a colour comes back with another marker.
            chosen[name] = Style(PALETTE[index][0], MARKERS[(index + rounds) % len(MARKERS)])
    return chosen


def variables(dark: bool) -> dict[str, str]:
    """The CSS variables of one mode: name without dashes -> colour."""
    return {name: pair[dark] for name, pair in _named().items()}


def themed(svg: str) -> str:
    """The same SVG with every theme colour as a CSS variable of the page."""
    by_colour = {light: name for name, (light, _) in _named().items()}
    pattern = re.compile("|".join(map(re.escape, by_colour)))
    return pattern.sub(lambda match: f"var(--{by_colour[match[0]]})", svg)


def css_colour(style: Style) -> str:
    """A style's colour as a CSS expression."""
    return themed(style.color)


def _named() -> dict[str, tuple[str, str]]:
    lines = {f"line-{index}": pair for index, pair in enumerate(PALETTE)}
    return ROLES | lines | {f"line-{name}": pair for name, pair in CONTROLS.items()}


@contextmanager
def drawing() -> Iterator[None]:
    """The matplotlib settings of all figures; text stays text in the SVG, so that the page's font is used."""
    with matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "metagap",
            "font.size": 9,
            "axes.titlesize": 9,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.labelsize": 9,
            "axes.labelcolor": MUTED,
            "axes.edgecolor": GRID,
            "axes.facecolor": "none",
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlecolor": INK,
            "figure.facecolor": "none",
            "savefig.facecolor": "none",
            "grid.color": GRID,
            "grid.linewidth": 0.6,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "legend.labelcolor": INK,
            "lines.linewidth": 1.6,
            "text.color": INK,
            "xtick.color": GRID,
            "ytick.color": GRID,
            "xtick.labelcolor": MUTED,
            "ytick.labelcolor": INK,
            "xtick.labelsize": 8.5,
            "ytick.labelsize": 8.5,
        }
    ):
        yield
