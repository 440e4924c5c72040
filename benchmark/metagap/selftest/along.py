"""What a page says along meta-training, and how often that is false."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metagap.analysis.along import Checkpoints, gap_curves, openings, selection_costs
from metagap.analysis.along.openings import NEVER
from metagap.analysis.along.selection import COSTS
from metagap.analysis.grids import Grids
from metagap.selftest.claims import results_of
from metagap.selftest.worlds import GAUSSIAN, Split, World

FLAT = (0.0,) * 11
OPENS_AT = 6
OPENING = (0.0,) * OPENS_AT + (0.1,) * (len(FLAT) - OPENS_AT)
"""The gap at each of eleven checkpoints."""


class FalseClaims(NamedTuple):
    """How often a page of one algorithm and one domain is wrong.

    open: a gap that is zero at every checkpoint is said to open. together: the same by simultaneous intervals. early:
    one that opens is said to open at a checkpoint at which it was zero. costs: a rule is said to cost something where
    no checkpoint is better than another.
    """

    open: float
    together: float
    early: float
    costs: float


def false_claims(seeds: int, episodes: int, repeats: int) -> FalseClaims:
    """The shares of the repeats."""
    rng = np.random.default_rng([5, seeds, episodes])
    wrong = np.zeros((repeats, len(FalseClaims._fields)), bool)
    for repeat in range(repeats):
        flat, opening = (openings(gap_curves(made_up(rng, seeds, episodes, lost))) for lost in (FLAT, OPENING))
        costs = selection_costs(made_up(rng, seeds, episodes, FLAT, wander=0.0))
        wrong[repeat] = (
            (flat["verdict"] != NEVER).any(),
            flat["opens_together"].notna().any(),
            (opening["opens"] < OPENS_AT).any(),
            (costs["verdict"] == COSTS).any(),
        )
    return FalseClaims(*map(float, wrong.mean(axis=0)))


def made_up(
    rng: np.random.Generator, seeds: int, episodes: int, lost: Sequence[float], wander: float = 0.5
) -> Checkpoints:
    """The checkpoints of one algorithm at home and in a domain, in which it loses so much at each of them.

    The episodes are the same at all checkpoints. wander: the share of the variance of the runs that is not.
    """
    law = GAUSSIAN
    luck = law.episode_sd * rng.normal(size=(2, 1, episodes))
    runs, classes = law.seed_sd * rng.normal(size=(2, seeds, 1)), np.zeros((episodes, 0), int)
    found = {}
    for iteration, gap in enumerate(lost):
        own = law.seed_sd * rng.normal(size=(2, seeds, 1))
        scores = law.scores(rng, np.sqrt(1 - wander) * runs + np.sqrt(wander) * own + luck)
        home, away = (Split(law, luck[i, 0], classes, [scores[i] - i * gap]) for i in (0, 1))
        found[iteration] = Grids(results_of(World(law, [np.zeros(seeds)], home, [away])))
    return found
