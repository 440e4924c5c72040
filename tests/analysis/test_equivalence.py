"""The verdicts, and simulations with a known truth: how often "agrees" and "differs" are wrong."""

import numpy as np
import pytest
from scipy import stats

from metagap.analysis.equivalence import (
    AGREES,
    CANNOT_TELL,
    DIFFERS,
    NORMAL,
    UNDECIDED,
    Source,
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
    return [Source("episodes", n, standard_error**2)]


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
    assert Spread.of("95% CI over episodes").part(1.96) == (pytest.approx(1, rel=1e-4), NORMAL)
    assert Spread.of("95% CI over 600 episodes").part(0.98) == (pytest.approx(0.25, rel=1e-4), 599)
    assert Spread.of("std over 4 seeds").part(2.0) == (1.0, 3)
    assert Spread.of("standard error over 4 seeds").part(2.0) == (4.0, 3)
    assert Spread.of("std over seeds").part(2.0) is None


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
        (0.5, 0.6, UNDECIDED, "1,900 episodes would be enough"),
        (1.5, 0.9, UNDECIDED, "4,200 episodes would be enough"),
        (0.5, 0.0, AGREES, "higher by less than the margin"),
        (1.5, 0.0, DIFFERS, "ours is higher"),
        (np.inf, np.nan, CANNOT_TELL, "the mean is not finite"),
        (0.5, np.nan, CANNOT_TELL, "too few episodes"),
    ],
)
def test_verdicts(difference, standard_error, verdict, remark):
    found = compare(7 + difference, episodes(standard_error), 7, None, 1.0)
    assert (found.verdict, found.remark) == (verdict, remark)
    assert found.difference == pytest.approx(difference)
    if np.isfinite(standard_error):
        half = stats.t.ppf(0.975, 599) * standard_error
        assert (found.low, found.high) == (pytest.approx(difference - half), pytest.approx(difference + half))


def test_published_uncertainty_counts():
    assert compare(8.0, episodes(0.1), 7, None, 0.5).verdict == DIFFERS
    wide = compare(8.0, episodes(0.1), 7, (1.0, NORMAL), 0.5)
    assert (wide.verdict, wide.remark) == (UNDECIDED, "the published ± is too wide for any number of ours")
    assert compare(7.0, episodes(0.1), 7, (0.01, 2), 1.0).verdict == AGREES


def test_what_it_takes_is_seeds_then_episodes_then_both():
    known = [(0.1**2, NORMAL)]
    few = [Source("seeds", 3, 0.5**2), Source("episodes", 600, 0.1**2)]
    assert needed(few, known, 1.0) == "9 seeds would be enough"
    assert (
        power([few[0].part(9), few[1].part(), *known], 1.0) >= 0.8 > power([few[0].part(8), few[1].part(), *known], 1.0)
    )
    many = [Source("seeds", 3, 0.05**2), Source("episodes", 600, 0.5**2)]
    assert needed(many, known, 1.0).endswith("episodes would be enough")
    both = [Source("seeds", 3, 0.5**2), Source("episodes", 600, 0.5**2)]
    assert needed(both, known, 1.0) == "takes more seeds and more episodes"
    assert needed(both, [(1.0, NORMAL)], 1.0) == "the published ± is too wide for any number of ours"
    assert needed(episodes(0.01), [], 1.0) == "610 episodes would be enough"  # bad luck: never fewer than there are


def test_needed_episodes_are_those_of_the_normal_formula():
    """Two equal values and many episodes: n = (z_0.95 + z_0.9)^2 variance / margin^2, here with two digits, up."""
    n = (stats.norm.ppf(0.95) + stats.norm.ppf(0.9)) ** 2 * 600 * 0.6**2
    assert 1800 < n < 1900 and needed(episodes(0.6), [], 1.0) == "1,900 episodes would be enough"


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


def simulate(rng, truth, seeds, published_sd, published_n, seed_sd=0.3, episode_sd=1.0, noise_sd=2.0, m=150):
    """Verdicts at a margin of one where the true difference is `truth`: other seeds and episodes in every repetition.

    One seed is a claim about that very run, so its luck counts into the truth.
    """
    verdicts = []
    for _ in range(REPETITIONS):
        a = seed_sd * rng.normal(size=(seeds, 1)) if seeds > 1 else np.zeros((1, 1))
        grid = truth + a + episode_sd * rng.normal(size=(1, m)) + noise_sd * rng.normal(size=(seeds, m))
        if published_n is None:  # an interval over many episodes
            published, spread = published_sd * rng.normal(), (published_sd**2, NORMAL)
        else:  # the mean of a few seeds with their standard deviation
            draws = published_sd * rng.normal(size=published_n)
            published, spread = draws.mean(), Spread("std", published_n, "seeds").part(draws.std(ddof=1))
        if seeds == 1:
            estimate, units = episodes_estimate([Term(grid)]), [("episodes", m)]
        else:
            estimate, units = crossed_estimate([Term(grid)]), [("seeds", seeds), ("episodes", m)]
        sources = [Source(name, n, part[0]) for (name, n), part in zip(units, estimate.parts, strict=True)]
        verdicts.append(compare(estimate.center, sources, published, spread, 1.0).verdict)
    return {verdict: verdicts.count(verdict) / REPETITIONS for verdict in set(verdicts)}


@pytest.mark.parametrize("seeds", [1, 3, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("published", [(0.02, None), (0.2, None), (0.3, 3)], ids=["sharp", "interval", "std"])
def test_a_margin_apart_is_called_the_same_in_at_most_one_of_twenty(seeds, published):
    shares = simulate(np.random.default_rng(2), 1.0, seeds, *published)
    assert shares.get(AGREES, 0) <= 0.05 + 0.02  # three Monte-Carlo standard errors
    assert shares.get(AGREES, 0) >= 0.01  # and the level is used


@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_values_differ_in_at_most_one_of_twenty(seeds):
    shares = simulate(np.random.default_rng(3), 0.0, seeds, 0.2, None)
    assert shares.get(DIFFERS, 0) <= 0.05
    assert shares[AGREES] > 0.5


def test_a_difference_of_several_margins_is_found():
    assert simulate(np.random.default_rng(4), 3.0, 5, 0.2, None)[DIFFERS] > 0.9
