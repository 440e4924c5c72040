"""Do algorithms differ over several suites? Friedman's test of their ranks, as Iman and Davenport corrected it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import f as fisher
from scipy.stats import rankdata, studentized_range

from metagap.analysis.comparisons import CANNOT_TELL
from metagap.analysis.intervals import LEVEL
from metagap.errors import UserError

Array = NDArray[np.float64]

PERMUTATIONS = 10_000
LEAST_SUITES, LEAST_ALGORITHMS = 2, 3
RECOMMENDED = 10
"""Suites, by Demsar 2006; with fewer, little is significant."""


class RankTest(NamedTuple):
    """Iman and Davenport's test with Nemenyi's post-hoc.

    Attributes:
        ranks: mean rank of each algorithm, best (1) first.
        statistic: Iman and Davenport's F; infinite where all suites agree.
        freedom: its two degrees of freedom.
        p: of "all algorithms are equal": the share of shufflings of the ranks within the suites whose F is as great.
        p_f: the same by the F distribution, as papers print it; too small with fewer than about ten suites.
        critical_difference: two mean ranks further apart than this differ (Nemenyi).
        pairs: a, b, rank_difference (negative: a ranks better), p (Nemenyi), verdict.
        suites: how many went in.
        warning: what they are too few for, or "".
    """

    ranks: pd.Series
    statistic: float
    freedom: tuple[int, int]
    p: float
    p_f: float
    critical_difference: float
    pairs: pd.DataFrame
    suites: int
    warning: str

    @property
    def groups(self) -> list[list[str]]:
        """The longest runs of neighbouring ranks that are not significantly different, each of two names or more."""
        told = {frozenset((a, b)) for a, b, v in self.pairs[["a", "b", "verdict"]].values if v != CANNOT_TELL}
        names, found, reached = list(self.ranks.index), [], 0
        for first in range(len(names)):
            last = first
            while last + 1 < len(names) and frozenset((names[first], names[last + 1])) not in told:
                last += 1
            if last > first and last + 1 > reached:
                found.append(names[first : last + 1])
                reached = last + 1
        return found


def rank_test(scores: pd.DataFrame, level: float = LEVEL) -> RankTest:
    """Which algorithms differ over several suites (Demsar 2006, "Statistical Comparisons of Classifiers").

    A pair differs if the test of all algorithms is significant and their mean ranks are further apart than Nemenyi's
    critical difference. The first is Iman and Davenport's (1980) F, of which Demsar shows that Friedman's chi-square
    needs more. With few suites F does not follow its distribution: of five suites and four algorithms that are equal,
    6.6% are called different. p is therefore that of a permutation test of the same F, whose level holds for any number
    of suites and with ties.

    Args:
        scores: one row per suite, one column per algorithm, higher is better, without NaN.
        level: 1 - the probability of any false difference.

    Raises:
        UserError: for fewer than three algorithms or two suites.
    """
    n, k = scores.shape
    if k < LEAST_ALGORITHMS or n < LEAST_SUITES:
        raise UserError(
            f"a comparison across suites needs at least {LEAST_ALGORITHMS} algorithms and {LEAST_SUITES} suites that "
            f"have results of all of them; found {k} algorithms ({', '.join(map(str, scores.columns))}) and {n} suites"
        )
    ranked = rankdata(-scores.to_numpy(dtype=float), axis=1)
    ranks = pd.Series(ranked.mean(axis=0), index=scores.columns, name="rank").sort_values(kind="stable")
    freedom = (k - 1, (k - 1) * (n - 1))
    statistic = float(_iman_davenport(ranked.sum(axis=0), ranked))
    p = _permuted(ranked)
    unit = np.sqrt(k * (k + 1) / (6 * n) / 2)
    critical = float(studentized_range.ppf(level, k, np.inf) * unit)
    rows = []
    for a, b in combinations(ranks.index, 2):
        gap = ranks[a] - ranks[b]
        verdict = f"{a} better" if p < 1 - level and -gap > critical else CANNOT_TELL
        rows.append((a, b, gap, float(studentized_range.sf(abs(gap) / unit, k, np.inf)), verdict))
    pairs = pd.DataFrame(rows, columns=["a", "b", "rank_difference", "p", "verdict"])
    p_f = float(fisher.sf(statistic, *freedom))
    return RankTest(ranks, statistic, freedom, p, p_f, critical, pairs, n, " ".join(_power_warnings(n, k, critical)))


def _iman_davenport(sums: Array, ranked: Array) -> Array:
    """F of the sums of ranks (..., k), of which `ranked` (n, k) says how many suites and ties there are.

    It is (n - 1) chi2 / (n (k - 1) - chi2) with Friedman's chi-square corrected for ties. 0 where all is tied.
    """
    n, k = ranked.shape
    mean = (k + 1) / 2
    within = ((ranked - mean) ** 2).sum()
    if within == 0:
        return np.zeros(sums.shape[:-1])
    share = np.minimum(((sums - n * mean) ** 2).sum(axis=-1) / n / within, 1)  # chi2 / (n (k - 1)): agreement, 0 to 1
    with np.errstate(divide="ignore"):
        return np.where(share > 1 - 1e-12, np.inf, (n - 1) * share / (1 - share))


def _permuted(ranked: Array) -> float:
    """p of the permutation test: the ranks of each suite are shuffled; what was observed counts among them."""
    rng = np.random.default_rng(0)
    sums = np.zeros((PERMUTATIONS, ranked.shape[1]))
    for row in ranked:
        sums += rng.permuted(np.broadcast_to(row, sums.shape), axis=1)
    observed = _iman_davenport(ranked.sum(axis=0), ranked)
    as_great = _iman_davenport(sums, ranked) >= observed * (1 - 1e-9)  # the same ranks in another order
    return (1 + int(as_great.sum())) / (1 + PERMUTATIONS)


def _power_warnings(n: int, k: int, critical: float) -> Iterator[str]:
    if critical >= k - 1:
        yield (
            f"{n} suites have no power: even a first rank everywhere against a last rank everywhere ({k - 1} apart) "
            f"is within the critical difference of {critical:.2f}."
        )
    elif n < RECOMMENDED:
        yield (
            f"{n} suites have little power (at least {RECOMMENDED} are recommended): only mean ranks more than "
            f"{critical:.2f} apart, out of at most {k - 1}, are significant."
        )
