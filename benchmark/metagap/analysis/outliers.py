"""Training runs far from the other seeds of their algorithm: collapsed ones, for the most part.

A run is measured by its distance from the mean of the other n seeds of its algorithm on a split, in units of what such
a distance is for a normal run: sqrt(1 + 1 / n) times the largest of

- the standard deviation of these other seeds, without which an algorithm that varies much would be suspect,
- the median over the other algorithms of theirs on this split, for two or three seeds may agree by chance,
- the standard error of the run over its episodes, below which runs cannot be told apart.

A run is an outlier beyond the distance that the farthest run of an algorithm exceeds in 1.5% of the cases where all
runs are normal with the same spread. It depends on the number of seeds and of algorithms, and is found by simulation
(fixed seed). Where the spreads of the algorithms differ (their logarithms by 0.5) about 4% of the algorithms are
flagged. A run that lies ten standard deviations off is nearly always found from five seeds on, and in nine of ten cases
at three seeds next to three other algorithms. A single algorithm with three seeds has only the distance of two runs to
judge by: there hardly any run is far enough.

Outliers are named and never dropped.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metagap.analysis.grids import Grids
from metagap.analysis.intervals import CLAIMS_FROM, LEVEL, Array, Term, headline, summarise

if TYPE_CHECKING:
    from metagap.results import Results

FLAGGED = 0.015
"""The share of algorithms without collapsed runs that may be flagged."""
SIMULATED = 20_000
COLUMNS = [
    "algorithm", "seed", "split", "role", "statistic", "score", "others", "distance", "threshold", "seeds",
    "mean", "low", "high", "others_low", "others_high",
]  # fmt: skip


def outlier_table(results: Results | Grids, level: float = LEVEL) -> pd.DataFrame:
    """One row per outlier: a run and a split, at the headline step, statistic and condition "standard".

    Algorithms with fewer than three seeds have no rows. Columns:

    - score of the run; others: the mean of the other seeds; seeds: how many there are with the run.
    - distance and threshold, in the units above; inf for a score that is not finite.
    - mean, low, high: the score of the algorithm with its headline interval; others_low, others_high: that of the
      others.
    """
    grids = Grids.of(results)
    statistic, rows = grids.metric.statistic, []
    for split in map(str, grids.splits.index):
        found = {name: grid for name in grids.algorithms if (grid := grids.get(name, split)) is not None}
        runs = {name: summarise(grid.to_numpy(), statistic) for name, grid in found.items()}
        spreads = {name: float(scores.std(ddof=1)) for name, scores in runs.items() if _has_spread(scores)}
        for name, scores in runs.items():
            if len(scores) < CLAIMS_FROM:
                continue
            elsewhere = [spread for other, spread in spreads.items() if other != name]
            values = found[name].to_numpy()
            for place, distance in enumerate(distances(scores, elsewhere, _errors(values, statistic))):
                if not distance > (threshold := limit(len(scores), len(elsewhere))):
                    continue
                kept = np.delete(values, place, axis=0)
                everything, without = (
                    headline([Term(part)], statistic, level, grids.metric.score_bounds) for part in (values, kept)
                )
                row = {"algorithm": name, "seed": int(found[name].index[place]), "split": split}
                row |= {"role": grids.role(split), "statistic": statistic, "score": scores[place]}
                row |= {"others": without.center, "distance": distance, "threshold": threshold, "seeds": len(scores)}
                row |= {"mean": everything.center, "low": everything.low, "high": everything.high}
                rows.append(row | {"others_low": without.low, "others_high": without.high})
    return pd.DataFrame(rows, columns=COLUMNS)


def distances(scores: Array, elsewhere: list[float], errors: Array | float = 0.0) -> Array:
    """How far every run is from the others of its algorithm.

    Args:
        scores: (S,), of the runs of one algorithm.
        elsewhere: the standard deviations over the seeds of the other algorithms.
        errors: (S,), the standard errors of the runs.

    Returns:
        (S,); inf for a run that alone is not finite, nan below three seeds and where the others are not finite.
    """
    n = len(scores) - 1
    if n + 1 < CLAIMS_FROM:
        return np.full(n + 1, np.nan)
    others = np.array([np.delete(scores, place) for place in range(n + 1)])
    common = float(np.median(elsewhere)) if elsewhere else 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.maximum(np.maximum(others.std(axis=1, ddof=1), common), np.nan_to_num(errors, posinf=0.0))
        found = np.abs(scores - others.mean(axis=1)) / (spread * np.sqrt(1 + 1 / n))
    return np.where(np.isfinite(others).all(axis=1) & ~np.isfinite(scores), np.inf, found)


@lru_cache(maxsize=256)
def limit(seeds: int, elsewhere: int) -> float:
    """The distance that the farthest of S normal runs exceeds with probability `FLAGGED`, next to K algorithms."""
    rng, n = np.random.default_rng(0), seeds - 1
    scores = rng.normal(size=(SIMULATED, seeds))
    common = np.zeros((SIMULATED, 1))
    if elsewhere:
        common = np.sqrt(np.median(rng.chisquare(n, (SIMULATED, elsewhere)) / n, axis=1, keepdims=True))
    mean = (scores.sum(axis=1, keepdims=True) - scores) / n
    square = ((scores**2).sum(axis=1, keepdims=True) - scores**2 - n * mean**2) / (n - 1)
    found = np.abs(scores - mean) / (np.maximum(np.sqrt(np.maximum(square, 0)), common) * np.sqrt(1 + 1 / n))
    return float(np.quantile(found.max(axis=1), 1 - FLAGGED))


def _errors(values: Array, statistic: str) -> Array:
    """The standard error of every run over its episodes."""
    if values.shape[1] < 2:
        return np.zeros(len(values))
    return np.sqrt(np.diag(Term(values).episode_covariance(statistic)))


def _has_spread(scores: Array) -> bool:
    return len(scores) >= CLAIMS_FROM and bool(np.isfinite(scores).all())
