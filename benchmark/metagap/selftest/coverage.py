"""Every interval that a page shows, and how often it holds the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from metagap.analysis.classes import over_classes
from metagap.analysis.comparisons import probability_of_improvement
from metagap.analysis.gaps.table import log_ratio
from metagap.analysis.intervals import (
    CROSSED,
    Interval,
    Term,
    crossed,
    crossed_estimate,
    domains_estimate,
    headline,
    over_episodes,
    over_seeds,
)
from metagap.selftest.worlds import GAUSSIAN, LOST, Law, Setting, World

Found = tuple[Interval, float]
"""An interval, and the truth that it is about."""


class Procedure(NamedTuple):
    """One interval of the page.

    Attributes:
        name: of what it is about.
        new: what is new when the truth is met again: what the interval resamples.
        find: world -> the interval of one draw, and the truth.
        laws: those that it is claimed for; none: all.
        setting: of the world.
        allowed: the least and the greatest coverage that is claimed.
    """

    name: str
    new: str
    find: Callable[[World], Found]
    laws: tuple[Law, ...] = ()
    setting: Setting = Setting()
    allowed: tuple[float, float] = (0.93, 0.97)


def _score(world: World) -> Found:
    law = world.law
    return headline([Term(world.home.scores[0])], bounds=law.bounds), float(law.mean())


def _score_seeds(world: World) -> Found:
    law = world.law
    truth = law.mean(world.home.effects, np.hypot(law.seed_sd, law.noise_sd)).mean()
    return over_seeds(world.home.scores[0], bounds=law.bounds), float(truth)


def _score_episodes(world: World) -> Found:
    law = world.law
    truth = law.mean(world.seeds[0], np.hypot(law.episode_sd, law.noise_sd)).mean()
    return over_episodes(world.home.scores[0], bounds=law.bounds), float(truth)


def _score_classes(world: World) -> Found:
    """For these runs; their effects are what they are."""
    law = world.law
    return over_classes(world.home.scores[0], world.home.classes), law.center + float(world.seeds[0].mean())


def _average(world: World) -> Found:
    weight = 1 / len(world.domains)
    terms = [Term(domain.scores[0], weight=weight) for domain in world.domains]
    return headline(terms, bounds=world.law.bounds), _mean_of_domains(world)


def _gap(world: World) -> Found:
    terms = [Term(world.home.scores[0]), Term(world.domains[0].scores[0], weight=-1.0)]
    return headline(terms, bounds=world.law.bounds), float(world.law.mean() - world.domains[0].law.mean())


def _average_gap(world: World) -> Found:
    return headline(_gap_terms(world), bounds=world.law.bounds), float(world.law.mean()) - _mean_of_domains(world)


def _domains(world: World) -> Found:
    """The truth is that of domains like these: the mean of normal shifts is nothing, for the Gaussian law."""
    interval = domains_estimate(_gap_terms(world), len(world.domains)).interval("domains", len(world.domains))
    return interval, LOST


def _difference(world: World) -> Found:
    a, b = world.home.scores
    return headline([Term(a, b)], bounds=world.law.bounds), 0.0


def _gap_difference(world: World) -> Found:
    a, b = world.home.scores
    weight = -1 / len(world.domains)
    terms = [Term(a, b), *(Term(domain.scores[0], domain.scores[1], weight) for domain in world.domains)]
    return headline(terms, bounds=world.law.bounds), 0.0


def _ratio(world: World) -> Found:
    center, terms = log_ratio(_gap_terms(world), "mean", 1.0)
    truth = (1 - _mean_of_domains(world)) / (1 - float(world.law.mean()))
    return crossed_estimate(terms)._replace(center=center).interval(CROSSED, 0), float(np.log(truth))


def _improvement(world: World) -> Found:
    a, b = world.home.scores
    return probability_of_improvement(a.mean(axis=1) - b.mean(axis=1)), 0.5


def _gap_terms(world: World) -> list[Term]:
    weight = -1 / len(world.domains)
    return [Term(world.home.scores[0]), *(Term(domain.scores[0], weight=weight) for domain in world.domains)]


def _mean_of_domains(world: World) -> float:
    return float(np.mean([domain.law.mean() for domain in world.domains]))


RUNS_AND_EPISODES = "runs, episodes"
PROCEDURES = (
    Procedure("score", RUNS_AND_EPISODES, _score),
    Procedure("score", "runs", _score_seeds),
    Procedure("score", "episodes", _score_episodes),
    Procedure("score", "episodes, classes", _score_classes, (GAUSSIAN,), Setting(class_sd=0.02), (0.92, 0.98)),
    Procedure("average score over the domains", RUNS_AND_EPISODES, _average),
    Procedure("gap", RUNS_AND_EPISODES, _gap),
    Procedure("average gap", RUNS_AND_EPISODES, _average_gap),
    Procedure("average gap", "runs, episodes, domains", _domains, (GAUSSIAN,), Setting(5, 0.05), (0.93, 0.98)),
    Procedure("error ratio", RUNS_AND_EPISODES, _ratio),
    Procedure("difference of scores", RUNS_AND_EPISODES, _difference),
    Procedure("difference of gaps", RUNS_AND_EPISODES, _gap_difference),
    Procedure("P(a > b)", "runs", _improvement),
)


def coverage(law: Law, seeds: int, episodes: int, repeats: int, seed: int = 0) -> list[tuple[Procedure, float]]:
    """The share of repeats in which each interval that is claimed for this law held the truth."""
    rng = np.random.default_rng([seed, seeds, episodes])
    chosen = [one for one in PROCEDURES if not one.laws or law in one.laws]
    held = dict.fromkeys(chosen, 0)
    for _ in range(repeats):
        worlds = {one: World.draw(rng, law, seeds, episodes, setting=one) for one in {p.setting: 0 for p in chosen}}
        for one in chosen:
            interval, truth = one.find(worlds[one.setting])
            held[one] += interval.low <= truth <= interval.high
    return [(one, count / repeats) for one, count in held.items()]


def robust_coverage(seeds: int, episodes: int, repeats: int) -> list[tuple[str, float]]:
    """The same for the interquartile mean of errors with a heavy tail, by what is new."""
    rng = np.random.default_rng([4, seeds, episodes])
    seed_sd, episode_sd, noise_sd = 0.15, 1.0, 0.5
    spread, quartile = np.hypot(episode_sd, noise_sd), float(ndtri(0.75))
    # of a log-normal between its quartiles; the effect of a run multiplies it
    center = np.exp(spread**2 / 2) * (ndtr(quartile - spread) - ndtr(-quartile - spread)) / 0.5
    held = {RUNS_AND_EPISODES: 0, "episodes": 0}
    for _ in range(repeats):
        runs = seed_sd * rng.normal(size=(seeds, 1))
        noise = episode_sd * rng.normal(size=(1, episodes)) + noise_sd * rng.normal(size=(seeds, episodes))
        scores = -np.exp(runs + noise)
        for new, interval, truth in (
            (RUNS_AND_EPISODES, crossed(scores, "iqm"), -center * np.exp(seed_sd**2 / 2)),
            ("episodes", over_episodes(scores, "iqm"), -center * np.exp(runs).mean()),
        ):
            held[new] += interval.low <= truth <= interval.high
    return [(new, count / repeats) for new, count in held.items()]
