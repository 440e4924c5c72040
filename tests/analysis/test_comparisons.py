from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from metagap.analysis.comparisons import (
    COLUMNS,
    GAP_COLUMNS,
    all_pairs,
    compare,
    holm,
    probability_of_improvement,
)
from metagap.analysis.gaps import gap_table
from metagap.analysis.intervals import Estimate, crossed
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
    table, gaps = compare(results, "maml", "reptile")
    assert (
        list(table.columns) == COLUMNS
        and list(gaps.columns) == GAP_COLUMNS
        and table["split"].tolist() == ["home", "away"]
    )
    a, b = grids(results, "home")
    row = only(table, split="home")
    expected = crossed(a - b)
    assert (row["difference"], row["low"], row["high"]) == pytest.approx(expected[:3])
    assert row["interval"] == "crossed"
    assert (row["score_a"], row["score_b"]) == pytest.approx((a.mean(), b.mean()))
    assert row["episode_wins"] == pytest.approx((a > b).mean())
    assert (row["verdict"], row["seeds"], row["n_episodes"]) == ("maml better", 5, 60)
    assert row["p"] < 1e-4 and row["improvement"] > 0.99 and 0.5 < row["improvement_low"] < row["improvement_high"]
    row = only(table, split="away")
    assert row["verdict"] == "cannot tell" and row["low"] < 0 < row["high"]


def test_the_other_way_round_everything_is_mirrored(two, only):
    results = two().results()
    forth, back = (
        only(compare(results, *names, split="home").scores) for names in (("maml", "reptile"), ("reptile", "maml"))
    )
    assert back["verdict"] == "maml better" and back["p"] == pytest.approx(forth["p"])
    assert (back["difference"], back["low"], back["high"]) == pytest.approx(
        (-forth["difference"], -forth["high"], -forth["low"])
    )
    assert back["improvement_low"] == pytest.approx(1 - forth["improvement_high"], abs=1e-6)
    assert back["episode_wins"] == pytest.approx(1 - forth["episode_wins"])


@pytest.mark.parametrize("seeds", [1, 2])
def test_nothing_is_claimed_from_one_seed_or_two(two, only, seeds):
    results = two(seeds=seeds, gain=0.4).results()
    found = compare(results, "maml", "reptile")
    assert len(found.gaps) == 1
    for frame in found:
        assert (frame["verdict"] == "cannot tell").all() and (frame["family"] == 0).all()
        assert frame["p_holm"].isna().all() and frame["p"].notna().all()
    a, b = grids(results, "home")
    row = only(found.scores, split="home")
    if seeds == 1:
        paired = stats.ttest_rel(a[0], b[0])
        assert row["p"] == pytest.approx(paired.pvalue)
        assert (row["low"], row["high"]) == pytest.approx(tuple(paired.confidence_interval()))
        assert row["interval"] == "episodes, seeds not sampled"
        assert np.isnan([row["improvement"], row["improvement_low"], row["improvement_high"]]).all()


def test_many_seeds_can_show_a_difference_too_small_to_matter(bench, only, rng):
    made = bench(steps={"maml": 5, "reptile": 5}).split("home", "in-distribution")
    made.add("home", rng.normal(0.53, 0.1, size=(400, 1)) + rng.normal(0, 0.01, size=(400, 30)))
    made.add("home", rng.normal(0.50, 0.1, size=(400, 1)) + rng.normal(0, 0.01, size=(400, 30)), algorithm="reptile")
    row = only(compare(made.results(), "maml", "reptile").scores)
    assert row["p"] < 0.05 and 0.5 < row["improvement_low"] < row["improvement_high"] < 0.75
    assert row["verdict"] == "no meaningful difference"


def test_regression_compares_each_statistic_and_infinity_cannot_tell(bench, only, rng):
    good, bad = rng.exponential(1, (4, 50)), rng.exponential(5, (4, 50))
    bad[0, 0] = np.inf
    made = bench("regression", steps={"maml": 5, "reptile": 5}).split("sines", "in-distribution")
    table = compare(
        made.add("sines", -good).add("sines", -bad, algorithm="reptile").results(), "maml", "reptile"
    ).scores
    assert table["statistic"].tolist() == ["mean", "median", "iqm"]
    mean = only(table, statistic="mean")
    assert mean["difference"] == np.inf and np.isnan(mean["p"]) and mean["verdict"] == "cannot tell"
    assert (mean["improvement"], mean["improvement_low"], mean["improvement_high"]) == (1, 0, 1)
    assert only(table, statistic="median")["verdict"] == "maml better"
    assert only(table, statistic="iqm")["verdict"] == "maml better"


def test_an_algorithm_against_itself_cannot_be_told(two):
    table = compare(two().results(), "maml", "maml").scores
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
    assert all(frame.empty for frame in all_pairs(made.results()))


@pytest.fixture
def four(bench, rng):
    """Four algorithms at home and in two domains; d is best, and c loses most to new domains."""
    made = bench(steps=dict.fromkeys("abcd", 5)).split("train", "meta-train").split("home", "in-distribution")
    made.split("away", "cross-domain").split("far", "cross-domain")
    for name, level in zip("abcd", (0.5, 0.518, 0.56, 0.7), strict=True):
        for split in ("train", "home", "away", "far"):
            lost = 0.2 * (name == "c" and split in ("away", "far"))
            values = level - lost + rng.normal(0, 0.005, (5, 1)) + rng.normal(0, 0.05, (5, 40))
            made.add(split, values, algorithm=name)
    return made


def test_all_claims_of_a_page_are_one_family(four, only):
    found = all_pairs(four.results())
    assert set(found.scores["split"]) == {"home", "away", "far", "average"}  # claims are about new tasks
    assert set(zip(found.gaps["gap"], found.gaps["split"], strict=True)) == {
        ("task gap", "home"), ("domain gap", "average")
    }  # fmt: skip
    both = pd.concat(found)
    assert len(both) == 6 * (4 + 2) and (both["family"] == 36).all()
    assert both["p_holm"].to_numpy() == pytest.approx(multipletests(both["p"], method="holm")[1])
    claimed = found.scores["verdict"] != "cannot tell"
    assert ((found.scores["p_holm"] < 0.05) == claimed).all() and claimed.any()
    changed = (found.scores["p"] < 0.05) & ~claimed
    assert changed.any()  # without the correction these would be "better"


def test_compare_corrects_over_what_it_shows(four, only):
    results = four.results()
    pairs, _ = all_pairs(results)
    for a, b in permutations("abcd", 2):
        found = compare(results, a, b)
        assert found.scores["split"].tolist() == ["home", "away", "far", "average"]
        both = pd.concat(found)
        assert (both["family"] == 6).all()
        assert both["p_holm"].to_numpy() == pytest.approx(holm(both["p"].to_numpy()))
        for row in found.scores.to_dict("records"):
            same = only(pairs, a=min(a, b), b=max(a, b), split=row["split"])
            assert row["p"] == pytest.approx(same["p"], rel=1e-9)
    one = compare(results, "a", "d", "train")
    assert only(one.scores)["family"] == 1 and one.gaps.empty  # any split, where it is named


def test_whose_gap_is_smaller_by_hand(four, only):
    results = four.results()
    found = all_pairs(results).gaps
    rows = results.episodes[results.episodes["split"] != "train"]
    grid = {
        key: part.pivot(index="seed", columns="episode", values="query_score").to_numpy()
        for key, part in rows.groupby(["algorithm", "split"])
    }
    difference = {split: grid["a", split] - grid["c", split] for split in ("home", "away", "far")}
    weights = {"home": 1.0, "away": -0.5, "far": -0.5}
    per_seed = sum(weight * difference[split].mean(axis=1) for split, weight in weights.items())
    parts = [(per_seed.var(ddof=1) / 5, 4)]
    for split, weight in weights.items():
        covariance = weight**2 * np.cov(difference[split]) / 40
        parts.append((max((covariance.sum() - np.trace(covariance)) / 20, 0), 39))
    row = only(found, a="a", b="c", gap="domain gap")
    estimate = Estimate(per_seed.mean(), tuple(parts))
    assert (row["difference"], row["low"], row["high"]) == pytest.approx(estimate.interval("", 5)[:3])
    assert row["p"] == pytest.approx(estimate.p_value()) and row["verdict"] == "a smaller"
    assert row["difference"] == pytest.approx(row["gap_a"] - row["gap_b"])
    gaps = gap_table(results)
    assert row["gap_b"] == pytest.approx(only(gaps, algorithm="c", gap="domain gap", split="average")["value"])
    assert only(found, a="c", b="d", gap="domain gap")["verdict"] == "d smaller"
    assert only(found, a="a", b="b", gap="domain gap")["verdict"] == "cannot tell"


def test_a_domain_gap_to_a_single_domain_has_its_name(bench, rng):
    made = bench(steps=dict.fromkeys("ab", 5)).split("home", "in-distribution").split("away", "cross-domain")
    for name, split in product("ab", ("home", "away")):
        made.add(split, rng.random((3, 30)), algorithm=name)
    found = all_pairs(made.results()).gaps
    assert found[["gap", "split"]].to_numpy().tolist() == [["domain gap", "away"]]


def test_a_pair_that_lacks_a_domain_has_no_average_gap(bench, rng):
    made = bench(steps=dict.fromkeys("ab", 5)).split("home", "in-distribution")
    made.split("away", "cross-domain").split("far", "cross-domain")
    for name, split in (("a", "home"), ("b", "home"), ("a", "away"), ("b", "away"), ("a", "far")):
        made.add(split, rng.random((3, 30)), algorithm=name)
    assert all_pairs(made.results()).gaps.empty


def test_pairs_of_too_few_seeds_are_no_part_of_the_family(bench, rng):
    made = bench(steps=dict.fromkeys("abc", 5)).split("home", "in-distribution")
    for name, seeds in zip("abc", (3, 3, 2), strict=True):
        made.add("home", rng.random((seeds, 30)), algorithm=name)
    pairs = all_pairs(made.results()).scores.set_index(["a", "b"])
    assert pairs["family"].to_dict() == {("a", "b"): 1, ("a", "c"): 0, ("b", "c"): 0}
    assert pairs.loc[("a", "b"), "p_holm"] == pairs.loc[("a", "b"), "p"]


def test_the_mean_over_the_domains_is_compared_as_well(bench, only, rng):
    """By hand: the per-seed means over the domains; the luck of the episodes of every domain is its own."""
    made = bench(steps={"maml": 5, "reptile": 5}).split("home", "in-distribution")
    made.split("near", "cross-domain").split("far", "cross-domain").split("other", "cross-domain", ways=10)
    scores = {split: rng.uniform(size=(2, 3, 40)) for split in ("home", "near", "far", "other")}
    for split, (a, b) in scores.items():
        made.add(split, a).add(split, b, algorithm="reptile")
    row = only(compare(made.results(), "maml", "reptile", "average").scores)
    near, far = (a - b for a, b in (scores["near"], scores["far"]))  # of 10 ways: not averaged
    per_seed = (near.mean(axis=1) + far.mean(axis=1)) / 2
    assert row["difference"] == pytest.approx(per_seed.mean()) and row["role"] == "cross-domain"
    shared = [(np.cov(d).sum() - np.trace(np.cov(d))) / 6 / 40 / 4 for d in (near, far)]
    parts = ((per_seed.var(ddof=1) / 3, 2), *((max(part, 0), 39) for part in shared))
    assert row["p"] == pytest.approx(Estimate(per_seed.mean(), parts).p_value())
    assert np.isnan(row["episode_wins"])
    one = bench(steps={"maml": 5, "reptile": 5}).split("near", "cross-domain")
    one.add("near", scores["near"][0]).add("near", scores["near"][1], algorithm="reptile")
    assert compare(one.results(), "maml", "reptile").scores["split"].tolist() == ["near"]


def test_a_single_algorithm_has_no_pairs(bench):
    for frame in all_pairs(bench().split("home", "in-distribution").add("home", [[0.1, 0.2]]).results()):
        assert frame.empty and {"p_holm", "family", "verdict"} <= set(frame.columns)


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
