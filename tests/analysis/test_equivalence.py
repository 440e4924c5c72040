"""The verdicts, and simulations with a known truth: how often "agrees" and "differs" are wrong."""

import re

import numpy as np
import pytest
from scipy import stats

from metagap.analysis.equivalence import (
    AGREES,
    CANNOT_TELL,
    DIFFERS,
    NORMAL,
    UNDECIDED,
    Component,
    Spread,
    compare,
    needed,
    p_value,
    power,
)
from metagap.analysis.intervals import Estimate, Term, crossed_estimate, episodes_estimate
from metagap.metrics import Margin

REPETITIONS = 1000


def episodes(standard_error, n=600):
    return [Component("episodes", n, standard_error**2)]


@pytest.mark.parametrize(
    ("kind", "spread"),
    [
        ("95% CI over episodes", Spread("95% CI", None, "episodes")),
        ("95% CI over 10,000 episodes", Spread("95% CI", 10000, "episodes")),
        ("std over 3 seeds", Spread("std", 3, "seeds")),
        ("standard error over 5 seeds", Spread("standard error", 5, "seeds")),
        ("std over 100 batches of episodes", Spread("std", 100, "batches of episodes")),
        ("not stated", None),
        ("over episodes", None),
        (None, None),
    ],
)
def test_kinds_in_words(kind, spread):
    assert Spread.of(kind) == spread
    assert spread is None or str(spread) == kind


def test_published_standard_errors_follow_from_the_kind():
    assert Spread.of("95% CI over episodes").variance(1.96) == (pytest.approx(1, rel=1e-4), NORMAL)
    assert Spread.of("95% CI over 600 episodes").variance(0.98) == (pytest.approx(0.25, rel=1e-4), 599)
    assert Spread.of("std over 4 seeds").variance(2.0) == (1.0, 3)
    assert Spread.of("standard error over 4 seeds").variance(2.0) == (4.0, 3)
    assert Spread.of("std over seeds").variance(2.0) is None


def test_margins():
    assert Margin(0.01).around(0.5) == 0.01
    assert Margin(0.1, relative=True).around(0.5) == 0.05


@pytest.mark.parametrize("center", [-0.4, 0.0, 0.7, 1.3])
def test_the_test_is_schuirmanns(center):
    """Against two one-sided t tests on the episodes themselves."""
    sample = np.random.default_rng(0).normal(size=50)
    sample += center - sample.mean()
    estimate = episodes_estimate([Term(sample[None])])
    lower = stats.ttest_1samp(sample, -1, alternative="greater").pvalue
    upper = stats.ttest_1samp(sample, 1, alternative="less").pvalue
    assert p_value(estimate, 1.0) == pytest.approx(max(lower, upper))


@pytest.mark.parametrize(
    ("difference", "standard_error", "verdict", "remark"),
    [
        (0.0, 0.4, AGREES, ""),
        (0.3, 0.1, AGREES, "higher by less than the margin"),
        (-0.3, 0.1, AGREES, "lower by less than the margin"),
        (0.9, 0.2, DIFFERS, "ours is higher"),
        (-2.0, 0.5, DIFFERS, "ours is lower"),
        (0.5, 0.6, UNDECIDED, ""),
        (1.5, 0.9, UNDECIDED, ""),
        (np.inf, np.nan, CANNOT_TELL, "the mean is not finite"),
        (0.5, np.nan, CANNOT_TELL, "too few episodes"),
    ],
)
def test_verdicts(difference, standard_error, verdict, remark):
    found = compare(7 + difference, episodes(standard_error), 7, [], 1.0)
    assert (found.verdict, found.remark) == (verdict, remark)
    assert found.difference == pytest.approx(difference)
    if np.isfinite(standard_error):
        half = stats.t.ppf(0.975, 599) * standard_error
        assert (found.low, found.high) == (pytest.approx(difference - half), pytest.approx(difference + half))


@pytest.mark.parametrize(("published", "verdict"), [(0.99, AGREES), (0.989, DIFFERS), (0.995, UNDECIDED)])
def test_a_perfect_run_is_judged_by_its_number_of_episodes(published, verdict):
    perfect = [Component("seeds", 3, 0.0), Component("episodes", 600, 0.0)]
    found = compare(1.0, perfect, published, [], 0.02 if verdict == AGREES else 0.0051, bounds=(0, 1))
    assert found.verdict == verdict
    assert compare(1.0, perfect, 0.5, [], 0.02).verdict == UNDECIDED  # without bounds, nothing is known


def test_published_uncertainty_counts():
    assert compare(8.0, episodes(0.1), 7, [], 0.5).verdict == DIFFERS
    wide = compare(8.0, episodes(0.1), 7, [(1.0, NORMAL)], 0.5)
    assert wide.verdict == UNDECIDED
    assert compare(7.0, episodes(0.1), 7, [(0.01, 2)], 1.0).verdict == AGREES


def test_what_it_takes_is_seeds_then_episodes_then_both():
    known = [(0.1**2, NORMAL)]
    few = [Component("seeds", 3, 0.5**2), Component("episodes", 600, 0.1**2)]
    low, high = map(int, re.fullmatch(r"(\d+) to (\d+) seeds would be enough", needed(few, known, 1.0)).groups())
    for n, quantile in ((low, 0.95), (high, 0.05)):
        seeds = few[0].at(quantile)
        enough, fewer = (power([seeds.of(k), few[1].of(), *known], 1.0) >= 0.8 for k in (n, n - 1))
        assert enough and (n > 99 or not fewer)  # beyond, two digits are given
    many = [Component("seeds", 3, 0.05**2), Component("episodes", 600, 0.5**2)]
    assert needed(many, known, 1.0).endswith("episodes would be enough")
    both = [Component("seeds", 3, 0.5**2), Component("episodes", 600, 0.5**2)]
    assert needed(both, known, 1.0) == "takes more seeds and more episodes"
    assert needed(both, [(1.0, NORMAL)], 1.0) == "the published value is too uncertain for any number of ours"
    assert needed(episodes(0.01), [], 1.0) == "610 episodes would be enough"  # bad luck: never fewer than there are


def test_needed_episodes_are_those_of_the_normal_formula():
    """Two equal values and many episodes: n = (z_0.95 + z_0.9)^2 variance / margin^2, here with two digits, up."""
    n = (stats.norm.ppf(0.95) + stats.norm.ppf(0.9)) ** 2 * 600 * 0.6**2
    assert 1800 < n < 1900 and needed(episodes(0.6, 10**6), [], 1.0) != ""


@pytest.mark.parametrize(("variance", "df"), [(0.1, NORMAL), (0.1, 20), (0.05, 3)])
def test_power_is_how_often_equal_values_agree(variance, df):
    rng = np.random.default_rng(1)
    centers = rng.normal(0, np.sqrt(variance), REPETITIONS)
    estimated = variance * rng.chisquare(df, REPETITIONS) / df
    agrees = [p_value(Estimate(c, ((v, df),)), 1.0) <= 0.05 for c, v in zip(centers, estimated, strict=True)]
    assert power([(variance, df)], 1.0) == pytest.approx(np.mean(agrees), abs=0.035)
    assert 0.2 < np.mean(agrees) < 0.99


def test_power_without_variance_is_certain():
    assert power([], 1.0) == 1.0
    assert power([(0.0, 2)], 1.0) == 1.0


RUNS = [("episodes", None), ("none", None), ("std", 3), ("ci", 10)]
"""What is published: an interval over the episodes of one run, nothing, or one over several runs."""


def simulate(rng, truth, seeds, kind, n, seed_sd=0.3, episode_sd=1.0, noise_sd=2.0, m=150):
    """Verdicts at a margin of one where the true difference is `truth`: other runs and episodes in every repetition.

    The published runs vary as ours do; where one of them was published, the test has to assume it.
    """
    verdicts = []
    for _ in range(REPETITIONS):
        grid = truth + seed_sd * rng.normal(size=(seeds, 1)) + episode_sd * rng.normal(size=(1, m))
        grid = grid + noise_sd * rng.normal(size=(seeds, m))
        known = []
        if kind in ("std", "ci"):
            draws = seed_sd * rng.normal(size=n)
            published = draws.mean()
            half = draws.std(ddof=1) if kind == "std" else 1.96 * draws.std(ddof=1) / np.sqrt(n)
            known = [Spread("std" if kind == "std" else "95% CI", n, "seeds").variance(half)]
        else:
            error = 0.05 if kind == "episodes" else 0.0
            published = seed_sd * rng.normal() + error * rng.normal()
            known = [(error**2, NORMAL)] if error else []
        estimate, units = crossed_estimate([Term(grid)]), [("seeds", seeds), ("episodes", m)]
        components = [Component(name, n_, part[0]) for (name, n_), part in zip(units, estimate.parts, strict=True)]
        assumed = kind in ("episodes", "none")
        verdicts.append(compare(estimate.center, components, published, known, 1.0, runs_like_ours=assumed).verdict)
    return {verdict: verdicts.count(verdict) / REPETITIONS for verdict in set(verdicts)}


@pytest.mark.parametrize("seeds", [3, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("published", RUNS, ids=[kind for kind, _ in RUNS])
def test_a_margin_apart_is_called_the_same_in_at_most_one_of_twenty(seeds, published):
    shares = simulate(np.random.default_rng(2), 1.0, seeds, *published)
    assert shares.get(AGREES, 0) <= 0.05 + 0.02  # three Monte-Carlo standard errors


@pytest.mark.parametrize("seeds", [3, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("published", RUNS, ids=[kind for kind, _ in RUNS])
def test_equal_values_differ_in_at_most_one_of_twenty(seeds, published):
    shares = simulate(np.random.default_rng(3), 0.0, seeds, *published)
    assert shares.get(DIFFERS, 0) <= 0.05 + 0.02


def test_the_level_of_agreement_is_used():
    shares = simulate(np.random.default_rng(2), 1.0, 5, "none", None)
    assert shares.get(AGREES, 0) >= 0.01


def test_a_difference_of_several_margins_is_found():
    assert simulate(np.random.default_rng(4), 3.0, 5, "ci", 10)[DIFFERS] > 0.9
