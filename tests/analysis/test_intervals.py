import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metagap.analysis.intervals import (
    STATISTICS,
    Estimate,
    Interval,
    Term,
    crossed,
    crossed_estimate,
    domains_estimate,
    episodes_estimate,
    over_disjoint_tasks,
    over_episodes,
    over_seeds,
    resampled,
    seeds_estimate,
    summarise,
)


def iqm(values, axis=-1):
    return stats.trim_mean(values, 0.25, axis=axis)


SCIPY = {"mean": np.mean, "median": np.median, "iqm": iqm}


@pytest.mark.parametrize("interval", [over_episodes, over_disjoint_tasks])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_mean_over_episodes_is_students_t(rng, interval, level):
    values = rng.normal(size=40)
    found = interval(values, level=level)
    low, high = stats.t.interval(level, 39, values.mean(), stats.sem(values))
    assert found[:3] == pytest.approx((values.mean(), low, high))
    assert found.n == 40 and found.half == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_seeds_is_students_t_over_per_seed_statistics(rng, statistic):
    values = rng.normal(size=(4, 31))
    per_seed = SCIPY[statistic](values, axis=1)
    found = over_seeds(values, statistic)
    low, high = stats.t.interval(0.95, 3, per_seed.mean(), stats.sem(per_seed))
    assert found[:3] == pytest.approx((per_seed.mean(), low, high))
    assert (found.kind, found.n) == ("seeds", 4)


def test_the_kinds_have_their_names(rng):
    values = rng.normal(size=(3, 20))
    kinds = [f(values).kind for f in (over_episodes, over_seeds, crossed, over_disjoint_tasks)]
    assert kinds == ["episodes", "seeds", "crossed", "disjoint tasks"]


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("m", [1, 2, 3, 4, 5, 30, 31])
def test_summaries_are_those_of_scipy_and_numpy(rng, statistic, m):
    values = rng.normal(size=(2, m))
    assert summarise(values, statistic) == pytest.approx(SCIPY[statistic](values, axis=1))


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("worst", [-5.0, -np.inf])
@pytest.mark.parametrize("m", [6, 7])
def test_resampled_statistics_are_those_of_the_written_out_samples(rng, statistic, worst, m):
    values = rng.normal(size=(2, m))
    values[0, 2] = worst
    found = resampled(values, statistic, resamples=50, seed=3)
    draws = np.random.default_rng(3).integers(m, size=(50, m))
    assert found == pytest.approx(np.stack([SCIPY[statistic](values[:, draw], axis=1) for draw in draws]))


@pytest.mark.parametrize("statistic", ["median", "iqm"])
def test_percentile_bootstrap_agrees_with_scipy(rng, statistic):
    values = rng.exponential(size=200)
    found = over_episodes(values, statistic, resamples=20_000)
    theirs = stats.bootstrap(
        (values,), SCIPY[statistic], n_resamples=20_000, method="percentile", batch=2000, rng=rng
    ).confidence_interval
    assert found.center == pytest.approx(SCIPY[statistic](values))
    width = theirs.high - theirs.low
    assert found.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert found.high == pytest.approx(theirs.high, abs=0.05 * width)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_several_seeds_are_averaged_before_the_episodes_interval(rng, statistic):
    values = rng.normal(size=(3, 50)) + rng.normal(size=50)
    found = over_episodes(values, statistic)
    assert found.center == pytest.approx(SCIPY[statistic](values, axis=1).mean())
    assert found.n == 50
    if statistic == "mean":
        assert found.half == pytest.approx(stats.t.ppf(0.975, 49) * stats.sem(values.mean(axis=0)))


@pytest.mark.parametrize("interval", [over_episodes, crossed])
def test_same_seed_same_interval(rng, interval):
    values = rng.normal(size=(3, 40))
    assert interval(values, "iqm", seed=1) == interval(values, "iqm", seed=1)
    assert interval(values, "iqm", seed=1) != interval(values, "iqm", seed=2)


def test_one_seed_has_no_interval_over_seeds_and_says_so(rng):
    values = rng.normal(size=(1, 40))
    for found, kind in [
        (over_seeds(values), "seeds not sampled"),
        (crossed(values), "crossed, seeds not sampled"),
    ]:
        assert found.center == pytest.approx(values.mean())
        assert np.isnan([found.low, found.high, found.half]).all()
        assert (found.kind, found.n) == (kind, 1)


def test_one_episode_has_no_interval_over_episodes():
    found = over_episodes([0.5])
    assert found.center == 0.5 and np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("interval", [over_episodes, over_seeds, crossed, over_disjoint_tasks])
@pytest.mark.parametrize(("bad", "mean"), [(np.inf, np.inf), (-np.inf, -np.inf), (np.nan, np.nan)])
def test_a_broken_episode_is_not_dropped(rng, interval, bad, mean):
    values = rng.normal(size=(3, 40))
    values[1, 7] = bad
    found = interval(values)
    assert found.center == pytest.approx(mean, nan_ok=True)
    assert (found.low, found.high, found.half) == (-np.inf, np.inf, np.inf)


@pytest.mark.parametrize("interval", [over_episodes, over_seeds, crossed])
@pytest.mark.parametrize("statistic", ["median", "iqm"])
def test_order_statistics_do_not_drop_nan(rng, interval, statistic):
    values = rng.normal(size=(3, 100))
    values[2, 3] = np.nan
    found = interval(values, statistic)
    assert np.isnan(found.center) and found.half == np.inf


@pytest.mark.parametrize("interval", [over_episodes, over_seeds, crossed])
def test_order_statistics_survive_a_few_infinities(rng, interval):
    values = rng.normal(size=(3, 100))
    values[:, :5] = -np.inf
    for statistic in ("median", "iqm"):
        found = interval(values, statistic)
        assert np.isfinite(found[:3]).all() and found.low < found.center < found.high


def test_resamples_with_too_many_infinities_have_an_unbounded_end():
    values = np.r_[np.full(24, -np.inf), np.linspace(0, 1, 76)]
    found = over_episodes(values, "iqm")
    assert np.isfinite([found.center, found.high]).all() and found.low == -np.inf


@pytest.mark.parametrize("values", [[], [[]], np.zeros((2, 2, 2))])
def test_shapes_are_checked(values):
    with pytest.raises(ValueError, match="shape"):
        over_episodes(values)


def test_statistics_are_checked():
    with pytest.raises(ValueError, match="'mode' is not one of mean, median, iqm"):
        over_seeds(np.ones((3, 3)), "mode")


def test_bootstrap_covariance_of_the_mean_is_its_closed_form(rng):
    values = rng.normal(size=(3, 60)) + rng.normal(size=60)
    draws = resampled(values, "mean", resamples=20_000)
    bootstrap = np.cov(draws.T) * 60 / 59
    assert Term(values).episode_covariance("mean") == pytest.approx(bootstrap, rel=0.05)


def test_crossed_variance_by_hand():
    values = np.array([[1.0, 2.0, 6.0], [3.0, 2.0, 10.0]])
    seeds = 2.0 / 2  # per-seed means 3 and 5: variance 2, over 2 seeds
    shared = (-2 * -2 + -1 * -3 + 3 * 5) / 2 / 3  # the sample covariance of the two rows, over 3 episodes
    found = crossed_estimate([Term(values)])
    assert found.center == 4 and np.array(found.parts) == pytest.approx(np.array([(seeds, 1), (shared, 2)]))


def test_episodes_that_pull_seeds_apart_add_nothing():
    values = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.5]])
    assert crossed_estimate([Term(values)]).parts[1] == (0.0, 2)


def test_independent_terms_add_their_variances(rng):
    a, b = rng.normal(size=(1, 30)), rng.normal(size=(1, 50))
    found = episodes_estimate([Term(a), Term(b, weight=-0.5)])
    assert found.center == pytest.approx(a.mean() - b.mean() / 2)
    assert found.variance == pytest.approx(a.var(ddof=1) / 30 + b.var(ddof=1) / 50 / 4)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_paired_terms_share_their_episodes(rng, statistic):
    episodes = 10 * rng.normal(size=(1, 60))
    found = episodes_estimate([Term(episodes + 1, minus=episodes)], statistic)
    assert found.center == pytest.approx(1) and found.variance == pytest.approx(0, abs=1e-20)


def test_per_seed_terms_are_combined_before_the_t_interval(rng):
    a, b = rng.normal(size=(4, 30)), rng.normal(size=(4, 50))
    per_seed = a.mean(axis=1) - b.mean(axis=1)
    found = seeds_estimate([Term(a), Term(b, weight=-1)])
    assert found.center == pytest.approx(per_seed.mean())
    assert found.parts[0] == pytest.approx((per_seed.var(ddof=1) / 4, 3))
    assert found.p_value() == pytest.approx(stats.ttest_1samp(per_seed, 0).pvalue)


@given(
    center=st.floats(-5, 5),
    seeds=st.floats(0.01, 4),
    shared=st.floats(0, 4),
    n=st.integers(2, 10),
    level=st.sampled_from([0.8, 0.95, 0.99]),
)
def test_an_interval_excludes_zero_exactly_when_p_is_small(center, seeds, shared, n, level):
    estimate = Estimate(center, ((seeds, n - 1), (shared, 99)))
    found = estimate.interval("any", n, level)
    p = estimate.p_value()
    if abs(p - (1 - level)) > 1e-9:
        assert (p < 1 - level) == (not found.low <= 0 <= found.high)


def test_without_variance_and_bounds_nothing_follows():
    estimate = Estimate(0.3, ((0.0, 2), (0.0, 9)), episodes=100)
    assert estimate.p_value() == 1
    assert estimate.interval("any", 3) == Interval(0.3, -np.inf, np.inf, "any", 3)


@pytest.mark.parametrize("n", [10, 600])
def test_a_perfect_score_has_the_interval_of_clopper_and_pearson(n):
    for found in (over_episodes(np.ones((1, n)), bounds=(0, 1)), crossed(np.ones((3, n)), bounds=(0, 1))):
        exact = stats.binomtest(n, n).proportion_ci(method="exact")
        assert (found.center, found.low, found.high) == pytest.approx((1, exact.low, 1))
    none = over_episodes(np.zeros((1, n)), bounds=(0, 1))
    assert none.high == pytest.approx(stats.binomtest(0, n).proportion_ci(method="exact").high)


def test_a_constant_difference_is_significant_as_far_as_its_episodes_go():
    """Equal in every episode by 0.5: another episode could be -1 at worst."""
    for n in (3, 5, 50):
        found = crossed_estimate([Term(np.full((3, n), 0.8), np.full((3, n), 0.3))], bounds=(0, 1))
        p = found.p_value()
        assert 0 < p <= 1 and found.bounds == (-1, 1)
        interval = found.interval("any", 3)
        assert (p < 0.05) == (interval.low > 0) and interval.low < 0.5 < interval.high
    assert p < 1e-6


@pytest.mark.parametrize("level", [0.03, 0.5, 0.97, 0.999])
def test_scores_stay_within_their_bounds(rng, level):
    values = np.clip(level + rng.normal(0, 0.05, (3, 1)) + rng.normal(0, 0.1, (3, 30)), 0, 1)
    plain = crossed(values)
    for found in (f(values, bounds=(0, 1)) for f in (crossed, over_seeds, over_episodes, over_disjoint_tasks)):
        assert 0 <= found.low < found.center < found.high <= 1
    estimate = crossed_estimate([Term(values)], bounds=(0, 1))
    odds = np.log(estimate.center / (1 - estimate.center))
    half = plain.half / (estimate.center * (1 - estimate.center))  # the delta method
    ends = 1 / (1 + np.exp(-np.array([odds - half, odds + half])))
    assert estimate.interval("any", 3)[1:3] == pytest.approx(tuple(ends))
    percent = crossed(100 * values, bounds=(0, 100))
    assert percent[:3] == pytest.approx(tuple(100 * end for end in estimate.interval("any", 3)[:3]))


def test_one_bound_cuts_the_interval(rng):
    values = -rng.exponential(size=(3, 8))
    plain, cut = crossed(values), crossed(values, bounds=(-np.inf, 0))
    assert plain.high > 0 and (cut.low, cut.high) == (plain.low, 0)


def test_the_bounds_of_a_difference_leave_its_interval_alone(rng):
    terms = [Term(rng.random((3, 20))), Term(rng.random((3, 30)), weight=-1.0)]
    assert crossed_estimate(terms, bounds=(0, 1)).bounds == (-1, 1)
    assert crossed_estimate(terms, bounds=(0, 1)).interval("any", 3) == crossed_estimate(terms).interval("any", 3)


def test_domains_are_a_sample_by_hand(rng):
    """home - mean of the domains; the domains' spread holds their episodes, the seeds and home are shared."""
    home, away = rng.normal(size=(4, 30)), rng.normal(size=(3, 4, 50)) + rng.normal(size=(3, 1, 1))
    terms = [Term(home), *(Term(one, weight=-1 / 3) for one in away)]
    found = domains_estimate(terms, 3)
    per_domain = home.mean(axis=1)[:, None] - away.mean(axis=2).T  # (seeds, domains)
    assert found.center == pytest.approx(per_domain.mean())
    assert found.parts[0] == pytest.approx((per_domain.mean(axis=0).var(ddof=1) / 3, 2))
    covariance = np.cov(per_domain.T)
    shared = (covariance.sum() - np.trace(covariance)) / 6 / 4
    assert found.parts[1] == pytest.approx((max(shared, 0), 3))
    assert found.parts[2] == pytest.approx(crossed_estimate([Term(home)]).parts[1]) and len(found.parts) == 3
    one = domains_estimate([Term(home[:1]), *(Term(a[:1], weight=-1 / 3) for a in away)], 3)
    assert [df for _, df in one.parts] == [2, 29]
    with pytest.raises(ValueError, match="two"):
        domains_estimate(terms, 1)
