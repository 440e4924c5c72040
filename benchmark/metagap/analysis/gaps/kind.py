"""What a kind of gap is, and the two ways to take one: between splits, and within a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.grids import Grids, pair
from metagap.analysis.intervals import Term

Sides = Literal["between splits", "within a split"]
Sign = Literal["cost", "benefit", "score"]
Place = Literal["table", "figure", "terminal"]

EVERYWHERE: frozenset[Place] = frozenset({"table", "figure", "terminal"})
PAGE: frozenset[Place] = frozenset({"table", "figure"})
TABLE: frozenset[Place] = frozenset({"table"})


class Contrast(NamedTuple):
    """The gap of one algorithm on one split: the split's name, and the terms that add up to the gap."""

    split: str
    terms: list[Term]


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
    """

    name: str
    sides: Sides
    sign: Sign
    formula: str
    compute: Callable[[Grids, str], Iterable[Contrast]]
    shown_where: frozenset[Place] = EVERYWHERE

    @property
    def is_within(self) -> bool:
        """Whether both sides are readings of the same split."""
        return self.sides == "within a split"


def what_positive_means(kinds: Sequence[GapKind]) -> str:
    """The sentence that a table or figure of these gaps needs."""
    helps = [kind.name for kind in kinds if kind.sign == "benefit"]
    scores = [kind.name for kind in kinds if kind.sign == "score"]
    costs = [kind.name for kind in kinds if kind.sign == "cost"]
    if not helps and not scores:
        return "Positive: generalization costs something."
    parts = [(costs, "positive where something is lost"), (helps, "positive where the named thing helps")]
    parts.append((scores, "a score"))
    said = [f"{_listed(names)} {'is' if len(names) == 1 else 'are'} {means}" for names, means in parts if names]
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


Read = Callable[[str], "pd.DataFrame | None"]
"""Gives the grid of a split, seeds x episodes, or None where nothing was recorded."""


def between(read: Read, home: list[str], away: list[str], label: str = "") -> list[Contrast]:
    """The first of the `home` splits minus the mean of the `away` splits; nothing where one of them is not there.

    label: the split that it is about, where that is not the first of `away`.
    """
    sides = [read(split) for split in (*home[:1], *away)]
    there = [side for side in sides if side is not None]
    if not home or not away or len(there) < len(sides):
        return []
    weights = [1.0] + [-1 / len(away)] * len(away)
    return [Contrast(label or away[0], independent(there, weights))]


def within(split: str, left: pd.DataFrame | None, right: pd.DataFrame | None) -> list[Contrast]:
    """Left minus right of the same episodes; nothing where they share none."""
    paired = pair(left, right)
    return [] if paired is None else [Contrast(split, [Term(*paired)])]


def independent(sides: list[pd.DataFrame], weights: list[float]) -> list[Term]:
    """Independent sides, cut to the seeds that all of them have."""
    seeds = sides[0].index
    for side in sides[1:]:
        seeds = seeds.intersection(side.index)
    return [
        Term(np.asarray(side.loc[seeds], dtype=float), weight=weight)
        for side, weight in zip(sides, weights, strict=True)
    ]
