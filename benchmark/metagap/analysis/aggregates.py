"""One number and one curve over many suites: the interquartile mean of all runs, and the performance profile.

Both are those of Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice". Their
intervals are over new training runs on these very suites, by a bootstrap that resamples the seeds of each suite. With
few seeds its percentiles cover far too seldom (81% with three seeds of five suites), for a resample of S values varies
by (S - 1) / S too little, and no percentile knows how uncertain the variance is. Here S - 1 of S seeds are drawn
(McCarthy and Snowden 1985), which makes the variance right, and t takes the place of the percentiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from metagap.analysis.intervals import LEVEL, Interval

Array = NDArray[np.float64]

BOOTSTRAP = "stratified bootstrap over seeds"
RESAMPLES = 2000
QUARTER = 0.25


def interquartile_mean(runs: Sequence[Array], level: float = LEVEL) -> Interval:
    """The mean of the middle half of all runs, each suite with the same weight.

    runs: the scores of each suite's seeds, (S,) of any S. A quarter of the weight is cut on each side, and of a run on
    the edge its part, so that the value does not jump with the number of runs. The interval is NaN where a suite has
    one seed, for nothing says how that varies.
    """
    weights = _weights([len(scores) for scores in runs])
    center = _middle(np.concatenate(runs), weights)
    drawn, drawn_weights = _resampled(runs)
    half = _half(_middle(drawn, drawn_weights), runs, level)
    return Interval(float(center), float(center - half), float(center + half), BOOTSTRAP, sum(map(len, runs)))


def performance_profile(runs: Sequence[Array], taus: Array, level: float = LEVEL) -> tuple[Array, Array, Array]:
    """The share of runs that score more than each tau, averaged over suites, with a band: three of shape (T,).

    runs: as in `interquartile_mean`. The band holds at each tau by itself.
    """
    weights = _weights([len(scores) for scores in runs])
    drawn, drawn_weights = _resampled(runs)
    shares = ((np.concatenate(runs)[:, None] > taus) * weights[:, None]).sum(axis=0)
    bands = np.array([_half((drawn > tau) @ drawn_weights, runs, level) for tau in taus])
    return shares, np.clip(shares - bands, 0, 1), np.clip(shares + bands, 0, 1)


def _weights(counts: Sequence[int]) -> Array:
    """Of each run, so that all suites weigh the same and their sum is 1."""
    return np.concatenate([np.full(count, 1 / count / len(counts)) for count in counts])


def _middle(values: Array, weights: Array) -> Array:
    """The mean of the middle half over the last axis: values (..., N) with weights (N,) -> (...)."""
    order = np.argsort(values, axis=-1)
    weights = weights[order]
    ends = np.cumsum(weights, axis=-1)
    kept = np.minimum(ends, 1 - QUARTER) - np.maximum(ends - weights, QUARTER)
    kept = np.where(kept > 1e-12, kept, 0)  # by rounding, a run beyond the edge would have a share
    ordered = np.take_along_axis(values, order, axis=-1)
    ordered = np.where(kept > 0, ordered, 0)  # infinity times zero is NaN
    return (ordered * kept).sum(axis=-1) / (1 - 2 * QUARTER)


def _resampled(runs: Sequence[Array]) -> tuple[Array, Array]:
    """Runs (B, N) of which each suite gives one less than it has, drawn with replacement, and their weights (N,)."""
    rng = np.random.default_rng(0)
    draws = [max(len(scores) - 1, 1) for scores in runs]
    parts = [
        scores[rng.integers(0, len(scores), size=(RESAMPLES, count))] for scores, count in zip(runs, draws, strict=True)
    ]
    return np.concatenate(parts, axis=1), _weights(draws)


def _half(resamples: Array, runs: Sequence[Array], level: float) -> float:
    """Half the width of the interval; NaN where a suite has one seed.

    The middle half of the runs bears the value, and so half of the degrees of freedom.
    """
    if min(map(len, runs)) < 2:
        return np.nan
    freedom = max(sum(len(scores) - 1 for scores in runs) / 2, 1)
    with np.errstate(invalid="ignore"):
        return float(student.ppf((1 + level) / 2, freedom) * resamples.std(ddof=1))
