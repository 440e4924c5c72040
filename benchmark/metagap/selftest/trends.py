"""What the page of a sweep claims, and how often: where nothing changes with the values, and where it does."""

from __future__ import annotations

import dataclasses

import numpy as np

from metagap.analysis.intervals import CLAIMS_FROM
from metagap.analysis.power import POWER, Plan, sampled
from metagap.analysis.trends import WORDS, slope_weights, trends
from metagap.results import SweepResults
from metagap.selftest.claims import results_of
from metagap.selftest.worlds import Law, Split, World
from metagap.suite import Axis

AXIS = Axis(key="source.train_classes", values=[5, 10, 20, 40, 80], scale="log")
ALGORITHMS = 3
GAIN_SD = 0.5
"""How much what an episode gains from a value varies, in standard deviations of the noise of a single score."""


def made_up(
    rng: np.random.Generator, law: Law, seeds: int, episodes: int, slope: float = 0.0, algorithms: int = ALGORITHMS
) -> SweepResults:
    """A sweep over `AXIS` of equal algorithms on a home split and a domain, all values on the same episodes.

    slope: of the scores, per doubling, on the scale of the law.
    """
    x = np.log2(AXIS.values)
    difficulty = [law.episode_sd * rng.normal(size=episodes) for _ in range(2)]
    members = {}
    for value, place in zip(AXIS.values, x - x.mean(), strict=True):
        runs = [law.seed_sd * rng.normal(size=seeds) for _ in range(algorithms)]
        splits = []
        for effects in difficulty:
            gains = effects + slope * place + GAIN_SD * law.noise_sd * rng.normal(size=episodes)
            scores = [law.scores(rng, run[:, None] + gains) for run in runs]
            splits.append(Split(law, gains, np.zeros((episodes, 0), int), scores))
        found = results_of(World(law, runs, splits[0], splits[1:]))
        cells = found.cells.assign(hash=[f"{name} {value}" for name in found.cells["algorithm"]])
        met = {"home": "same", "domain 0": "same"}
        members[value,] = dataclasses.replace(found, cells=cells, episodes=found.recorded, met=met)
    return SweepResults((AXIS,), members)


def false_trends(law: Law, seeds: int, episodes: int, repeats: int) -> float:
    """The share of pages, of sweeps that change nothing, that claim any trend."""
    rng = np.random.default_rng([5, seeds, episodes])
    pages = (trends(made_up(rng, law, seeds, episodes), detectable=False).trends for _ in range(repeats))
    return float(np.mean([page["verdict"].isin([*WORDS[True], *WORDS[False]]).any() for page in pages]))


def found_slopes(law: Law, seeds: int, episodes: int, repeats: int, level: float = 0.05) -> tuple[float, float]:
    """How often the test of the slope finds one of the size that is said to be found with a probability of `POWER`,
    and how often its interval holds the slope; for a law of normal scores."""
    if law.queries or seeds < CLAIMS_FROM:
        raise ValueError("the power is that of normal scores, from three seeds on")
    weights = slope_weights(AXIS)
    size = float(np.sum(weights**2))
    gain = (GAIN_SD * law.noise_sd) ** 2
    plan = Plan(size * law.seed_sd**2, np.array([size * gain]), np.array([size * law.noise_sd**2]))
    slope = sampled(plan, seeds, episodes).detectable(POWER, level)
    rng = np.random.default_rng([6, seeds, episodes])
    found = held = 0
    for _ in range(repeats):
        rows = trends(made_up(rng, law, seeds, episodes, slope, algorithms=1), detectable=False).trends
        row = rows[(rows["what"] == "score") & (rows["split"] == "home")].iloc[0]
        found += row["p"] < level
        held += row["low"] <= slope <= row["high"]
    return found / repeats, held / repeats
