"""Made-up scores from a known truth: laws of episode scores, and grids of seeds and episodes drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from scipy.optimize import brentq
from scipy.special import expit

Array = np.ndarray
NODES, WEIGHTS = hermegauss(60)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class Law:
    """How scores vary: with the training run (seed), the episode, and both.

    Attributes:
        name: as it is printed.
        center: of the scores, on the scale where effects add up: the score itself, or the logit of an accuracy.
        seed_sd, episode_sd, noise_sd: standard deviations of the three normal effects.
        queries: 0: the score is the sum of the effects. Else the effects are the logit of the probability that a query
            is right, and the score is the share of these queries that are.
    """

    name: str
    center: float
    seed_sd: float
    episode_sd: float
    noise_sd: float
    queries: int = 0

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest score."""
        return (0.0, 1.0) if self.queries else (-np.inf, np.inf)

    def mean(self, effects: Array | float = 0.0, sd: float | None = None) -> Array:
        """The mean score where some effects are known and the rest are normal; default: no effect is known."""
        spread = np.sqrt(self.seed_sd**2 + self.episode_sd**2 + self.noise_sd**2) if sd is None else sd
        values = self.center + np.asarray(effects, dtype=float)
        return expit(values[..., None] + spread * NODES) @ WEIGHTS if self.queries else values

    def at(self, mean: float) -> Law:
        """The same law with another mean score."""
        if not self.queries:
            return Law(self.name, mean, self.seed_sd, self.episode_sd, self.noise_sd)

        def off(center: float) -> float:
            return float(Law(self.name, center, *self.sds, self.queries).mean()) - mean

        return Law(self.name, cast("float", brentq(off, -10, 40)), *self.sds, self.queries)

    @property
    def sds(self) -> tuple[float, float, float]:
        """The standard deviations of the three effects."""
        return self.seed_sd, self.episode_sd, self.noise_sd

    def scores(self, rng: np.random.Generator, effects: Array) -> Array:
        """Scores (S, M) around the sum of the effects of seeds and episodes, (S, M)."""
        values = self.center + effects + self.noise_sd * rng.normal(size=effects.shape)
        return rng.binomial(self.queries, expit(values)) / self.queries if self.queries else values


# Spreads as they were measured on the quickstart suite: in points, and as logits with 25 queries an episode.
GAUSSIAN = Law("Gaussian, 60%", 0.6, 0.015, 0.06, 0.05)
LAWS = (
    GAUSSIAN,
    Law("skewed, 97%", 0, 0.2, 0.8, 0.3, 25).at(0.97),
    Law("skewed, 99.3%", 0, 0.2, 0.8, 0.3, 25).at(0.993),
)
CEILING = Law("skewed, 99.98%", 0, 0.2, 0.8, 0.3, 25).at(0.9998)


LOST = 0.2
"""What a Gaussian score loses in a domain; of an accuracy the error is tripled there."""
WAYS, CLASSES = 5, 60
"""Classes of an episode and of a split."""


class Setting(NamedTuple):
    """What a world has besides its law: the number of domains, and how much domains and classes differ, as standard
    deviations on the scale of the law."""

    domains: int = 2
    domain_sd: float = 0.0
    class_sd: float = 0.0


class Split(NamedTuple):
    """The scores of some algorithms on one split: they meet the same episodes.

    effects: of these episodes, (M,). classes: of these episodes, (M, WAYS); (M, 0) where they do not differ. scores:
    (S, M) of each algorithm.
    """

    law: Law
    effects: Array
    classes: Array
    scores: list[Array]


@dataclass(frozen=True)
class World:
    """Some equal algorithms on a home split and some domains, drawn from one law.

    Attributes:
        law: of the home split.
        seeds: effects of each algorithm's runs, (S,) each, the same on all splits.
        home: the split at home.
        domains: the others, in which less is scored.
    """

    law: Law
    seeds: list[Array]
    home: Split
    domains: list[Split]

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        law: Law,
        seeds: int,
        episodes: int,
        algorithms: int = 2,
        setting: Setting | None = None,
    ) -> World:
        """New runs, new episodes, and new domains and classes where these differ."""
        setting = setting or Setting()
        of_seeds = [law.seed_sd * rng.normal(size=seeds) for _ in range(algorithms)]
        lost = law.at(float(law.mean()) - (LOST if not law.queries else 2 * (1 - float(law.mean()))))
        laws = [law]
        for _ in range(setting.domains):
            shift = setting.domain_sd * rng.normal()
            laws.append(Law(lost.name, lost.center + shift, *lost.sds, lost.queries))
        splits = []
        for one in laws:
            classes = np.zeros((episodes, 0), int)
            if setting.class_sd:
                classes = rng.permuted(np.tile(np.arange(CLASSES), (episodes, 1)), axis=1)[:, :WAYS]
            effects = one.episode_sd * rng.normal(size=episodes)
            effects = effects + (setting.class_sd * rng.normal(size=CLASSES))[classes].sum(axis=1)
            splits.append(Split(one, effects, classes, [one.scores(rng, a[:, None] + effects) for a in of_seeds]))
        return cls(law, of_seeds, splits[0], splits[1:])
