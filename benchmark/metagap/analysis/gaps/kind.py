"""What a kind of gap is, and the two ways to take one: between splits, and within a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.grids import Grids, pair
from metagap.analysis.intervals import Term

Sides = Literal["between splits", "within a split"]
Sign = Literal["cost", "benefit", "score"]
Unit = Literal["score", "per step", "loss", "ratio"]
Place = Literal["table", "figure", "terminal"]

EVERYWHERE: frozenset[Place] = frozenset({"table", "figure", "terminal"})
PAGE: frozenset[Place] = frozenset({"table", "figure"})
TABLE: frozenset[Place] = frozenset({"table"})


class Contrast(NamedTuple):
    """The gap of one algorithm on one split.

    Attributes:
        split: the name of what it is about.
        terms: that add up to the gap.
        domains: how many of the terms, the last ones, are domains that it is an average over; 0 if it is none.
    """

    split: str
    terms: list[Term]
    domains: int = 0


@dataclass(frozen=True)
class GapKind:
    """One kind of gap.

    Attributes:
        name: as it is printed.
        sides: "between splits" (two sets of episodes, independent of each other) or "within a split" (two readings of
            the same episodes, so that their difference is paired).
        sign: what a positive value means: the "cost" of generalization, or the "benefit" of the thing that it is named
            after. "score" is a score and not a difference.
        formula: how it is computed, in words.
        shown_where: in which of "table" and "figure" of the page, and whether on the "terminal".
        compute: (grids, algorithm) -> the gap on every split where it can be computed, in the order of the suite.
        unit: "score": differences of scores. "per step": the same, of sums over the steps of a rollout divided by their
            number. "loss": of losses, which depend on no threshold. "ratio": of scores, but
            the errors (the best possible score minus the score) are divided: error there / error at home.
    """

    name: str
    sides: Sides
    sign: Sign
    formula: str
    compute: Callable[[Grids, str], Iterable[Contrast]]
    shown_where: frozenset[Place] = EVERYWHERE
    unit: Unit = "score"

    @property
    def is_within(self) -> bool:
        """Whether both sides are readings of the same split."""
        return self.sides == "within a split"


def what_positive_means(kinds: Sequence[GapKind]) -> str:
    """The sentence that a table or figure of these gaps needs."""
    helps = [kind.name for kind in kinds if kind.sign == "benefit"]
    scores = [kind.name for kind in kinds if kind.sign == "score"]
    ratios = [kind.name for kind in kinds if kind.unit == "ratio"]
    costs = [kind.name for kind in kinds if kind.sign == "cost" and kind.unit != "ratio"]
    if not helps and not scores and not ratios:
        return "Positive: generalization costs something."
    parts = [(costs, "positive where something is lost"), (ratios, "above 1 where something is lost")]
    parts += [(helps, "positive where the named thing helps"), (scores, "a score")]
    said = [f"{_listed(names)} {'is' if len(names) == 1 else 'are'} {means}" for names, means in parts if names]
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


Read = Callable[[str], "pd.DataFrame | None"]
"""Gives the grid of a split, seeds x episodes, or None where nothing was recorded."""


def between(read: Read, home: list[str], away: list[str], label: str = "", minus: Read | None = None) -> list[Contrast]:
    """The first of the `home` splits minus the mean of the `away` splits; nothing where one of them is not there.

    label: the split that it is about, where that is not the first of `away`. minus: of another algorithm, whose gap is
    subtracted, paired on the same seeds and episodes.
    """
    if not home or not away:
        return []
    weights = dict.fromkeys(home[:1], 1.0) | dict.fromkeys(away, -1 / len(away))
    terms = weighted(read, weights) if minus is None else weighted_difference(read, minus, weights)
    return [Contrast(label or away[0], terms, len(away) if len(away) > 1 else 0)] if terms else []


def within(split: str, left: pd.DataFrame | None, right: pd.DataFrame | None) -> list[Contrast]:
    """Left minus right of the same episodes; nothing where they share none."""
    paired = pair(left, right)
    return [] if paired is None else [Contrast(split, [Term(*paired)])]


def weighted(read: Read, weights: Mapping[str, float]) -> list[Term]:
    """The weighted splits, independent of each other, on the seeds that all of them have; nothing where one lacks."""
    grids = [read(split) for split in weights]
    found = [grid for grid in grids if grid is not None]
    if not found or len(found) < len(grids):
        return []
    seeds = _shared(found)
    return [
        Term(np.asarray(_cut(grid, seeds), dtype=float), weight=weight, of=split)
        for grid, (split, weight) in zip(found, weights.items(), strict=True)
    ]


def weighted_difference(read: Read, minus: Read, weights: Mapping[str, float]) -> list[Term]:
    """The same of two algorithms, the first minus the second, paired on the same seeds and episodes of each split."""
    pairs = [(read(split), minus(split)) for split in weights]
    found = [(left, right) for left, right in pairs if left is not None and right is not None]
    if not found or len(found) < len(pairs):
        return []
    seeds = _shared([grid for sides in found for grid in sides])
    paired = [pair(_cut(left, seeds), _cut(right, seeds)) for left, right in found]
    terms = [
        Term(*values, weight=weight, of=split)
        for values, (split, weight) in zip(paired, weights.items(), strict=True)
        if values is not None
    ]
    return terms if len(terms) == len(weights) else []


def _shared(grids: Sequence[pd.DataFrame]) -> pd.Index:
    """The seeds that all of them have."""
    seeds = grids[0].index
    for grid in grids[1:]:
        seeds = seeds.intersection(grid.index)
    return seeds


def _cut(grid: pd.DataFrame, seeds: pd.Index) -> pd.DataFrame:
    """The rows of these seeds, without a copy where they are all."""
    return grid if grid.index.equals(seeds) else grid.loc[seeds]
