"""Simulations with a known truth: every claimed 95% interval covers between 93% and 97% of the time.

With 3000 repetitions the Monte-Carlo standard error at 95% is 0.4%, so that a procedure with exactly 95% fails a bound
of two points by chance less than once in a million times; the generators are seeded besides.
"""

import numpy as np
import pytest
from scipy.special import ndtr

from metagap.analysis.comparisons import holm, probability_of_improvement
from metagap.analysis.intervals import (
    Term,
    crossed,
    domains_estimate,
    headline,
    headline_estimate,
    over_disjoint_tasks,
    over_episodes,
    over_seeds,
    seeds_estimate,
)
from metagap.selftest.worlds import Law

REPETITIONS = 3000
SLOW = pytest.mark.slow


def draws(rng, repetitions, seeds, episodes, seed_sd, episode_sd, noise_sd=1.0):
    """Grids (repetitions, S, M) of mean 0: new seeds and new episodes in every repetition."""
    a = seed_sd * rng.normal(size=(repetitions, seeds, 1))
    b = episode_sd * rng.normal(size=(repetitions, 1, episodes))
    return a + b + noise_sd * rng.normal(size=(repetitions, seeds, episodes))


def coverage(intervals, truth=0.0):
    low, high = np.array([(i.low, i.high) for i in intervals]).T
    return np.mean((low <= truth) & (truth <= high))


def is_claimed(share):
    assert 0.93 <= share <= 0.97


def test_episodes_cover_new_episodes_of_one_run(rng):
    accuracies = rng.binomial(25, rng.beta(8, 4, size=(REPETITIONS, 60))) / 25
    is_claimed(coverage((over_episodes(row) for row in accuracies), 8 / 12))


@pytest.mark.parametrize("statistic", [pytest.param("median", marks=SLOW), "iqm"])
def test_episodes_cover_order_statistics_of_heavy_tails(rng, statistic):
    scores = -np.exp(1.5 * rng.normal(size=(REPETITIONS, 100)))
    if statistic == "median":
        truth = -1.0
    else:  # the mean of a log-normal between its quartiles
        z = 0.6744897501960817
        truth = -np.exp(1.5**2 / 2) * (ndtr(z - 1.5) - ndtr(-z - 1.5)) / 0.5
    is_claimed(coverage((over_episodes(row, statistic, resamples=400) for row in scores), truth))


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_seeds_cover_new_seeds_on_the_same_episodes(rng, seeds):
    episodes = rng.normal(size=50)
    grids = draws(rng, REPETITIONS, seeds, 50, seed_sd=0.3, episode_sd=0.0) + episodes
    is_claimed(coverage(map(over_seeds, grids), episodes.mean()))


@pytest.mark.parametrize("seeds", [3, *(pytest.param(seeds, marks=SLOW) for seeds in (4, 5, 10))])
@pytest.mark.parametrize(
    ("seed_sd", "episode_sd", "noise_sd"),
    [(0.0, 1.0, 1.0), (0.1, 1.0, 1.0), (0.3, 1.0, 1.0), (1.0, 1.0, 1.0), (0.2, 0.0, 1.0)],
)
def test_crossed_covers_new_seeds_and_new_episodes(rng, seeds, seed_sd, episode_sd, noise_sd):
    grids = draws(rng, REPETITIONS, seeds, 60, seed_sd, episode_sd, noise_sd)
    is_claimed(coverage(map(crossed, grids)))


@pytest.mark.parametrize("statistic", ["median", pytest.param("iqm", marks=SLOW)])
@pytest.mark.parametrize("seed_sd", [pytest.param(0.05, marks=SLOW), 0.3])
def test_crossed_covers_order_statistics(rng, statistic, seed_sd):
    grids = draws(rng, 1500, 4, 80, seed_sd, 0.5, 0.5)
    is_claimed(coverage(crossed(grid, statistic, resamples=200) for grid in grids))


def test_why_the_other_intervals_do_not_do(rng):
    """Shared episodes fool the seeds interval, few seeds the plain percentiles: that is what the correction is for."""
    grids = draws(rng, 500, 4, 60, seed_sd=0.1, episode_sd=1.0)
    assert coverage(map(over_seeds, grids)) < 0.8

    def percentiles(grid):
        rows = rng.integers(3, size=(300, 3, 1))
        columns = rng.integers(60, size=(300, 1, 60))
        return np.quantile(grid[rows, columns].mean(axis=(1, 2)), [0.025, 0.975])

    grids = draws(rng, 500, 3, 60, seed_sd=1.0, episode_sd=0.2)
    low, high = np.array([percentiles(grid) for grid in grids]).T
    assert np.mean((low <= 0) & (high >= 0)) < 0.85
    is_claimed(coverage(map(crossed, grids)))


def test_open_tasks_speak_about_the_data_and_closed_ones_about_the_sampler(rng):
    """A data set of 300 images drawn from a population of mean 0; an episode scores the mean of 5 of them."""
    repetitions = 1500
    images = rng.normal(size=(repetitions, 300))
    open_tasks = images.reshape(repetitions, 60, 5).mean(axis=2)
    drawn = rng.integers(300, size=(repetitions, 600, 5))
    closed = np.take_along_axis(images[:, None], drawn.reshape(repetitions, 1, -1), axis=2)
    closed = closed.reshape(repetitions, 600, 5).mean(axis=2)
    is_claimed(coverage(map(over_disjoint_tasks, open_tasks)))
    assert coverage(map(over_episodes, closed)) < 0.75
    on_this_data = [
        i.low <= truth <= i.high for i, truth in zip(map(over_episodes, closed), images.mean(axis=1), strict=True)
    ]
    is_claimed(np.mean(on_this_data))


@pytest.mark.parametrize("seeds", [1, 3, 5, 10])
def test_gaps_cover_the_true_gap(rng, seeds):
    """One seed: over new episodes of both splits. Several: over new seeds, which both splits share, as well."""
    of_seed = 0.3 * (seeds > 1) * rng.normal(size=(REPETITIONS, seeds, 1))
    home = of_seed + draws(rng, REPETITIONS, seeds, 40, 0.1 * (seeds > 1), 1.0)
    away = of_seed + draws(rng, REPETITIONS, seeds, 80, 0.2 * (seeds > 1), 1.5, 2.0)
    terms = ([Term(a), Term(b, weight=-1.0)] for a, b in zip(home, away, strict=True))
    is_claimed(coverage(map(headline, terms)))


def test_gaps_over_seeds_alone_cover_less_the_more_seeds_there_are(rng):
    shares = []
    for seeds in (3, 10):
        home, away = (draws(rng, 1000, seeds, 60, 0.1, 1.0) for _ in range(2))
        terms = [[Term(a), Term(b, weight=-1.0)] for a, b in zip(home, away, strict=True)]
        shares.append(coverage(seeds_estimate(one).interval("", seeds) for one in terms))
    assert shares[1] < shares[0] - 0.05 < 0.9


@pytest.mark.parametrize("domains", [3, 6])
@pytest.mark.parametrize("domain_sd", [0.3, 1.0])
def test_an_average_gap_covers_that_of_domains_like_these(rng, domains, domain_sd):
    repetitions, seeds = 1500, 3
    home = draws(rng, repetitions, seeds, 60, 0.1, 0.5)
    lucks = domain_sd * rng.normal(size=(domains, repetitions, 1, 1))
    away = [luck + draws(rng, repetitions, seeds, 60, 0.1, 0.5) for luck in lucks]
    terms = [[Term(home[r]), *(Term(one[r], weight=-1 / domains) for one in away)] for r in range(repetitions)]
    share = coverage(domains_estimate(one, domains).interval("", domains) for one in terms)
    assert 0.93 <= share <= 0.985  # a little wide where domains hardly differ


@pytest.mark.parametrize("level", [0.97, 0.993])
@pytest.mark.parametrize("seeds", [3, 10])
def test_bounded_scores_are_covered_near_the_ceiling(rng, level, seeds):
    grids, truth = bernoulli(rng, 1500, seeds, 200, level)
    is_claimed(coverage((crossed(grid, bounds=(0, 1)) for grid in grids), truth))


def test_almost_perfect_scores_are_never_certain(rng):
    """At 99.98%, runs of 200 episodes are often perfect: the interval must still hold the truth."""
    grids, truth = bernoulli(rng, 1500, 3, 200, 0.9998)
    found = [crossed(grid, bounds=(0, 1)) for grid in grids]
    assert np.mean([grid.min() == 1 for grid in grids]) > 0.02
    assert coverage(found, truth) >= 0.93 and all(one.low < one.high <= 1 for one in found)


def bernoulli(rng, repetitions, seeds, episodes, level):
    """Accuracies of episodes whose logits vary with seed, episode and both; and their mean over all of them."""
    law = Law("skewed", 0.0, seed_sd=0.2, episode_sd=0.8, noise_sd=0.3, queries=25).at(level)
    effects = draws(rng, repetitions, seeds, episodes, law.seed_sd, law.episode_sd, 0.0)
    return law.scores(rng, effects), level


def test_paired_gaps_of_one_seed_cover(rng):
    episodes = 3 * rng.normal(size=(REPETITIONS, 1, 40))
    left, right = (episodes + rng.normal(size=(REPETITIONS, 1, 40)) for _ in range(2))
    terms = ([Term(a, b)] for a, b in zip(left, right, strict=True))
    is_claimed(coverage(map(headline, terms)))


@pytest.mark.parametrize("seeds", [1, 3, pytest.param(5, marks=SLOW)])
@pytest.mark.parametrize("seed_sd", [0.0, 0.1, 0.5])
def test_equal_algorithms_are_told_apart_in_one_of_twenty(rng, seeds, seed_sd):
    """New seeds and episodes; how hard an episode is for each of the two algorithms is part of the luck."""
    shared = draws(rng, REPETITIONS, seeds, 60, 0.0, 2.0, 0.0)
    seed_sd *= seeds > 1  # one seed speaks about these two runs
    a, b = (shared + draws(rng, REPETITIONS, seeds, 60, seed_sd, 0.5) for _ in range(2))
    rate = np.mean([headline_estimate([Term(left, right)]).p_value() < 0.05 for left, right in zip(a, b, strict=True)])
    assert 0.03 <= rate <= 0.07


def test_holm_keeps_the_family_wise_error(rng):
    """Four equal algorithms, six pairs: uncorrected, some pair "differs" far too often."""
    repetitions = 1000
    runs = [draws(rng, repetitions, 5, 40, 0.2, 0.3) for _ in range(4)]
    p = np.array(
        [
            [headline_estimate([Term(runs[i][r], runs[j][r])]).p_value() for i in range(4) for j in range(i)]
            for r in range(repetitions)
        ]
    )
    assert np.mean(p.min(axis=1) < 0.05) > 0.1
    assert 0.01 <= np.mean([holm(row).min() < 0.05 for row in p]) <= 0.05 + 0.015


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("effect", [0.0, 0.5, 2.0])
def test_probability_of_improvement_covers(rng, seeds, effect):
    differences = effect + rng.normal(size=(REPETITIONS, seeds))
    is_claimed(coverage(map(probability_of_improvement, differences), ndtr(effect)))
