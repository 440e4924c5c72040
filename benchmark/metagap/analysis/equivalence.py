"""Is our value the published one? Two one-sided tests of the difference against a margin (Schuirmann 1987).

That a difference is not significant proves nothing: noise enough makes any two values "compatible". Here
agreement has to be shown: the difference lies within the margin at the 5% level, so that two values which are truly a
margin apart are found to agree in at most one case of twenty. Both values vary from one training run to the next. Where
that is not known of ours (fewer than three seeds), nothing can be said; where a paper does not say it of its own, the
test takes ours for both, and its verdict is provisional.

| verdict | the data say |
|---|---|
| agrees | the difference is smaller than the margin (both one-sided tests reject at 5%), even where it is not zero |
| differs | it is not shown to be smaller than the margin, and its 95% interval excludes zero |
| undecided | neither: what it would take to decide is reported |
| cannot tell | our run variance is unknown, or diverged episodes, whose number no test can plan with, ruin the mean |
| not judged | nothing: the published value is recalled from memory and may be wrong |
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import chdtri, ndtr, ndtri, stdtrit

from metagap.analysis.intervals import LEVEL, UNBOUNDED, Bounds, Estimate

ALPHA = 0.05
POWER = 0.8
AGREES, DIFFERS, UNDECIDED, CANNOT_TELL = "agrees", "differs", "undecided", "cannot tell"
NOT_RUN, NOT_PUBLISHED, NOT_JUDGED = "not run", "not published", "not judged"

MOST = 10**7
"""More units than this are called none: nobody runs them."""
RUNS = ("seed", "run", "trial")
NORMAL = 10**6
"""Degrees of freedom of an uncertainty that counts as known."""

Variance = tuple[float, int]
"""A summand of a squared standard error, and its degrees of freedom."""


class Spread(NamedTuple):
    """What is behind a ±: a `measure` ("95% CI", "std" or "standard error") over `n` units; None: not stated."""

    measure: str
    n: int | None
    units: str

    @classmethod
    def of(cls, kind: str | None) -> Spread | None:
        """The spread that a suite's words name, such as "95% CI over 600 episodes" or "std over 3 seeds"."""
        match = re.fullmatch(r"(95% CI|std|standard error) over (?:([\d,]+) )?([a-z].*)", kind or "")
        return match and cls(match[1], int(match[2].replace(",", "")) if match[2] else None, match[3])

    @property
    def is_over_runs(self) -> bool:
        """Whether it says how the value varies from one training run to the next."""
        return self.units.rstrip("s") in RUNS

    def variance(self, half: float) -> Variance | None:
        """The variance of the published mean, from what stands behind its ±; None where that does not follow."""
        df = NORMAL if self.n is None else self.n - 1
        match self.measure:
            case "95% CI":
                return (half / ndtri((1 + LEVEL) / 2)) ** 2, df
            case "standard error":
                return half**2, df
            case _:
                return None if self.n is None else (half**2 / self.n, df)

    def __str__(self) -> str:
        units = self.units.removesuffix("s") if self.n == 1 else self.units
        return f"{self.measure} over {'' if self.n is None else f'{self.n:,} '}{units}"


class Component(NamedTuple):
    """A part of our variance that more `units` ("seeds" or "episodes") make smaller: it is that of `n` of them."""

    units: str
    n: int
    variance: float

    def of(self, n: int | None = None) -> Variance:
        """With as many units as there are, or with `n`."""
        n = n or self.n
        return self.variance * self.n / n, n - 1

    def at(self, quantile: float) -> Component:
        """With the variance for which the one that was seen is this quantile of what could have been (chi-squared)."""
        df = self.n - 1
        return self._replace(variance=self.variance * df / float(chdtri(df, 1 - quantile)))


class Equivalence(NamedTuple):
    """Ours against published: the difference with its 95% interval, the p-value of "a margin apart", the verdict."""

    difference: float
    low: float
    high: float
    p: float
    verdict: str
    remark: str


def compare(
    ours: float,
    components: Sequence[Component],
    published: float,
    theirs: Sequence[Variance],
    margin: float,
    runs_like_ours: bool = False,
    bounds: Bounds = UNBOUNDED,
) -> Equivalence:
    """Whether `ours` is the same as `published`, within `margin`.

    Args:
        ours: our value.
        components: of its variance, independent of each other, the seeds first.
        published: theirs.
        theirs: what is known of the variance of theirs.
        margin: the difference that does not matter.
        runs_like_ours: theirs is of one run that varies as ours do, which is not known of it.
        bounds: the least and the greatest value.
    """
    seeds, *others = [component.of() for component in components]
    if runs_like_ours:  # one estimate of the variance, in both values
        seeds = (seeds[0] * (1 + components[0].n), seeds[1])
    width = bounds[1] - bounds[0]
    difference = Estimate(ours - published, (seeds, *others, *theirs), components[-1].n, (-width, width))
    interval = difference.interval("", 0)
    p, unequal = p_value(difference, margin), difference.p_value()
    side = "higher" if difference.center > 0 else "lower"
    if p <= ALPHA:
        verdict, remark = AGREES, f"{side} by less than the margin" if unequal < 1 - LEVEL else ""
    elif unequal < 1 - LEVEL:
        verdict, remark = DIFFERS, f"ours is {side}"
    elif np.isnan(p):
        verdict, remark = CANNOT_TELL, "too few episodes" if np.isfinite(ours) else "the mean is not finite"
    else:
        verdict, remark = UNDECIDED, ""
    return Equivalence(difference.center, interval.low, interval.high, p, verdict, remark)


def p_value(difference: Estimate, margin: float) -> float:
    """The p-value of "the true difference is the margin or more": the larger one of the two one-sided tests."""
    if np.isnan(difference.p_value()):
        return np.nan
    room = margin - abs(difference.center)
    if difference.is_constant:
        share = max(room, 0) / (difference.bounds[1] - abs(difference.center))
        return max(1 - share, 0.0) ** difference.episodes
    tail = difference.tail(room / np.sqrt(difference.variance)) / 2
    return tail if room > 0 else 1 - tail


def power(parts: Sequence[Variance], margin: float) -> float:
    """The probability that two truly equal values are found to agree.

    parts: of the squared standard error of the difference. Given its estimate s, the test agrees where the difference
    is below margin - t s; that probability is averaged over s, whose square is chi-squared distributed with
    Satterthwaite's degrees of freedom.
    """
    parts = [(variance, df) for variance, df in parts if variance > 0]
    if not parts:
        return 1.0
    variance = sum(variance for variance, _ in parts)
    df = variance**2 / sum(variance**2 / df for variance, df in parts)
    if df < NORMAL / 10:
        quantiles = (np.arange(200) + 0.5) / 200
        estimated = np.sqrt(chdtri(df, 1 - quantiles) / df)
    else:
        estimated = np.ones(1)
    room = margin / np.sqrt(variance) - stdtrit(df, 1 - ALPHA) * estimated
    return float(np.mean(2 * ndtr(np.maximum(room, 0)) - 1))


def needed(
    components: Sequence[Component], theirs: Sequence[Variance], margin: float, runs_like_ours: bool = False
) -> str:
    """In words, how many seeds or episodes would find two equal values to agree with a probability of 80%.

    From few seeds their variance is hardly known: the number is a range, from its 5% to its 95% bound. Arguments as for
    `compare`.
    """
    known = [*theirs]
    if runs_like_ours:
        known.append((components[0].variance * components[0].n, components[0].n - 1))
    for component in components:
        rest = [*known, *(other.of() for other in components if other != component)]
        counts = [_enough(component.at(quantile), rest, margin) for quantile in (0.95, 0.05)]
        if all(counts):
            low, high = (_two_digits(count) for count in counts)
            return f"{f'{low:,}' if low == high else f'{low:,} to {high:,}'} {component.units} would be enough"
        if counts[0]:
            return f"at least {_two_digits(counts[0]):,} {component.units} would be needed"
    if power(known, margin) >= POWER:
        return f"takes more {' and more '.join(component.units for component in components)}"
    return "the published value is too uncertain for any number of ours"


def _enough(component: Component, rest: Sequence[Variance], margin: float) -> int:
    """The fewest units that are enough, 0 where no number is."""
    more = range(component.n + 1, MOST)
    found = bisect_left(more, True, key=lambda n: power([component.of(n), *rest], margin) >= POWER)
    return more[found] if found < len(more) else 0


def _two_digits(n: int) -> int:
    """A plan is no more precise than that; rounded up."""
    unit = 10 ** max(0, len(str(n)) - 2)
    return -(-n // unit) * unit
