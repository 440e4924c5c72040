"""Several terms over the same episodes, as one summand of a contrast."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from metagap.analysis.intervals import RESAMPLES, Array, Bounds, Term, resampled


class Joint(NamedTuple):
    """Terms of the same episodes as one summand: the sum of weight * term, of weights that add up to zero.

    Every side is taken relative to the first one, so that equal sides give exactly zero.
    """

    sides: tuple[tuple[float, Term], ...]

    @property
    def n_episodes(self) -> int:
        """M, the number of episodes."""
        return self.sides[0][1].n_episodes

    @property
    def is_score(self) -> bool:
        """It is a difference."""
        return False

    def bounds(self, of_score: Bounds) -> Bounds:
        """The least and the greatest value, from those of a score."""
        ends = [term._replace(weight=weight * term.weight).bounds(of_score) for weight, term in self._counting]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    @property
    def _counting(self) -> list[tuple[float, Term]]:
        return [side for side in self.sides if side[0]]

    def per_seed(self, statistic: str) -> Array:
        """The summand of every seed, shape (S,)."""
        first = self.sides[0][1].per_seed(statistic)
        with np.errstate(invalid="ignore"):
            return np.sum([weight * (term.per_seed(statistic) - first) for weight, term in self._counting], axis=0)

    def episode_covariance(self, statistic: str, resamples: int = RESAMPLES, seed: int = 0) -> Array:
        """Covariance of `per_seed` under new episodes shared by all seeds and sides, shape (S, S)."""
        seeds = len(self.sides[0][1].values)
        if self.n_episodes < 2:
            return np.full((seeds, seeds), np.nan)

        def of(term: Term) -> Array:
            """(S, M) of the mean; else (R, S) of resamples that are the same for all sides."""
            if statistic == "mean":
                values = term.values if term.minus is None else term.values - term.minus
            else:
                values = resampled(term.values, statistic, resamples, seed)
                values = values if term.minus is None else values - resampled(term.minus, statistic, resamples, seed)
            return term.weight * values

        with np.errstate(invalid="ignore"):
            first = of(self.sides[0][1])
            total = np.sum([weight * (of(term) - first) for weight, term in self._counting], axis=0)
            if statistic == "mean":
                return np.atleast_2d(np.cov(total) / self.n_episodes)
            return np.atleast_2d(np.cov(total.T) * self.n_episodes / (self.n_episodes - 1))
