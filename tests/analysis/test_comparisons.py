from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from metagap.analysis.comparisons import (
    COLUMNS,
    all_pairs,
    compare,
    holm,
    probability_of_improvement,
)
from metagap.analysis.intervals import Estimate, hierarchical_bootstrap
from metagap.errors import UserError


@pytest.fixture
def two(bench, rng):
    """maml is better by 0.1 at home, and about the same away."""

    def make(seeds=5, gain=0.1):
        made = bench(steps={"maml": 5, "reptile": 8}).split("home", "in-distribution").split("away", "cross-domain")
        for split, plus in (("home", gain), ("away", 0.0)):
            base = rng.uniform(0.3, 0.7, size=60) + rng.normal(0, 0.005, size=(seeds, 1))
            made.add(split, base + plus + rng.normal(0, 0.02, size=(seeds, 60)))
            made.add(split, base + rng.normal(0, 0.02, size=(seeds, 60)), algorithm="reptile")
        return made

    return make


def grids(results, split):
    rows = results.episodes[results.episodes["split"] == split].sort_values(["seed", "episode"])
    return [
        rows[rows["algorithm"] == a].pivot(index="seed", columns="episode", values="query_score").to_numpy()
        for a in ("maml", "reptile")
    ]


def test_the_difference_is_paired_over_seeds_and_episodes(two, only):
    results = two().results()
    table = compare(results, "maml", "reptile")
    assert list(table.columns) == COLUMNS and table["split"].tolist() == ["home", "away"]
    a, b = grids(results, "home")
    row = only(table, split="home")
    expected = hierarchical_bootstrap(a - b)
    assert (row["difference"], row["low"], row["high"]) == pytest.approx(expected[:3])
    assert row["interval"] == "hierarchical bootstrap"
    assert (row["score_a"], row["score_b"]) == pytest.approx((a.mean(), b.mean()))
    assert row["episode_wins"] == pytest.approx((a > b).mean())
    assert (row["verdict"], row["seeds"], row["n_episodes"]) == ("maml better", 5, 60)
    assert row["p"] < 1e-4 and row["improvement"] > 0.99 and 0.5 < row["improvement_low"] < row["improvement_high"]
    row = only(table, split="away")
    assert row["verdict"] == "cannot tell" and row["low"] < 0 < row["high"]


def test_the_other_way_round_everything_is_mirrored(two, only):
    results = two().results()
    forth, back = (only(compare(results, *names, split="home")) for names in (("maml", "reptile"), ("reptile", "maml")))
    assert back["verdict"] == "maml better" and back["p"] == pytest.approx(forth["p"])
    assert (back["difference"], back["low"], back["high"]) == pytest.approx(
        (-forth["difference"], -forth["high"], -forth["low"])
    )
    assert back["improvement_low"] == pytest.approx(1 - forth["improvement_high"], abs=1e-6)
    assert back["episode_wins"] == pytest.approx(1 - forth["episode_wins"])


def test_one_seed_speaks_about_one_run(two, only):
    results = two(seeds=1).results()
    a, b = grids(results, "home")
    row = only(compare(results, "maml", "reptile", "home"))
    paired = stats.ttest_rel(a[0], b[0])
    assert row["p"] == pytest.approx(paired.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(paired.confidence_interval()))
    assert row["interval"] == "episodes, seeds not sampled" and row["verdict"] == "maml better in this one run"
    assert np.isnan([row["improvement"], row["improvement_low"], row["improvement_high"]]).all()


def test_many_seeds_can_show_a_difference_too_small_to_matter(bench, only, rng):
    made = bench(steps={"maml": 5, "reptile": 5}).split("home", "in-distribution")
    made.add("home", rng.normal(0.53, 0.1, size=(400, 1)) + rng.normal(0, 0.01, size=(400, 30)))
    made.add("home", rng.normal(0.50, 0.1, size=(400, 1)) + rng.normal(0, 0.01, size=(400, 30)), algorithm="reptile")
    row = only(compare(made.results(), "maml", "reptile"))
    assert row["p"] < 0.05 and 0.5 < row["improvement_low"] < row["improvement_high"] < 0.75
    assert row["verdict"] == "no meaningful difference"


def test_regression_compares_each_statistic_and_infinity_cannot_tell(bench, only, rng):
    good, bad = rng.exponential(1, (4, 50)), rng.exponential(5, (4, 50))
    bad[0, 0] = np.inf
    made = bench("regression", steps={"maml": 5, "reptile": 5}).split("sines", "in-distribution")
    table = compare(made.add("sines", -good).add("sines", -bad, algorithm="reptile").results(), "maml", "reptile")
    assert table["statistic"].tolist() == ["mean", "median", "iqm"]
    mean = only(table, statistic="mean")
    assert mean["difference"] == np.inf and np.isnan(mean["p"]) and mean["verdict"] == "cannot tell"
    assert (mean["improvement"], mean["improvement_low"], mean["improvement_high"]) == (1, 0, 1)
    assert only(table, statistic="median")["verdict"] == "maml better"
    assert only(table, statistic="iqm")["verdict"] == "maml better"


def test_an_algorithm_against_itself_cannot_be_told(two):
    table = compare(two().results(), "maml", "maml")
    assert (
        (table["verdict"] == "cannot tell").all() and (table["p"] == 1).all() and (table["episode_wins"] == 0.5).all()
    )
    assert (table["improvement"] == 0.5).all()


def test_unknown_names_are_told_what_there_is(two):
    results = two().results()
    with pytest.raises(UserError, match=r"'mamml'.*maml, reptile"):
        compare(results, "mamml", "reptile")
    with pytest.raises(UserError, match=r"'hom'.*home, away"):
        compare(results, "maml", "reptile", split="hom")


def test_no_shared_seeds(bench):
    made = bench(steps={"maml": 5, "reptile": 5}).split("home", "in-distribution")
    made.add("home", [[0.1, 0.2]], seeds=[0]).add("home", [[0.1, 0.2]], seeds=[1], algorithm="reptile")
    with pytest.raises(UserError, match=r"'maml' \(seeds 0\) and 'reptile' \(seeds 1\) share no seed"):
        compare(made.results(), "maml", "reptile")
    assert all_pairs(made.results()).empty


def test_all_pairs_correct_over_the_pairs_of_a_split(bench, only, rng):
    made = bench(steps=dict.fromkeys("abcd", 5)).split("home", "in-distribution").split("away", "cross-domain")
    for name, level in zip("abcd", (0.5, 0.5, 0.545, 0.7), strict=True):
        for split in ("home", "away"):
            made.add(split, level + rng.normal(0, 0.015, (5, 1)) + rng.normal(0, 0.05, (5, 40)), algorithm=name)
    results = made.results()
    table = all_pairs(results)
    assert len(table) == 2 * 6 and (table["family"] == 6).all()
    for _, family in table.groupby("split"):
        assert family["p_holm"].to_numpy() == pytest.approx(holm(family["p"].to_numpy()))
    row = only(table, a="a", b="d", split="away")
    plain = only(all_pairs(made.only("a", "d").results()), split="away")  # two algorithms: nothing to correct
    assert row["difference"] == plain["difference"] and row["p"] == plain["p"] == plain["p_holm"]
    strict = table["p_holm"] > 0.05
    assert (table.loc[strict, "verdict"] == "cannot tell").all()
    assert (table.loc[~strict, "verdict"] == table.loc[~strict, "b"] + " better").all() and (~strict).any()
    assert ((table["p"] < 0.05) & strict).any()  # the correction changes a verdict here


def test_compare_says_what_all_pairs_say_whichever_is_named_first(bench, only, rng):
    made = bench(steps=dict.fromkeys("abcd", 5)).split("home", "in-distribution")
    made.split("away", "cross-domain").split("far", "cross-domain")
    for name, level in zip("abcd", (0.5, 0.5, 0.53, 0.7), strict=True):
        for split in ("home", "away", "far"):
            made.add(split, level + rng.normal(0, 0.02, (4, 1)) + rng.normal(0, 0.05, (4, 30)), algorithm=name)
    results = made.results()
    table = all_pairs(results)
    for a, b in permutations("abcd", 2):
        found = compare(results, a, b)
        assert found["split"].tolist() == ["home", "away", "far", "average"]
        for row in found.to_dict("records"):
            same = only(table, a=min(a, b), b=max(a, b), split=row["split"])
            assert (row["verdict"], row["family"]) == (same["verdict"], same["family"])
            assert (row["p"], row["p_holm"]) == pytest.approx((same["p"], same["p_holm"]), rel=1e-9)
    changed = (table["p"] < 0.05) & (table["verdict"] == "cannot tell")
    assert changed.any()  # without the correction these would be "better"


def test_the_mean_over_the_domains_is_compared_as_well(bench, only, rng):
    """By hand: the per-seed means over the domains; the luck of the episodes of every domain is its own."""
    made = bench(steps={"maml": 5, "reptile": 5}).split("home", "in-distribution")
    made.split("near", "cross-domain").split("far", "cross-domain").split("other", "cross-domain", ways=10)
    scores = {split: rng.uniform(size=(2, 3, 40)) for split in ("home", "near", "far", "other")}
    for split, (a, b) in scores.items():
        made.add(split, a).add(split, b, algorithm="reptile")
    row = only(compare(made.results(), "maml", "reptile", "average"))
    near, far = (a - b for a, b in (scores["near"], scores["far"]))  # of 10 ways: not averaged
    per_seed = (near.mean(axis=1) + far.mean(axis=1)) / 2
    assert row["difference"] == pytest.approx(per_seed.mean()) and row["role"] == "cross-domain"
    shared = [(np.cov(d).sum() - np.trace(np.cov(d))) / 6 / 40 / 4 for d in (near, far)]
    parts = ((per_seed.var(ddof=1) / 3, 2), *((max(part, 0), 39) for part in shared))
    assert row["p"] == pytest.approx(Estimate(per_seed.mean(), parts).p_value())
    assert np.isnan(row["episode_wins"])
    one = bench(steps={"maml": 5, "reptile": 5}).split("near", "cross-domain")
    one.add("near", scores["near"][0]).add("near", scores["near"][1], algorithm="reptile")
    assert compare(one.results(), "maml", "reptile")["split"].tolist() == ["near"]


def test_a_single_algorithm_has_no_pairs(bench):
    table = all_pairs(bench().split("home", "in-distribution").add("home", [[0.1, 0.2]]).results())
    assert table.empty and {"p_holm", "family", "verdict"} <= set(table.columns)


def test_holm_by_hand():
    assert holm(np.array([0.04, 0.01, 0.03, 0.5])) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm(np.array([0.9, 0.6])) == pytest.approx([1.0, 1.0])
    found = holm(np.array([0.01, np.nan]))  # what cannot be tested still counts in the family
    assert found[0] == pytest.approx(0.02) and np.isnan(found[1])


def test_holm_is_that_of_statsmodels(rng):
    for n in range(1, 9):
        p = np.where(rng.random(n) < 0.2, np.nan, rng.random(n) ** 3)
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_probability_of_improvement_solves_the_noncentral_t(rng, n):
    draws = 0.5 + rng.normal(size=n)
    found = probability_of_improvement(draws)
    t = stats.ttest_1samp(draws, 0).statistic
    effect = draws.mean() / draws.std(ddof=1)
    assert found.center == pytest.approx(stats.norm.cdf(effect))
    low, high = stats.norm.ppf([found.low, found.high]) * np.sqrt(n)
    assert stats.nct.cdf(t, n - 1, [low, high]) == pytest.approx([0.975, 0.025], abs=1e-5)


def test_probability_of_improvement_says_what_the_t_test_says(rng):
    agree = [
        (found.low > 0.5 or found.high < 0.5) == (stats.ttest_1samp(draws, 0).pvalue < 0.05)
        for draws in 0.7 + rng.normal(size=(300, 4))
        for found in [probability_of_improvement(draws)]
    ]
    assert len(agree) == 300 and all(agree)


@pytest.mark.parametrize(
    ("draws", "center"),
    [
        ([0.1, 0.1, 0.1], 1.0),
        ([0.0, 0.0], 0.5),
        ([np.inf, -1.0], 0.5),
        ([np.inf, 0.1, 0.2], 1.0),
        ([1e9, 1e9 + 1], 1.0),
    ],
)
def test_probability_of_improvement_without_a_spread(draws, center):
    found = probability_of_improvement(np.array(draws))
    assert found.center == pytest.approx(center) and 0 <= found.low <= found.high <= 1
