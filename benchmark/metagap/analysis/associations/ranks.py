"""Rank correlation of two arrays whose values come in clusters: suites and algorithms.

Every value belongs to a suite, an algorithm and one of the suite's splits: arrays (S, A, D), NaN where there is none.
Algorithms are the same ones in all suites, so that values are crossed, and 8 suites of 7 algorithms are far from 56
independent pairs. Two statistics:

- *overall*: Spearman's correlation of all pairs.
- *within suites*: Spearman's correlation of the pairs of each suite, averaged over the suites in which both vary. What
  differs between suites (their unit, their difficulty) is out of it.

The interval is the jackknife's that leaves out whole suites and whole algorithms: the variance of new suites and that
of new algorithms add up, each with its own degrees of freedom, as seeds and episodes do in `analysis/intervals.py`; on
Fisher's scale atanh(r), so that it stays within -1 and 1. Bootstraps that resample both have too short intervals with
few clusters; the guide has the simulated coverage of both.

The p-value is counted: under "no association" the suites, the algorithms, and the splits of a suite of one array could
as well stand in another order, whatever the other array looks like (a Mantel test for two crossed factors). It holds
for any number of suites; with few of them few orders exist, and p cannot be small.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from metagap.analysis.intervals import LEVEL, Array, Estimate

OVERALL, WITHIN = "overall", "within suites"
SCOPES = (OVERALL, WITHIN)
FEW, MANY = 999, 19_999
"""Orders that are counted: of a p-value that is not small few are enough."""
LEAST = 3
"""Pairs of a suite, of which a rank correlation can be something else than 1 or -1."""


class Association(NamedTuple):
    """What goes with what, as far as these suites and algorithms tell.

    Attributes:
        value: the rank correlation, -1 to 1; NaN where one of the two does not vary.
        low, high: for new suites and new algorithms.
        p: of "no association".
        least_p: the share of other orders that are as extreme as the most extreme one: p cannot be below.
        suites, algorithms, pairs: how many went in.
    """

    value: float
    low: float
    high: float
    p: float
    least_p: float
    suites: int
    algorithms: int
    pairs: int


class Pairs(NamedTuple):
    """The pairs that both arrays have: their values, and the suite and algorithm of each, all of shape (n,)."""

    x: Array
    y: Array
    suite: NDArray[np.intp]
    algorithm: NDArray[np.intp]

    @classmethod
    def of(cls, x: Array, y: Array) -> Pairs:
        """Those of two arrays (S, A, D); infinite values are ranked like others."""
        suite, algorithm, _ = places = np.nonzero(~np.isnan(x) & ~np.isnan(y))
        return cls(x[places], y[places], suite, algorithm)


def associate(x: Array, y: Array, scope: str, level: float = LEVEL, seed: int = 0) -> Association:
    """How `x` goes with `y`, both (S, A, D), over the pairs of which neither is NaN.

    Raises ValueError for another scope than those of `SCOPES`.
    """
    if scope not in SCOPES:
        raise ValueError(f"scope {scope!r} is not one of {', '.join(SCOPES)}")
    pairs = Pairs.of(x, y)
    used = np.ix_(varying(pairs) if scope == WITHIN else np.unique(pairs.suite), np.unique(pairs.algorithm))
    x, y = x[used], y[used]
    pairs = Pairs.of(x, y)
    suites, algorithms, count = x.shape[0], x.shape[1], len(pairs.x)
    nothing = Association(np.nan, np.nan, np.nan, np.nan, np.nan, suites, algorithms, count)
    if count < LEAST:
        return nothing
    value = float(_value(pairs, scope, np.ones((1, suites)), np.ones((1, algorithms)))[0])
    if np.isnan(value):
        return nothing
    low, high = _interval(value, pairs, scope, (suites, algorithms), level)
    p, least = permuted(x, y, scope, seed)
    return nothing._replace(value=value, low=low, high=high, p=p, least_p=least)


def varying(pairs: Pairs) -> NDArray[np.intp]:
    """The suites that have enough pairs and in which both values vary."""
    return np.array(
        [
            s
            for s in np.unique(pairs.suite)
            if (here := pairs.suite == s).sum() >= LEAST
            and len(np.unique(pairs.x[here])) > 1
            and len(np.unique(pairs.y[here])) > 1
        ],
        dtype=np.intp,
    )


def _value(pairs: Pairs, scope: str, suites: Array, algorithms: Array) -> Array:
    """The statistic for R sets of weights of suites (R, S) and of algorithms (R, A): (R,), NaN where nothing varies."""
    if scope == OVERALL:
        return spearman(pairs.x, pairs.y, suites[:, pairs.suite] * algorithms[:, pairs.algorithm])
    total, weight = np.zeros(len(suites)), np.zeros(len(suites))
    for s in np.unique(pairs.suite):
        here = pairs.suite == s
        found = spearman(pairs.x[here], pairs.y[here], algorithms[:, pairs.algorithm[here]])
        counted = np.where(np.isnan(found), 0.0, suites[:, s])
        total += counted * np.nan_to_num(found)
        weight += counted
    with np.errstate(invalid="ignore"):
        return total / weight


def spearman(x: Array, y: Array, weights: Array) -> Array:
    """Spearman's correlation of (n,) values, each taken `weights` (R, n) times, with mean ranks of ties: (R,)."""
    return _pearson(_ranks(x, weights), _ranks(y, weights), weights)


def _ranks(values: Array, weights: Array) -> Array:
    """Mean ranks, but for a constant, of values that are taken `weights` times."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    tied = np.add.reduceat(weights[:, order], first, axis=1)
    middle = np.cumsum(tied, axis=1) - tied / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(middle, np.diff(np.append(first, len(values))), axis=1)
    return ranks


def _pearson(a: Array, b: Array, weights: Array) -> Array:
    """The weighted correlation over the last axis; NaN where one of the two does not vary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        total = weights.sum(axis=-1, keepdims=True)
        a = a - (weights * a).sum(axis=-1, keepdims=True) / total
        b = b - (weights * b).sum(axis=-1, keepdims=True) / total
        spread = np.sqrt((weights * a * a).sum(axis=-1) * (weights * b * b).sum(axis=-1))
        found = (weights * a * b).sum(axis=-1) / spread
    return np.where(spread > 1e-9, np.clip(found, -1, 1), np.nan)


def _interval(value: float, pairs: Pairs, scope: str, shape: tuple[int, int], level: float) -> tuple[float, float]:
    """The crossed jackknife; NaN where there is one suite or one algorithm only."""
    parts = []
    for axis, of in enumerate((pairs.suite, pairs.algorithm)):
        units = np.unique(of)
        weights = [np.ones((len(units), size)) for size in shape]
        weights[axis][np.arange(len(units)), units] = 0
        left = _value(pairs, scope, *weights)
        left = left[~np.isnan(left)]
        n = len(left)
        parts.append((float((n - 1) / n * np.sum((left - left.mean()) ** 2)) if n > 1 else np.nan, n - 1))
    slope = 1 / max(1 - value**2, 1e-3)  # of atanh; a perfect correlation would have none
    center = float(np.arctanh(np.clip(value, -1 + 1e-9, 1 - 1e-9)))
    estimate = Estimate(center, tuple((variance * slope**2, df) for variance, df in parts))
    found = estimate.interval("suites and algorithms", len(np.unique(pairs.suite)), level)
    return float(np.tanh(found.low)), float(np.tanh(found.high))


def permuted(x: Array, y: Array, scope: str, seed: int = 0) -> tuple[float, float]:
    """p of "no association" and the least that it can be: suites, algorithms and splits of `x` in other orders.

    What was observed counts among the orders, so that no more than 5% of p-values are 0.05 or less. Where values are
    missing (an algorithm that a suite does not have), they move along, and the pairs that remain are correlated.
    """
    lacking = np.isnan(x) | np.isnan(y)
    x, y = (_ranked(np.where(lacking, np.nan, values), scope) for values in (x, y))
    observed = float(_correlated(x[None], y, scope)[0])
    rng = np.random.default_rng(seed)
    for count in (FEW, MANY):
        found = np.abs(np.concatenate([_correlated(part, y, scope) for part in _orders(x, count, rng)]))
        found = np.where(np.isnan(found), np.inf, found)  # an order that cannot be judged counts as extreme
        extreme = int((found >= abs(observed) - 1e-9).sum())
        if extreme > FEW // 50:
            break
    most = max(float(found[np.isfinite(found)].max(initial=0)), abs(observed))
    others = max(int((found >= most - 1e-9).sum()) - 1, 0)
    return (1 + extreme) / (1 + count), others / count


def _ranked(values: Array, scope: str) -> Array:
    """Ranks of the values that are not NaN, overall or of each suite by itself."""
    if scope == WITHIN:
        return np.stack([_ranked(one[None], OVERALL)[0] for one in values])
    return rankdata(values, nan_policy="omit").reshape(values.shape)


def _orders(x: Array, count: int, rng: np.random.Generator):
    """`count` random orders of (S, A, D) in pieces (at most 1,000, S, A, D); a suite keeps its algorithms together."""
    suites, algorithms, splits = x.shape
    for start in range(0, count, 1000):
        n = min(1000, count - start)
        s = rng.permuted(np.tile(np.arange(suites), (n, 1)), axis=1)[:, :, None, None]
        a = rng.permuted(np.tile(np.arange(algorithms), (n, 1)), axis=1)[:, None, :, None]
        d = rng.permuted(np.tile(np.arange(splits), (n, suites, 1)), axis=2)[:, :, None, :]
        yield x[s, a, d]


def _correlated(x: Array, y: Array, scope: str) -> Array:
    """The statistic of ranks, of R orders (R, S, A, D) of x: (R,)."""
    there = (~np.isnan(x) & ~np.isnan(y)).astype(float)
    x, y = np.nan_to_num(x), np.broadcast_to(np.nan_to_num(y), x.shape)
    if scope == OVERALL:
        return _pearson(*(part.reshape(len(x), -1) for part in (x, y, there)))
    shape = (*x.shape[:2], -1)
    found = _pearson(*(part.reshape(shape) for part in (x, y, there)))
    known = ~np.isnan(found)
    with np.errstate(invalid="ignore"):
        return np.where(known, found, 0).sum(axis=1) / known.sum(axis=1)
