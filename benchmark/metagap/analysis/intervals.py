"""The intervals, computed on plain arrays.

Every array is a grid of `values` with one row per seed and one column per episode, shape (S, M). The design is
crossed: all seeds meet the same M episodes. A statistic ("mean", "median" or "iqm") is taken over the episodes of each
seed and then averaged over the seeds.

| interval | what it resamples | what it holds fixed | claimed coverage |
|---|---|---|---|
| crossed | training runs and episodes; the headline | the data set | 93% to 97% for S >= 3; S = 2 falls to 92% |
| seeds | training runs | these very episodes | 95% for S >= 2 (normal seeds) |
| episodes | episodes | these very runs | 95% for M >= 30 |
| domains | training runs, episodes and domains | nothing but the training domain | 93% to 98% for D >= 3, S >= 3 |
| disjoint tasks | the images of these classes | these very runs | 95% for M >= 30 |

The interval over classes is in `metagap.analysis.classes`. A score with two bounds gets its interval on a logit scale,
one with a single bound is cut there, so that none leaves the possible values.

Nothing is dropped: a value that is not finite makes the mean inf or nan as it is, and the interval infinitely wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import root_scalar
from scipy.special import expit, logit, stdtr, stdtrit

EPISODES = "episodes"
SEEDS = "seeds"
CROSSED = "crossed"
DISJOINT = "disjoint tasks"
DOMAINS = "domains"
NOT_SAMPLED = "seeds not sampled"

STATISTICS = ("mean", "median", "iqm")
LEVEL = 0.95
RESAMPLES = 1000
CLAIMS_FROM = 3
"""The fewest seeds that a claim can rest on: with two, equal algorithms are found to differ in 7% to 8%."""

Array = NDArray[np.float64]
Bounds = tuple[float, float]
UNBOUNDED: Bounds = (-np.inf, np.inf)


class Interval(NamedTuple):
    """A value with its interval; `n` is the number of units that `kind` resamples (episodes, tasks or seeds)."""

    center: float
    low: float
    high: float
    kind: str
    n: int

    @property
    def half(self) -> float:
        """Half the width; inf if the interval is unbounded, nan if there is none."""
        return (self.high - self.low) / 2


class Estimate(NamedTuple):
    """A value whose sampling variance is a sum of `parts`, each (variance, degrees of freedom).

    With one part this is Student's t. With several parts of unequal degrees of freedom no exact distribution exists;
    the studentized value is referred to the mixture of the parts' t distributions, weighted with the variances (the
    idea of Cochran and Cox's weighted critical value). Satterthwaite's single t is too short where a part has only two
    or three degrees of freedom (92% at three seeds); the mixture stays between 94% and 97%.

    Attributes:
        center: the value.
        parts: of its sampling variance.
        episodes: the number of episodes behind it, which is all that is known of its precision where none differ.
        bounds: the least and the greatest value that it can have.
        is_score: whether it is a score and not a difference, so that the bounds shape its interval.
    """

    center: float
    parts: tuple[tuple[float, int], ...]
    episodes: int = 1
    bounds: Bounds = UNBOUNDED
    is_score: bool = False

    @property
    def variance(self) -> float:
        """The squared standard error."""
        return sum(variance for variance, _ in self.parts)

    @property
    def is_constant(self) -> bool:
        """Whether no variance was seen, but for rounding."""
        return self.variance <= 1e-24 * self.center**2

    def tail(self, t: float) -> float:
        """P(|T| > t) under the mixture of t distributions."""
        return sum(variance * 2 * stdtr(df, -abs(t)) for variance, df in self.parts) / self.variance

    def p_value(self) -> float:
        """Two-sided p-value of "the true value is zero"; nan where there is none (not finite, one unit)."""
        if not self._testable():
            return np.nan
        if self.is_constant:
            room = self.center - self.bounds[0] if self.center > 0 else self.bounds[1] - self.center
            share = 0.0 if np.isinf(room) else abs(self.center) / room
            return float(min(1.0, 2 * (1 - share) ** self.episodes))
        return float(self.tail(self.center / np.sqrt(self.variance)))

    def interval(self, kind: str, n: int, level: float = LEVEL) -> Interval:
        """The two-sided interval; that of a difference excludes zero exactly when `p_value() < 1 - level`."""
        if any(df < 1 for _, df in self.parts):
            return Interval(self.center, np.nan, np.nan, kind, n)
        if not self._testable():
            return Interval(self.center, -np.inf, np.inf, kind, n)
        low, high = self._constant(level) if self.is_constant else self._ends(level)
        return Interval(self.center, float(low), float(high), kind, n)

    def _testable(self) -> bool:
        return bool(np.isfinite(self.center) and np.isfinite(self.variance) and all(df >= 1 for _, df in self.parts))

    def _constant(self, level: float) -> tuple[float, float]:
        """Where none of n episodes differs: at most a share of 1 - (alpha / 2)^(1 / n) would, and by no more than the
        bounds allow (Clopper and Pearson 1934, for n successes in n trials). Without bounds nothing follows."""
        share = 1 - ((1 - level) / 2) ** (1 / self.episodes)
        room = np.array(self.bounds) - self.center
        low, high = self.center + share * room
        return low, high

    def _ends(self, level: float) -> tuple[float, float]:
        half = self._quantile(level) * np.sqrt(self.variance)
        low, high = self.bounds
        if not self.is_score or not low < self.center < high:
            return self.center - half, self.center + half
        if np.isfinite(low) and np.isfinite(high):  # t on the logit scale, by the delta method
            width, place = high - low, (self.center - low) / (high - low)
            step = half / (width * place * (1 - place))
            return low + width * expit(logit(place) - step), low + width * expit(logit(place) + step)
        return max(self.center - half, low), min(self.center + half, high)

    def _quantile(self, level: float) -> float:
        bounds = [float(stdtrit(df, (1 + level) / 2)) for variance, df in self.parts if variance > 0]
        if min(bounds) == max(bounds):
            return bounds[0]
        bracket = (0.99 * min(bounds), 1.01 * max(bounds))
        return float(root_scalar(lambda t: self.tail(t) - (1 - level), bracket=bracket, method="brentq").root)


class Summand(Protocol):
    """One summand of a contrast, over episodes that no other summand has: a `Term`, or one that is made of several."""

    @property
    def n_episodes(self) -> int:
        """M, the number of episodes."""
        ...

    @property
    def is_score(self) -> bool:
        """Whether it is a score and not a difference."""
        ...

    def bounds(self, of_score: Bounds) -> Bounds:
        """The least and the greatest value of the summand, from those of a score."""
        ...

    def per_seed(self, statistic: str) -> Array:
        """The summand of every seed, shape (S,)."""
        ...

    def episode_covariance(self, statistic: str, resamples: int = RESAMPLES, seed: int = 0) -> Array:
        """Covariance of `per_seed` under new episodes shared by all seeds, shape (S, S)."""
        ...


class Term(NamedTuple):
    """One summand of a contrast: weight * statistic(values), or weight * (statistic(values) - statistic(minus)).

    `minus` has the same shape (S, M) and holds the same episodes in the same order, so that the difference is paired.
    `of` names the split that the episodes are of, where that is known.
    """

    values: Array
    minus: Array | None = None
    weight: float = 1.0
    of: str = ""

    @property
    def n_episodes(self) -> int:
        """M, the number of episodes."""
        return self.values.shape[-1]

    @property
    def is_score(self) -> bool:
        """Whether it is a score and not a difference."""
        return self.minus is None and self.weight > 0

    def bounds(self, of_score: Bounds) -> Bounds:
        """The least and the greatest value of the summand, from those of a score."""
        low, high = of_score
        if self.minus is not None:
            low, high = low - high, high - low
        low, high = self.weight * low, self.weight * high
        return (low, high) if self.weight > 0 else (high, low)

    @property
    def sides(self) -> tuple[Term, Term]:
        """Both sides of a difference, each a summand by itself; raises ValueError where there is one side only."""
        if self.minus is None:
            raise ValueError("this term is no difference: it has no `minus`")
        return self._replace(minus=None), Term(self.minus, weight=self.weight)

    def per_seed(self, statistic: str) -> Array:
        """The summand of every seed, shape (S,)."""
        per_seed = summarise(self.values, statistic)
        with np.errstate(invalid="ignore"):
            return self.weight * (per_seed if self.minus is None else per_seed - summarise(self.minus, statistic))

    def episode_covariance(self, statistic: str, resamples: int = RESAMPLES, seed: int = 0) -> Array:
        """Covariance of `per_seed` under new episodes shared by all seeds, shape (S, S).

        For the mean it has a closed form (the limit of infinitely many resamples); for order statistics the episodes
        are resampled, jointly for all seeds and both sides, and the variance is corrected by M / (M - 1).
        """
        if self.n_episodes < 2:
            return np.full((len(self.values),) * 2, np.nan)
        with np.errstate(invalid="ignore"):
            if statistic == "mean":
                paired = self.values if self.minus is None else self.values - self.minus
                covariance = _covariance(paired) / self.n_episodes
            else:
                draws = resampled(self.values, statistic, resamples, seed)
                if self.minus is not None:
                    draws = draws - resampled(self.minus, statistic, resamples, seed)
                covariance = _covariance(draws.T) * self.n_episodes / (self.n_episodes - 1)
        return self.weight**2 * covariance


def _covariance(rows: Array) -> Array:
    """That of the rows of (n, m), as by `np.cov`, which takes several times as long for a few of them."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    return centred @ centred.T / (rows.shape[1] - 1)


def over_episodes(
    values: ArrayLike,
    statistic: str = "mean",
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounds: Bounds = UNBOUNDED,
) -> Interval:
    """The interval of the field's papers: these runs, M new episodes.

    Mean: t over the M episode scores, each averaged over the seeds. Median and interquartile mean: percentile
    bootstrap over the episodes, jointly for all seeds.

    Args:
        values: (M,) or (S, M), scores of M episodes.
        statistic: "mean", "median" or "iqm".
        level: the coverage probability, in (0, 1).
        resamples: bootstrap resamples (median and iqm only).
        seed: of the bootstrap's random numbers; the same call gives the same interval.
        bounds: the least and the greatest score.

    Raises:
        ValueError: for an unknown statistic or an empty or more than two-dimensional array.
    """
    return _of_episodes(values, statistic, level, resamples, seed, EPISODES, bounds)


def over_disjoint_tasks(
    values: ArrayLike,
    statistic: str = "mean",
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounds: Bounds = UNBOUNDED,
) -> Interval:
    """The interval that speaks about new images of these classes: M tasks drawn without replacement of any image.

    Tasks that share no image are independent draws from the population of images behind these classes, so that t over
    tasks covers the score on that population; tasks drawn with replacement only cover the score on this finite data set
    (Lafargue et al. 2024, arXiv 2409.02850). It does not speak about new classes. Arguments and errors as for
    `over_episodes`.
    """
    return _of_episodes(values, statistic, level, resamples, seed, DISJOINT, bounds)


def over_seeds(
    values: ArrayLike, statistic: str = "mean", level: float = LEVEL, bounds: Bounds = UNBOUNDED
) -> Interval:
    """New training runs, tested on these episodes: t over the S per-seed statistics; nan bounds for one seed.

    Args:
        values: (S, M), or (S, 1) for numbers that are already one per seed.
        statistic: "mean", "median" or "iqm", taken over the M episodes of each seed.
        level: the coverage probability, in (0, 1).
        bounds: the least and the greatest score.

    Raises:
        ValueError: for an unknown statistic or an empty or more than two-dimensional array.
    """
    grid = _grid(values)
    kind = SEEDS if len(grid) > 1 else NOT_SAMPLED
    return seeds_estimate([Term(grid)], statistic, bounds).interval(kind, len(grid), level)


def crossed(
    values: ArrayLike,
    statistic: str = "mean",
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounds: Bounds = UNBOUNDED,
) -> Interval:
    """New training runs and new episodes, see `crossed_estimate`; nan bounds for one seed, and the kind says so.

    Arguments and errors as for `over_episodes`; the median and the interquartile mean resample the episodes.
    """
    grid = _grid(values)
    kind = CROSSED if len(grid) > 1 else f"{CROSSED}, {NOT_SAMPLED}"
    return crossed_estimate([Term(grid)], statistic, resamples, seed, bounds).interval(kind, len(grid), level)


def headline(
    terms: Sequence[Term], statistic: str = "mean", level: float = LEVEL, bounds: Bounds = UNBOUNDED
) -> Interval:
    """The interval of the headline, of a score as of a gap: crossed, or over the episodes of the only seed."""
    kind, n = headline_kind(terms)
    return headline_estimate(terms, statistic, bounds).interval(kind, n, level)


def headline_kind(terms: Sequence[Term]) -> tuple[str, int]:
    """What `headline` resamples, and the number of its units."""
    seeds = len(terms[0].values)
    return (CROSSED, seeds) if seeds > 1 else (f"{EPISODES}, {NOT_SAMPLED}", min(term.n_episodes for term in terms))


def headline_estimate(terms: Sequence[Term], statistic: str = "mean", bounds: Bounds = UNBOUNDED) -> Estimate:
    """The estimate behind `headline`."""
    several = len(terms[0].values) > 1
    return (crossed_estimate if several else episodes_estimate)(terms, statistic, bounds=bounds)


def seeds_estimate(terms: Sequence[Term], statistic: str = "mean", bounds: Bounds = UNBOUNDED) -> Estimate:
    """The sum of `terms` computed per seed, then mean and t(S - 1) over the S seeds."""
    with np.errstate(invalid="ignore"):
        per_seed = np.sum([term.per_seed(statistic) for term in terms], axis=0)
        return _estimate(per_seed.mean(), [(_variance_of_mean(per_seed), len(per_seed) - 1)], terms, bounds)


def episodes_estimate(terms: Sequence[Summand], statistic: str = "mean", bounds: Bounds = UNBOUNDED) -> Estimate:
    """The sum of `terms` averaged over these seeds, with the variance of new episodes, independent between terms.

    One seed, two terms and the mean give sqrt(s1^2 / M1 + s2^2 / M2).
    """
    with np.errstate(invalid="ignore"):
        center = np.sum([term.per_seed(statistic).mean() for term in terms])
        parts = [(float(term.episode_covariance(statistic).mean()), term.n_episodes - 1) for term in terms]
    return _estimate(center, parts, terms, bounds)


def crossed_estimate(
    terms: Sequence[Summand],
    statistic: str = "mean",
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounds: Bounds = UNBOUNDED,
) -> Estimate:
    """The sum of `terms` averaged over the seeds, with the variance of new seeds AND new episodes, crossed.

    With value(s, m) = mu + a_s + b_m + e_sm, the mean has variance A/S + B/M + E/(S M). Two parts add up to it without
    counting E twice (Owen 2007, "The pigeonhole bootstrap", on why resampling both levels counts it three times):

    - seeds: var(per-seed sums) / S, with S - 1 in the denominator. It estimates A/S + E/(S M).
    - episodes, one part for each term, whose episodes are independent of the others': what the seeds cannot show, the
      luck of the episodes that they share. It is the covariance between two seeds when the episodes are resampled
      jointly, averaged over the pairs of seeds, and estimates B/M.

    For the mean both have a closed form; of the median and the interquartile mean the episodes are resampled.
    """
    with np.errstate(invalid="ignore"):
        per_seed = np.sum([term.per_seed(statistic) for term in terms], axis=0)
        n = len(per_seed)
        parts = [(_variance_of_mean(per_seed), n - 1)]
        for term in terms if n > 1 else ():
            covariance = term.episode_covariance(statistic, resamples, seed)
            parts.append((float(np.maximum(mean_of_pairs(covariance), 0)), term.n_episodes - 1))
        return _estimate(per_seed.mean(), parts, terms, bounds)


def mean_of_pairs(covariance: Array) -> float:
    """The mean covariance of two different rows, of a matrix (n, n): the variance of what all rows share."""
    n = len(covariance)
    return float((covariance.sum() - np.trace(covariance)) / (n * (n - 1)))


def domains_estimate(
    terms: Sequence[Term], domains: int, statistic: str = "mean", bounds: Bounds = UNBOUNDED
) -> Estimate:
    """The sum of `terms` with the variance of new domains, too: the last `domains` terms are a sample of them.

    A new domain comes with new episodes, so that the variance between the domains holds that of their episodes. What
    the domains cannot show is what they share: the luck of the seeds (the covariance of two domains over the seeds,
    averaged over the pairs; nothing for one seed), and that of the episodes of the other terms.

    Raises ValueError for fewer than two domains, whose variance is not known.
    """
    if domains < 2:
        raise ValueError("a sample of domains needs two of them")
    fixed, sample = terms[:-domains], terms[-domains:]
    with np.errstate(invalid="ignore"):
        base = np.sum([term.per_seed(statistic) for term in fixed], axis=0) if fixed else 0.0
        values = np.stack([base + domains * term.per_seed(statistic) for term in sample], axis=1)  # (S, D)
        seeds = len(values)
        parts = [(float(values.mean(axis=0).var(ddof=1) / domains), domains - 1)]
        if seeds > 1:
            shared = mean_of_pairs(np.cov(values, rowvar=False))
            parts.append((float(np.maximum(shared, 0)) / seeds, seeds - 1))
        if fixed:
            estimate = (crossed_estimate if seeds > 1 else episodes_estimate)(fixed, statistic)
            parts += estimate.parts[seeds > 1 :]
    return _estimate(values.mean(), parts, terms, bounds)


def _estimate(center: float, parts: Sequence[tuple[float, int]], terms: Sequence[Summand], bounds: Bounds) -> Estimate:
    low, high = np.sum([term.bounds(bounds) for term in terms], axis=0)
    is_score = all(term.is_score for term in terms)
    episodes = min(term.n_episodes for term in terms)
    return Estimate(float(center), tuple(parts), episodes, (float(low), float(high)), is_score)


def summarise(values: ArrayLike, statistic: str) -> Array:
    """The statistic over the last axis: (..., M) -> (...).

    All three are trimmed means: the mean cuts nothing, the interquartile mean a quarter of the episodes on each side
    (Agarwal et al. 2021), the median all but the middle. Any nan gives nan; infinities are cut if they are few.

    Raises:
        ValueError: for an unknown statistic.
    """
    values = np.asarray(values, dtype=float)
    m = values.shape[-1]
    cut = _cut(m, statistic)
    with np.errstate(invalid="ignore"):
        if not cut and statistic == "mean":
            return values.mean(axis=-1)
        kept = np.sort(values, axis=-1)[..., cut : m - cut].mean(axis=-1)
    return np.where(np.isnan(values).any(axis=-1), np.nan, kept)  # nan sorts last and would be cut like a high score


def resampled(values: Array, statistic: str, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """The statistic of `resamples` bootstrap samples of the episodes, the same for every row: (S, M) -> (R, S).

    Raises:
        ValueError: for an unknown statistic.
    """
    return _resampled(np.ascontiguousarray(values).tobytes(), values.shape, statistic, resamples, seed)


@lru_cache(maxsize=512)  # the same grid is met again in every comparison that it takes part in
def _resampled(grid: bytes, shape: tuple[int, ...], statistic: str, resamples: int, seed: int) -> Array:
    values = np.frombuffer(grid).reshape(shape)
    m = shape[-1]
    cut = _cut(m, statistic)
    draws = np.random.default_rng(seed).integers(m, size=(resamples, m)) + m * np.arange(resamples)[:, None]
    counts = np.bincount(draws.ravel(), minlength=resamples * m).reshape(resamples, m).T.astype(np.int32)
    return np.stack([_trimmed_means(row, counts, cut) for row in values], axis=1)


def _trimmed_means(row: Array, counts: NDArray[np.int32], cut: int) -> Array:
    """Trimmed mean of one row with each value taken `counts` times: (M,) and (M, R) -> (R,). Sorts only once."""
    order = np.argsort(row)
    places = np.clip(np.cumsum(counts[order], axis=0, dtype=np.int32), cut, len(row) - cut)  # taken up to this value
    weights = np.diff(places, axis=0, prepend=np.int32(cut))
    used = weights.any(axis=1)
    ordered, weights = row[order][used], weights[used]
    if np.isfinite(ordered).all():
        total = ordered @ weights
    else:  # an infinite value counts only in the resamples that use it
        with np.errstate(invalid="ignore"):
            total = np.where(weights > 0, weights * ordered[:, None], 0.0).sum(axis=0)
    return total / (len(row) - 2 * cut)


def _cut(m: int, statistic: str) -> int:
    """How many of m sorted values the statistic leaves out on each side."""
    match statistic:
        case "mean":
            return 0
        case "iqm":
            return m // 4
        case "median":
            return (m - 1) // 2
    raise ValueError(f"statistic {statistic!r} is not one of {', '.join(STATISTICS)}")


def _of_episodes(
    values: ArrayLike, statistic: str, level: float, resamples: int, seed: int, kind: str, bounds: Bounds
) -> Interval:
    grid = _grid(values)
    n = grid.shape[1]
    if statistic == "mean" or n < 2:
        return episodes_estimate([Term(grid)], statistic, bounds).interval(kind, n, level)
    center = float(summarise(grid, statistic).mean())
    if not np.isfinite(center):
        return Interval(center, -np.inf, np.inf, kind, n)
    draws = resampled(grid, statistic, resamples, seed).mean(axis=1)
    # Order statistics of the resamples, not interpolated ones: between two infinities lies nan.
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return Interval(center, float(low), float(high), kind, n)


def _grid(values: ArrayLike) -> Array:
    grid = np.atleast_2d(np.asarray(values, dtype=float))
    if grid.ndim != 2 or grid.size == 0:
        raise ValueError(f"values must have shape (episodes,) or (seeds, episodes), not {np.shape(values)}")
    return grid


def _variance_of_mean(per_seed: Array) -> float:
    if len(per_seed) < 2:
        return np.nan
    with np.errstate(invalid="ignore"):
        return float(per_seed.var(ddof=1) / len(per_seed))
