"""Interquartile means and performance profiles, against their definitions and what is true in simulations."""

import numpy as np
import pytest
from scipy.stats import trim_mean

from metagap.analysis.aggregates import interquartile_mean, performance_profile


@pytest.fixture
def runs(rng):
    """Eight suites with five seeds each."""
    return rng.uniform(0.2, 0.9, size=(8, 1)) + 0.05 * rng.normal(size=(8, 5))


def test_values_are_those_of_the_definition(runs):
    """As rliable has them: scipy's trimmed mean of all runs, and the mean over suites of the shares above tau."""
    taus = np.linspace(0, 1, 21)
    found = interquartile_mean(list(runs))
    assert found.center == pytest.approx(trim_mean(runs, proportiontocut=0.25, axis=None), rel=1e-12)
    share, low, high = performance_profile(list(runs), taus)
    assert share == pytest.approx([np.mean([np.mean(suite > tau) for suite in runs]) for tau in taus], abs=1e-12)
    assert (low <= share + 1e-12).all() and (share <= high + 1e-12).all() and low.min() >= 0 and high.max() <= 1


def test_with_many_seeds_the_intervals_are_percentiles_of_the_stratified_bootstrap(rng):
    many = rng.uniform(0.2, 0.9, size=(6, 1)) + 0.1 * rng.normal(size=(6, 40))
    resamples = [np.stack([rng.choice(suite, size=40) for suite in many]) for _ in range(2000)]
    means = [trim_mean(one, proportiontocut=0.25, axis=None) for one in resamples]
    low, high = np.quantile(means, [0.025, 0.975])
    found = interquartile_mean(list(many))
    assert found.half == pytest.approx((high - low) / 2, rel=0.1)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.2 * found.half)
    low, high = np.quantile([(one > 0.5).mean() for one in resamples], [0.025, 0.975])
    _, below, above = performance_profile(list(many), np.array([0.5]))
    assert (*below, *above) == pytest.approx((low, high), abs=0.01)


def test_a_run_on_the_edge_counts_in_part():
    """Of six runs a quarter is one and a half: halves of the second and the fifth, and all of the two between."""
    found = interquartile_mean([np.array([0.0, 1.0, 2.0]), np.array([4.0, 8.0, 100.0])])
    assert found.center == pytest.approx((0.5 * 1 + 2 + 4 + 0.5 * 8) / 3)


def test_suites_weigh_the_same_whatever_their_seeds(rng):
    few, many = [np.array([0.2, 0.4]), np.array([0.6, 0.8])], [np.repeat([0.2, 0.4], 5), np.array([0.6, 0.8])]
    assert interquartile_mean(many).center == pytest.approx(interquartile_mean(few).center)
    share = performance_profile(many, np.array([0.5]))[0]
    assert share == pytest.approx([0.5])


def test_one_seed_has_no_interval():
    found = interquartile_mean([np.array([0.1]), np.array([0.2, 0.3])])
    assert np.isfinite(found.center) and np.isnan([found.low, found.high]).all()
    share, low, high = performance_profile([np.array([0.1]), np.array([0.2, 0.3])], np.array([0.15]))
    assert share == pytest.approx([0.5]) and np.isnan([*low, *high]).all()


def test_few_diverged_runs_are_cut():
    found = interquartile_mean([np.array([-np.inf, 0.5, 0.6, 0.7])] * 2)
    assert found.center == pytest.approx((0.5 + 0.6) / 2)


@pytest.mark.parametrize(
    ("suites", "seeds", "times"),
    [(5, 3, 200), *(pytest.param(*sizes, 600, marks=pytest.mark.slow) for sizes in ((3, 3), (5, 5), (10, 3), (10, 5)))],
)
def test_the_interval_of_the_iqm_covers(rng, suites, seeds, times):
    """New seeds of the same suites: of 600 times, the error of a share of 95% is 0.9%."""
    means, spreads = rng.uniform(0.2, 0.9, size=(suites, 1)), rng.uniform(0.01, 0.05, size=(suites, 1))
    population = np.sort(means + spreads * rng.normal(size=(suites, 50_000)), axis=None)
    truth = population[population.size // 4 : -population.size // 4].mean()
    found = [interquartile_mean(list(means + spreads * rng.normal(size=(suites, seeds)))) for _ in range(times)]
    share = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.91 <= share <= 0.995
