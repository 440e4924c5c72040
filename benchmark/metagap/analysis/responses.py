"""How scores fall with the strength of a shift: areas, half-effect strengths, and whose area is smaller.

The splits of a response show the test episodes of its reference, so that a response is one grid of strengths x seeds x
episodes, and whatever is said of it is a contrast: a weighted sum of the scores at the strengths, with the crossed
estimate of its variance, in which episodes that all strengths share are counted once.

With scores s_0 (not shifted), s_1, ..., s_K at distances 0 < d_1 < ... < d_K from the neutral strength, and straight
lines between them:

- area = s_0 - (1 / d_K) * integral of s from 0 to d_K: what is lost on average over the strengths (trapezoid).
- The half-effect strength is the first d at which s(d) = (s_0 + floor(d)) / 2, where the floor is the score of guessing
  or, where there is no such thing, that of the trivial predictor. Its interval holds every d at which the contrast
  s(d) - (s_0 + floor(d)) / 2 is not significantly different from zero (the idea of Fieller 1954), from the least to the
  greatest; it has no upper end where the strongest shift tried is not significantly below half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.comparisons import CANNOT_TELL, holm
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import (
    CLAIMS_FROM,
    LEVEL,
    UNBOUNDED,
    Array,
    Bounds,
    Estimate,
    Term,
    headline,
    headline_kind,
    mean_of_pairs,
    resampled,
    summarise,
)

if TYPE_CHECKING:
    from metagap.results import Results
    from metagap.suite import Suite

STEPS = 8
"""Between two strengths, at how many places the half-effect contrast is looked at before its zeros are refined."""
REFINED = 20
"""Halvings of such a step."""
NO_FLOOR = "no score of guessing"
AT_FLOOR = "no better than guessing, not shifted"
POINT_COLUMNS = [
    "response", "algorithm", "strength", "split", "statistic", "score", "low", "high", "interval", "floor",
    "seeds", "n_episodes",
]  # fmt: skip
AREA_COLUMNS = [
    "response", "algorithm", "statistic", "area", "low", "high", "interval",
    "half", "half_low", "half_high", "strongest", "remark", "seeds", "n_episodes",
]  # fmt: skip
PAIR_COLUMNS = [
    "response", "a", "b", "statistic", "area_a", "area_b", "difference", "low", "high", "interval", "p",
    "seeds", "n_episodes", "p_holm", "family", "verdict",
]  # fmt: skip


class Responses(NamedTuple):
    """What is known of the responses of a suite; empty tables where it has none.

    Attributes:
        points: a row per response, algorithm, strength and statistic: the score on the episodes that all strengths
            have, the reference first, with its headline interval; floor: the score of knowing nothing.
        areas: a row per response, algorithm and statistic: the area with its interval; half, half_low, half_high:
            strengths, infinite beyond the `strongest` that was tried (below it where strengths fall), NaN with a
            `remark` where there is nothing to take half of.
        pairs: a row per response and pair of algorithms: area of a - area of b, paired on episodes and seeds; p_holm
            and `family`: corrected over all pairs of all responses; verdict: "<a> smaller" or "cannot tell".
    """

    points: pd.DataFrame
    areas: pd.DataFrame
    pairs: pd.DataFrame

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Those that are not empty, by the names of their files."""
        named = {"response_points": self.points, "response_areas": self.areas, "response_pairs": self.pairs}
        return {name: table for name, table in named.items() if len(table)}


class Family(NamedTuple):
    """The splits of a response: its reference, and strengths with their splits, the weakest first."""

    name: str
    reference: str
    neutral: float
    doses: tuple[tuple[float, str], ...]

    @property
    def splits(self) -> list[str]:
        """The reference, and then the shifted ones."""
        return [self.reference, *(split for _, split in self.doses)]

    @property
    def strengths(self) -> list[float]:
        """Of these splits."""
        return [self.neutral, *(strength for strength, _ in self.doses)]

    @property
    def distances(self) -> Array:
        """Of these strengths from the neutral one, rising from zero."""
        return np.abs(np.array(self.strengths) - self.neutral)

    def at(self, distance: float) -> float:
        """The strength at a distance from the neutral one; infinite ones stay on their side."""
        return self.neutral + np.sign(self.doses[-1][0] - self.neutral) * distance


def families(suite: Suite) -> list[Family]:
    """The responses of a suite, in its order."""
    found: dict[str, list[tuple[float, str]]] = {}
    about: dict[str, tuple[str, float]] = {}
    for split in suite.splits:
        if (dose := split.dose) is not None:
            found.setdefault(dose.of, []).append((dose.strength, split.name))
            about[dose.of] = dose.reference, dose.neutral
    return [
        Family(name, *about[name], tuple(sorted(doses, key=lambda dose, zero=about[name][1]: abs(dose[0] - zero))))
        for name, doses in found.items()
    ]


class Curves(NamedTuple):
    """Grids of the same seeds and episodes, (J, S, M), of which contrasts are taken in one statistic."""

    grids: Array
    statistic: str = "mean"
    bounds: Bounds = UNBOUNDED

    def moments(self) -> Moments:
        """What the contrasts need of them."""
        j, seeds, episodes = self.grids.shape
        with np.errstate(invalid="ignore"):
            per_seed = np.stack([summarise(grid, self.statistic) for grid in self.grids])
            if episodes < 2:
                return Moments(per_seed, np.full((j, j), np.nan), episodes, self.bounds)
            if self.statistic == "mean":
                covariance = np.cov(self.grids.reshape(j * seeds, episodes)) / episodes
            else:
                draws = [resampled(grid, self.statistic).T for grid in self.grids]  # the same episodes for all
                covariance = np.cov(np.concatenate(draws)) * episodes / (episodes - 1)
        blocks = np.atleast_2d(covariance).reshape(j, seeds, j, seeds).transpose(0, 2, 1, 3)
        if seeds > 1:
            shared = np.array([[mean_of_pairs(block) for block in row] for row in blocks])
        else:
            shared = blocks[:, :, 0, 0]
        return Moments(per_seed, (shared + shared.T) / 2, episodes, self.bounds)


class Moments(NamedTuple):
    """The scores of every seed (J, S); the covariance (J, J) of their means that the shared episodes make."""

    per_seed: Array
    shared: Array
    n_episodes: int
    bounds: Bounds

    def contrast(self, weights: Array, constant: float = 0.0) -> Estimate:
        """The weighted sum of the scores, plus a constant: crossed, or over the episodes of the only seed."""
        seeds = self.per_seed.shape[1]
        with np.errstate(invalid="ignore"):
            values = weights @ self.per_seed + constant
            of_episodes = float(np.maximum(weights @ self.shared @ weights, 0)), self.n_episodes - 1
            parts = [(float(values.var(ddof=1) / seeds), seeds - 1), of_episodes] if seeds > 1 else [of_episodes]
            counting = weights[weights != 0]  # none of an infinite bound is nothing
            low, high = np.sort(np.outer(counting, self.bounds), axis=1).sum(axis=0) + constant
        return Estimate(float(values.mean()), tuple(parts), self.n_episodes, (float(low), float(high)))


def area_weights(distances: Array) -> Array:
    """Of the scores at these distances, in their area."""
    steps = np.diff(distances)
    trapezoid = (np.append(steps, 0) + np.append(0, steps)) / 2
    return np.eye(len(distances))[0] - trapezoid / distances[-1]


class Half(NamedTuple):
    """A half-effect distance with the ends of its interval; infinite: beyond what was tried."""

    value: float
    low: float
    high: float
    remark: str = ""


def half_effect(moments: Moments, distances: Array, floors: Array, level: float = LEVEL) -> Half:
    """Of the first scores of `moments`, which are those at `distances`, (K + 1,) as `floors`."""
    nothing = Half(np.nan, np.nan, np.nan)
    if not np.isfinite(floors).all():
        return nothing._replace(remark=NO_FLOOR)
    count = len(distances)

    def contrast(distance: float) -> Estimate:
        weights = np.array([np.interp(distance, distances, unit) for unit in np.eye(count)])
        floor = float(weights @ floors)
        weights[0] -= 0.5
        return moments.contrast(weights, -floor / 2)

    def side(distance: float) -> int:
        """1: significantly above half, -1: below; 0 where neither is shown."""
        found = contrast(distance)
        return int(np.sign(found.center)) if found.p_value() < 1 - level else 0

    if side(0.0) <= 0:
        return nothing._replace(remark=AT_FLOOR)
    places = np.unique([np.linspace(a, b, STEPS + 1) for a, b in pairwise(distances)])
    sides = [side(place) for place in places]
    centers = np.array([contrast(distance).center for distance in distances])
    down = np.flatnonzero(centers <= 0)
    value = np.inf
    if len(down):
        i = int(down[0])
        share = centers[i - 1] / (centers[i - 1] - centers[i])
        value = float(distances[i - 1] + share * (distances[i] - distances[i - 1]))
    low, high = np.inf, np.inf
    above = [one > 0 for one in sides]
    if not all(above):
        first = above.index(False)
        low = float(_edge(places[first - 1], places[first], lambda d: side(d) > 0)) if first else 0.0
    below = [one < 0 for one in sides]
    if below[-1]:
        last = max(i for i, one in enumerate(below) if not one)  # there is one: what is not shifted
        high = float(_edge(places[last], places[last + 1], lambda d: side(d) >= 0))
    return Half(value, min(low, value), max(high, value))


def _edge(inside: float, outside: float, holds: Callable[[float], bool]) -> float:
    """Where a property that holds at the first place and not at the second ends."""
    for _ in range(REFINED):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return (inside + outside) / 2


def response_tables(results: Results | Grids, level: float = LEVEL) -> Responses:
    """The responses of all algorithms of a suite, each at its headline step in the headline metric."""
    grids = Grids.of(results)
    points, areas, pairs = [], [], []
    for family in families(grids.suite):
        met = {name: found for name in grids.algorithms if (found := _met(grids, [(name, family)])) is not None}
        for statistic in grids.statistics:
            for algorithm, found in met.items():
                about = {"response": family.name, "algorithm": algorithm, "statistic": statistic}
                points += [about | row for row in _points(grids, family, found, statistic, level)]
                areas.append(about | _area(grids, family, found, statistic, level))
            for a, b in combinations(met, 2):
                both = _met(grids, [(a, family), (b, family)])
                if both is not None:
                    about = {"response": family.name, "a": a, "b": b, "statistic": statistic}
                    pairs.append(about | _pair(grids, family, both, statistic, level))
    frame = pd.DataFrame(pairs, columns=PAIR_COLUMNS)
    _judge(frame, level)
    return Responses(pd.DataFrame(points, columns=POINT_COLUMNS), pd.DataFrame(areas, columns=AREA_COLUMNS), frame)


def _met(grids: Grids, wanted: Sequence[tuple[str, Family]]) -> Array | None:
    """The scores of these responses, one after the other, on the seeds and episodes that all have: (J, S, M)."""
    found = [grids.get(algorithm, split) for algorithm, family in wanted for split in family.splits]
    there = [grid for grid in found if grid is not None]
    if len(there) < len(found):
        return None
    seeds, episodes = (
        reduce(lambda x, y: x.intersection(y), [getattr(grid, axis) for grid in there]) for axis in ("index", "columns")
    )
    if seeds.empty or episodes.empty:
        return None
    return np.stack([grid.loc[seeds, episodes].to_numpy(dtype=float) for grid in there])


def _floors(grids: Grids, family: Family) -> Array:
    """The score of knowing nothing at every strength; NaN where there is no such thing."""
    metric = grids.metric
    task = grids.suite.split_task(grids.suite.split(family.reference))
    if (chance := metric.chance_score(task.ways)) is not None:
        return np.full(len(family.splits), chance)
    if metric.name != grids.kind.metric.name or grids.kind.has_ways:
        return np.full(len(family.splits), np.nan)
    return np.array([metric.sign * grids.results.columns.null_loss.get(split, np.nan) for split in family.splits])


def _points(grids: Grids, family: Family, found: Array, statistic: str, level: float) -> Iterator[dict]:
    for strength, split, values, floor in zip(
        family.strengths, family.splits, found, _floors(grids, family), strict=True
    ):
        interval = headline([Term(values)], statistic, level, grids.metric.score_bounds)
        yield {
            "strength": strength, "split": split, "score": interval.center, "low": interval.low, "high": interval.high,
            "interval": interval.kind, "floor": floor, "seeds": len(values), "n_episodes": values.shape[1],
        }  # fmt: skip


def _area(grids: Grids, family: Family, found: Array, statistic: str, level: float) -> dict:
    moments, distances = Curves(found, statistic, grids.metric.score_bounds).moments(), family.distances
    area = moments.contrast(area_weights(distances)).interval(*headline_kind([Term(found[0])]), level)
    half = half_effect(moments, distances, _floors(grids, family), level)
    value, low, high = (family.at(distance) for distance in half[:3])
    return {
        "area": area.center, "low": area.low, "high": area.high, "interval": area.kind,
        "half": value, "half_low": low, "half_high": high, "strongest": family.strengths[-1], "remark": half.remark,
        "seeds": found.shape[1], "n_episodes": found.shape[2],
    }  # fmt: skip


def _pair(grids: Grids, family: Family, found: Array, statistic: str, level: float) -> dict:
    moments, weights = Curves(found, statistic, grids.metric.score_bounds).moments(), area_weights(family.distances)
    zero = np.zeros_like(weights)
    estimate = moments.contrast(np.concatenate([weights, -weights]))
    interval = estimate.interval(*headline_kind([Term(found[0])]), level)
    return {
        "area_a": moments.contrast(np.concatenate([weights, zero])).center,
        "area_b": moments.contrast(np.concatenate([zero, weights])).center,
        "difference": interval.center, "low": interval.low, "high": interval.high, "interval": interval.kind,
        "p": estimate.p_value(), "seeds": found.shape[1], "n_episodes": found.shape[2],
    }  # fmt: skip


def _judge(pairs: pd.DataFrame, level: float) -> None:
    """Fill in what depends on the whole family."""
    enough = pairs[pairs["seeds"] >= CLAIMS_FROM].groupby("statistic")["p"]
    pairs["p_holm"] = enough.transform(lambda p: holm(p.to_numpy(float))).reindex(pairs.index).astype(float)
    pairs["family"] = enough.transform("size").reindex(pairs.index, fill_value=0).astype(int)
    pairs["verdict"] = [
        f"{row['a'] if row['difference'] < 0 else row['b']} smaller" if row["p_holm"] < 1 - level else CANNOT_TELL
        for row in pairs.to_dict("records")
    ]
