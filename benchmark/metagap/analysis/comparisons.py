"""Which of two algorithms generalizes better, by how much, and is the difference significant?"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import nctdtrinc, ndtr

from metagap.analysis.grids import AVERAGE, Grids, pair
from metagap.analysis.intervals import (
    EPISODES,
    HIERARCHICAL,
    LEVEL,
    NOT_SAMPLED,
    Estimate,
    Interval,
    Term,
    crossed_estimate,
    episodes_estimate,
)
from metagap.errors import UserError

if TYPE_CHECKING:
    from metagap.results import Results

MEANINGFUL = 0.75  # gamma, recommended by Bouthillier et al. 2021
IMPROVEMENT = "P(a > b)"
CANNOT_TELL = "cannot tell"
TOO_SMALL = "no meaningful difference"
COLUMNS = [
    "a", "b", "split", "role", "statistic",
    "score_a", "score_b", "difference", "low", "high", "interval", "p",
    "improvement", "improvement_low", "improvement_high", "episode_wins",
    "seeds", "n_episodes", "p_holm", "family", "verdict",
]  # fmt: skip


def compare(results: Results, a: str, b: str, split: str | None = None, level: float = LEVEL) -> pd.DataFrame:
    """Algorithm `a` against `b`: their rows of `all_pairs`, with `a` first.

    One row per split (or only `split`) and statistic. The correction is that of the report page, over all pairs of
    algorithms in these results, so that both always come to the same verdict.

    Raises:
        UserError: for an unknown algorithm or split, or algorithms that share no seed and episode.
    """
    grids = Grids.of(results)
    for name in (a, b):
        if name not in grids.algorithms:
            raise UserError(f"unknown algorithm {name!r}: these results have {_listed(grids.algorithms)}")
    splits = [*grids.splits.index, *([AVERAGE] if len(grids.domains) > 1 else [])]
    if split is not None and split not in splits:
        raise UserError(f"unknown split {split!r}: these results have {_listed(splits)}")
    splits = [split] if split is not None else splits
    others = [name for name in grids.algorithms if name not in (a, b)]
    table = _family(grids, [a, b, *others], splits, level)
    table = table[(table["a"] == a) & (table["b"] == b)].reset_index(drop=True)
    if table.empty:
        seeds = {
            name: sorted(set(results.episodes.loc[results.episodes["algorithm"] == name, "seed"])) for name in (a, b)
        }
        raise UserError(
            f"{a!r} (seeds {_listed(seeds[a])}) and {b!r} (seeds {_listed(seeds[b])}) share no seed and episode of "
            f"{_listed(splits)}: a comparison is paired, run both with the same seeds and splits"
        )
    return table


def all_pairs(results: Results | Grids, level: float = LEVEL) -> pd.DataFrame:
    """Every pair of algorithms, paired on the same episodes and seeds, each at its headline step.

    One row per pair, split and statistic; with several cross-domain splits of the suite's ways and shots also one for
    their mean, whose split is "average":

    - difference, low, high, interval, p: score of a - score of b, over new seeds and new episodes (the hierarchical
      bootstrap; claimed from three seeds on). With one seed: over the episodes, "seeds not sampled".
    - improvement, improvement_low/high: P(a > b), the probability that one new training run of a beats one of b
      (Bouthillier et al. 2021, arXiv 2103.03098), see `probability_of_improvement`. NaN with one seed.
    - episode_wins: share of (seed, episode) pairs in which a scores higher, ties counted half; NaN for the average.
    - p_holm, family: p corrected by Holm over the `family` pairs on the same split with the same statistic: on each
      split, the probability of any false "better" is at most 1 - level.
    - verdict: "<a> better" or "<b> better" if p_holm < 1 - level and P(winner better) may exceed 0.75; "no meaningful
      difference" if p_holm < 1 - level but it may not; else "cannot tell". With one seed the winner is only
      "<a> better in this one run".

    Pairs that share no seed are left out, and the table is empty for a single algorithm.
    """
    grids = Grids.of(results)
    splits = [*grids.splits.index, *([AVERAGE] if len(grids.domains) > 1 else [])]
    return _family(grids, grids.algorithms, splits, level)


def difference(a: np.ndarray, b: np.ndarray, statistic: str = "mean") -> Estimate:
    """The estimate of statistic(a) - statistic(b), paired; `a` and `b` are (S, M) on the same seeds and episodes."""
    terms = [Term(a, b)]
    return crossed_estimate(terms, statistic) if len(a) > 1 else episodes_estimate(terms, statistic)


def probability_of_improvement(differences: np.ndarray, level: float = LEVEL) -> Interval:
    """P(a run of a beats a run of b), from the (S,) paired differences of S seeds.

    Bouthillier et al. 2021 count wins and take percentiles of a bootstrap, which needs about thirty runs (with three
    wins in three runs every resample wins). For normal differences P(a > b) = Phi(mean / sd), and mean / sd has an
    exact interval for every S >= 2: the noncentralities that put the paired t statistic at the tails. It lies above
    1/2 exactly when the paired t test over seeds says so. NaN for one seed; the share of wins (ties half) with [0, 1]
    if a difference is not finite or all are the same.
    """
    n = len(differences)
    wins = float(np.mean(np.sign(differences)) + 1) / 2
    if n < 2:
        return Interval(np.nan, np.nan, np.nan, IMPROVEMENT, n)
    spread = differences.std(ddof=1) if np.isfinite(differences).all() else np.nan
    if not spread > 1e-12 * np.abs(differences).max():  # nothing to learn a spread from
        return Interval(wins, 0.0, 1.0, IMPROVEMENT, n)
    effect = differences.mean() / spread
    t = np.clip(effect * np.sqrt(n), -1000, 1000)  # beyond, P is 0 or 1 to machine precision and the solver slows down
    low, high = ndtr(nctdtrinc(n - 1, [(1 + level) / 2, (1 - level) / 2], t) / np.sqrt(n))
    return Interval(float(ndtr(effect)), float(low), float(high), IMPROVEMENT, n)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (1979): (k,) p-values -> (k,) corrected; NaN counts in the family and stays NaN."""
    # Not by statsmodels: it collects garbage at every call, a quarter of a second each in a process with torch.
    order = np.argsort(p)  # NaN last
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(steps, 1)
    return corrected


def _family(grids: Grids, algorithms: list[str], splits: list[str], level: float) -> pd.DataFrame:
    """Every pair of `algorithms`, the earlier one first, with p corrected over the pairs of a split and statistic."""
    rows = [
        {"a": a, "b": b, "split": split, "role": grids.role(split), "statistic": statistic}
        | _row(paired, statistic, level)
        for a, b in combinations(algorithms, 2)
        for split in splits
        if (paired := _paired(grids, a, b, split))
        for statistic in grids.statistics
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    family = table.groupby(["split", "statistic"], sort=False)["p"]
    table["p_holm"] = family.transform(lambda p: holm(p.to_numpy())).astype(float)
    table["family"] = family.transform("size").astype(int)
    table["verdict"] = [_verdict(row, row["p_holm"], level) for row in table.to_dict("records")]
    return table


def _paired(grids: Grids, a: str, b: str, split: str) -> list[Term]:
    """The difference of a and b on a split as one term, their average difference over the domains as several; or []."""
    domains = grids.domains if split == AVERAGE else [split]
    found = [(grids.get(a, domain), grids.get(b, domain)) for domain in domains]
    both = [(left, right) for left, right in found if left is not None and right is not None]
    if len(both) < len(domains):
        return []
    seeds = sorted(set.intersection(*(set(grid.index) for sides in both for grid in sides)))
    paired = [pair(left.loc[seeds], right.loc[seeds]) for left, right in both]
    terms = [Term(*values, weight=1 / len(domains)) for values in paired if values is not None]
    return terms if len(terms) == len(domains) else []


def _row(terms: list[Term], statistic: str, level: float) -> dict:
    seeds, episodes = len(terms[0].values), min(term.n_episodes for term in terms)
    estimate = crossed_estimate(terms, statistic) if seeds > 1 else episodes_estimate(terms, statistic)
    kind = HIERARCHICAL if seeds > 1 else f"{EPISODES}, {NOT_SAMPLED}"
    interval = estimate.interval(kind, seeds if seeds > 1 else episodes, level)
    with np.errstate(invalid="ignore"):
        left, right, differences = (
            np.sum([term.per_seed(statistic) for term in part], axis=0)
            for part in (*zip(*(term.sides for term in terms), strict=True), terms)
        )
    improvement = probability_of_improvement(differences, level)
    return {
        "score_a": left.mean(),
        "score_b": right.mean(),
        "difference": interval.center,
        "low": interval.low,
        "high": interval.high,
        "interval": interval.kind,
        "p": estimate.p_value(),
        "improvement": improvement.center,
        "improvement_low": improvement.low,
        "improvement_high": improvement.high,
        "episode_wins": _wins(terms[0]) if len(terms) == 1 else np.nan,
        "seeds": seeds,
        "n_episodes": episodes,
    }


def _wins(term: Term) -> float:
    a, b = (side.values for side in term.sides)
    return float(np.mean(a > b) + np.mean(a == b) / 2)


def _verdict(row: dict, p: float, level: float) -> str:
    if not p < 1 - level:  # NaN too
        return CANNOT_TELL
    a_wins = row["difference"] > 0
    winner = row["a"] if a_wins else row["b"]
    if row["seeds"] == 1:
        return f"{winner} better in this one run"
    plausible = row["improvement_high"] if a_wins else 1 - row["improvement_low"]
    return f"{winner} better" if plausible > MEANINGFUL else TOO_SMALL


def _listed(names: Iterable) -> str:
    return ", ".join(map(str, names))
