"""Every gap against numbers worked out by hand (or by scipy) from made-up scores."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from metagap.analysis.gaps import COLUMNS, gap_table
from metagap.analysis.intervals import Estimate

ONE_SEED = "episodes, seeds not sampled"


def t_interval(values):
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


def spread(means, width=0.01):
    """Two episodes per seed around each mean."""
    means = np.asarray(means, dtype=float)[:, None]
    return np.hstack([means - width, means + width])


@pytest.fixture
def full(bench):
    """Three seeds; per-seed means that make every gap easy to read."""
    made = bench(ways=5, shots=1)
    made.split("train", "meta-train").split("val", "meta-val").split("again", "recurring-task")
    made.split("new", "in-distribution", source={"name": "omniglot"}).split("newer", "in-distribution")
    made.split("kana", "cross-domain", source={"name": "kmnist"}).split("digits", "cross-domain")
    made.split("new-5", "in-distribution", shots=5, source={"name": "omniglot"})
    made.split("kana-3way", "cross-domain", ways=3, source={"name": "kmnist"})
    made.split("lost-3way", "cross-domain", ways=3, source={"name": "elsewhere"})
    after = {
        "train": [0.90, 0.92, 0.94], "val": [0.5, 0.5, 0.5], "again": [0.88, 0.89, 0.90],
        "new": [0.80, 0.81, 0.82], "newer": [0.1, 0.1, 0.1], "kana": [0.60, 0.62, 0.61], "digits": [0.70, 0.71, 0.75],
        "new-5": [0.9, 0.93, 0.96], "kana-3way": [0.7, 0.75, 0.8], "lost-3way": [0.7, 0.75, 0.8],
    }  # fmt: skip
    for name, means in after.items():
        made.add(name, spread(means), support_score=spread([0.99, 0.98, 0.97]))
    made.add("new", spread([0.21, 0.2, 0.22]), step=0)
    made.add("new", spread([0.7, 0.75, 0.8]), condition="inductive")
    made.add("kana", spread([0.25, 0.2, 0.15]), condition="shuffled")
    return gap_table(made.results())


@pytest.mark.parametrize(
    ("gap", "split", "per_seed"),
    [
        ("task gap", "new", [0.10, 0.11, 0.12]),
        ("recurring-task gap", "again", [0.02, 0.03, 0.04]),
        ("domain gap", "kana", [0.20, 0.19, 0.21]),
        ("domain gap", "digits", [0.10, 0.10, 0.07]),
        ("domain gap", "average", [0.15, 0.145, 0.14]),
        ("total gap", "kana", [0.30, 0.30, 0.33]),
        ("total gap", "average", [0.25, 0.255, 0.26]),
        ("within-task gap", "kana", [0.39, 0.36, 0.36]),
        ("adaptation gain", "new", [0.59, 0.61, 0.60]),
        ("zero-step score", "new", [0.21, 0.20, 0.22]),
        ("transduction gap", "new", [0.10, 0.06, 0.02]),
        ("memorization", "kana", [0.35, 0.42, 0.46]),
        ("shot shift", "new-5", [-0.10, -0.12, -0.14]),
        ("way shift (chance-normalised)", "kana-3way", [0.5 - 0.55, 0.525 - 0.625, 0.5125 - 0.7]),
    ],
)
def test_gaps_are_taken_per_seed(full, only, gap, split, per_seed):
    row = only(full, gap=gap, split=split)
    assert row["value"] == pytest.approx(np.mean(per_seed))
    if gap != "zero-step score":  # which has the interval of a score
        assert (row["seeds_low"], row["seeds_high"]) == pytest.approx(t_interval(per_seed))
    assert row["low"] <= row["value"] <= row["high"]
    assert (row["interval"], row["seeds"], row["statistic"], row["algorithm"]) == ("crossed", 3, "mean", "maml")
    assert row["formula"]


def test_only_the_gaps_that_apply_appear(full):
    assert list(full.columns) == COLUMNS
    splits = full.groupby("gap")["split"].apply(list).to_dict()
    assert splits == {
        "task gap": ["new"],
        "recurring-task gap": ["again"],
        "domain gap": ["kana", "digits", "average"],
        "total gap": ["kana", "digits", "average"],
        "domain error ratio": ["kana", "digits", "average"],
        "domain gap in loss": ["kana", "digits", "average"],
        "within-task gap": ["train", "val", "again", "new", "newer", "kana", "digits"],
        "adaptation gain": ["new"],
        "zero-step score": ["new"],
        "transduction gap": ["new"],
        "memorization": ["kana"],
        "shot shift": ["new-5"],
        "way shift (chance-normalised)": ["kana-3way"],  # nothing at home to compare "lost-3way" with
    }


def test_total_gap_is_task_gap_plus_domain_gap(full, only):
    task = only(full, gap="task gap")["value"]
    for split in ("kana", "digits", "average"):
        domain, total = (only(full, gap=gap, split=split)["value"] for gap in ("domain gap", "total gap"))
        assert total == pytest.approx(task + domain)


def test_without_partners_there_are_no_gaps(bench):
    made = bench(steps={"maml": 0}).split("new", "in-distribution").add("new", spread([0.8, 0.9]))
    table = gap_table(made.results())
    # The headline step is 0: there is a zero-step score, and nothing is gained.
    assert table["gap"].tolist() == ["within-task gap", "zero-step score"]


def test_the_other_batch_norm_mode(bench, only):
    made = bench().split("new", "in-distribution").add("new", spread([0.7, 0.8]))
    made.add("new", spread([0.75, 0.9]), condition="transductive")
    assert only(gap_table(made.results()), gap="transduction gap")["value"] == pytest.approx(0.075)


def test_one_seed_adds_the_variances_of_independent_splits(bench, only, rng):
    home, kana, digits = rng.normal(0.8, 0.1, 40), rng.normal(0.6, 0.2, 50), rng.normal(0.7, 0.1, 60)
    made = bench().split("new", "in-distribution").split("kana", "cross-domain").split("digits", "cross-domain")
    table = gap_table(made.add("new", home).add("kana", kana).add("digits", digits).results())
    row = only(table, gap="domain gap", split="kana")
    welch = stats.ttest_ind(home, kana, equal_var=False).confidence_interval()
    assert row["value"] == pytest.approx(home.mean() - kana.mean())
    assert (row["interval"], row["seeds"]) == (ONE_SEED, 1)
    assert (row["low"], row["high"]) == pytest.approx((welch.low, welch.high), rel=0.01)
    error = np.sqrt(home.var(ddof=1) / 40 + kana.var(ddof=1) / 50)
    assert 1.96 * error < (row["high"] - row["low"]) / 2 < 2.03 * error
    row = only(table, gap="domain gap", split="average")
    error = np.sqrt(home.var(ddof=1) / 40 + kana.var(ddof=1) / 50 / 4 + digits.var(ddof=1) / 60 / 4)
    assert row["value"] == pytest.approx(home.mean() - kana.mean() / 2 - digits.mean() / 2)
    assert 1.96 * error < (row["high"] - row["low"]) / 2 < 2.03 * error


@pytest.mark.parametrize("gap", ["within-task gap", "adaptation gain", "transduction gap", "memorization"])
def test_one_seed_pairs_the_sides_that_share_episodes(bench, only, rng, gap):
    episodes = rng.normal(0.5, 0.3, 40)
    left, right = episodes + rng.normal(0.1, 0.01, 40), episodes + rng.normal(0, 0.01, 40)
    made = bench().split("new", "in-distribution")
    match gap:
        case "within-task gap":
            made.add("new", right, support_score=left[None])
        case "adaptation gain":
            made.add("new", left).add("new", right, step=0)
        case "transduction gap":
            made.add("new", left).add("new", right, condition="inductive")
        case "memorization":
            made.add("new", left).add("new", right, condition="shuffled")
    row = only(gap_table(made.results()), gap=gap)
    paired = stats.ttest_rel(left, right).confidence_interval()
    assert row["interval"] == ONE_SEED
    assert (row["low"], row["high"]) == pytest.approx((paired.low, paired.high))
    assert row["high"] - row["low"] < 0.02  # unpaired, it would be ten times as wide


def test_regression_takes_each_statistic_of_both_sides_and_no_chance_level(bench, only, rng):
    home, away = -rng.exponential(1, (3, 60)), -rng.exponential(3, (3, 60))
    home[0, 0] = np.nan
    made = bench("regression", shots=5).split("sines", "in-distribution").split("triangles", "cross-domain")
    made.split("sines-10", "in-distribution", shots=10)
    table = gap_table(made.add("sines", home).add("triangles", away).add("sines-10", home / 2).results())
    assert set(table["gap"]) == {
        "domain gap",
        "domain error ratio",
        "domain gap in loss",
        "within-task gap",
        "shot shift",
    }
    worst = np.nan_to_num(home, nan=-np.inf)
    for statistic, of in [("median", np.median), ("iqm", lambda x, axis: stats.trim_mean(x, 0.25, axis))]:
        per_seed = of(worst, axis=1) - of(away, axis=1)
        row = only(table, gap="domain gap", split="triangles", statistic=statistic)
        assert row["value"] == pytest.approx(per_seed.mean())
        assert (row["seeds_low"], row["seeds_high"]) == pytest.approx(t_interval(per_seed))
    row = only(table, gap="domain gap", split="triangles", statistic="mean")
    assert (row["value"], row["low"], row["high"]) == (-np.inf, -np.inf, np.inf)


def test_gaps_use_the_seeds_that_all_sides_have(bench, only):
    made = bench().split("new", "in-distribution").split("kana", "cross-domain")
    made.add("new", spread([0.8, 0.9, 0.7]), seeds=[0, 1, 2]).add("kana", spread([0.5, 0.4]), seeds=[1, 2])
    row = only(gap_table(made.results()), gap="domain gap", split="kana")
    assert row["value"] == pytest.approx((0.4 + 0.3) / 2) and row["seeds"] == 2


@pytest.fixture
def domains(bench, rng):
    """Two algorithms on two domains; both share the luck of seeds and episodes."""
    made = bench(steps={"maml": 5, "scratch": 5}).split("train", "meta-train").split("new", "in-distribution")
    made.split("kana", "cross-domain").split("digits", "cross-domain")
    levels = {"train": (0.9, 0.5), "new": (0.85, 0.45), "kana": (0.6, 0.4), "digits": (0.7, 0.3)}
    grids = {}
    for split, both in levels.items():
        luck = rng.normal(0, 0.05, 60)
        for name, level in zip(("maml", "scratch"), both, strict=True):
            grids[name, split] = level + luck + rng.normal(0, 0.01, (4, 1)) + rng.normal(0, 0.02, (4, 60))
            made.add(split, grids[name, split], algorithm=name, query_loss=1 - grids[name, split])
    return made, grids


def crossed_by_hand(terms):
    """(center, parts) of weighted grids: the variance of the per-seed sums, and the covariance between seeds."""
    per_seed = sum(weight * grid.mean(axis=1) for weight, grid in terms)
    n = len(per_seed)
    parts = [(per_seed.var(ddof=1) / n, n - 1)]
    for weight, grid in terms:
        covariance = weight**2 * np.cov(grid) / grid.shape[1]
        parts.append((max((covariance.sum() - np.trace(covariance)) / n / (n - 1), 0), grid.shape[1] - 1))
    return Estimate(per_seed.mean(), tuple(parts))


def test_the_headline_of_a_gap_is_about_new_seeds_and_new_episodes_of_both_splits(domains, only):
    made, grids = domains
    row = only(gap_table(made.results()), algorithm="maml", gap="domain gap", split="average")
    terms = [(1.0, grids["maml", "new"]), *((-0.5, grids["maml", split]) for split in ("kana", "digits"))]
    expected = crossed_by_hand(terms).interval("crossed", 4)
    assert (row["value"], row["low"], row["high"]) == pytest.approx(expected[:3])
    assert row["high"] - row["low"] > row["seeds_high"] - row["seeds_low"]


def test_an_average_gap_speaks_about_these_domains_and_about_domains_like_them(domains, only):
    made, _ = domains
    table = gap_table(made.results())
    row = only(table, algorithm="maml", gap="domain gap", split="average")
    assert row["domains"] == 2 and row["domains_low"] < row["low"] < row["high"] < row["domains_high"]
    single = only(table, algorithm="maml", gap="domain gap", split="kana")
    assert single["domains"] == 0 and np.isnan(single["domains_low"])


def test_the_adjusted_gap_is_paired_with_that_of_the_reference(domains, only):
    made, grids = domains
    table = gap_table(made.results())
    row = only(table, gap="difficulty-adjusted domain gap", split="kana")
    assert row["algorithm"] == "maml"  # the reference has none of its own
    paired = {split: grids["maml", split] - grids["scratch", split] for split in ("new", "kana")}
    expected = crossed_by_hand([(1.0, paired["new"]), (-1.0, paired["kana"])]).interval("crossed", 4)
    assert (row["value"], row["low"], row["high"]) == pytest.approx(expected[:3])
    raw = only(table, algorithm="maml", gap="domain gap", split="kana")
    reference = only(table, algorithm="scratch", gap="domain gap", split="kana")
    assert row["value"] == pytest.approx(raw["value"] - reference["value"])
    task = only(table, gap="difficulty-adjusted task gap", split="new")
    assert task["value"] == pytest.approx(0, abs=0.02)


def test_without_a_reference_no_gap_is_adjusted(domains):
    made, _ = domains
    gaps = set(gap_table(made.only("maml").results())["gap"])
    assert "domain gap" in gaps and not any("adjusted" in gap for gap in gaps)


@pytest.mark.parametrize(("named", "has_gaps"), [("maml", {"scratch"}), ("gone", set())])
def test_the_suite_names_the_reference(domains, named, has_gaps):
    made, _ = domains
    results = made.results()
    results = replace(results, suite=results.suite.model_copy(update={"reference": named}))
    table = gap_table(results)
    assert set(table.loc[table["gap"] == "difficulty-adjusted domain gap", "algorithm"]) == has_gaps


def test_a_single_domain_has_no_average(domains):
    made, _ = domains
    results = made.results()
    episodes = results.episodes[results.episodes["split"] != "digits"]
    table = gap_table(replace(results, episodes=episodes))
    for gap in ("domain gap", "total gap", "difficulty-adjusted domain gap", "domain error ratio"):
        assert set(table.loc[table["gap"] == gap, "split"]) == {"kana"}, gap


def test_the_error_ratio_divides_what_is_lost(domains, only):
    made, grids = domains
    table = gap_table(made.results())
    home, away = (1 - grids["maml", split].mean() for split in ("new", "kana"))
    row = only(table, algorithm="maml", gap="domain error ratio", split="kana")
    assert row["value"] == pytest.approx(away / home) and row["unit"] == "ratio"
    log = crossed_by_hand([(1 / home, grids["maml", "new"]), (-1 / away, grids["maml", "kana"])])
    expected = log._replace(center=np.log(away / home)).interval("crossed", 4)
    assert (row["low"], row["high"]) == pytest.approx((np.exp(expected.low), np.exp(expected.high)))
    average = only(table, algorithm="maml", gap="domain error ratio", split="average")
    mean = np.mean([1 - grids["maml", split].mean() for split in ("kana", "digits")])
    assert average["value"] == pytest.approx(mean / home)


def test_a_perfect_home_has_no_error_ratio(bench):
    made = bench().split("new", "in-distribution").split("kana", "cross-domain")
    made.add("new", np.ones((2, 3))).add("kana", spread([0.5, 0.6]))
    assert "domain error ratio" not in set(gap_table(made.results())["gap"])


def test_the_gap_in_loss_is_what_the_loss_rises_by(domains, only):
    made, grids = domains
    row = only(gap_table(made.results()), algorithm="maml", gap="domain gap in loss", split="kana")
    assert row["value"] == pytest.approx(grids["maml", "new"].mean() - grids["maml", "kana"].mean())
    assert row["unit"] == "loss"
