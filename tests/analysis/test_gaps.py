"""Every gap against numbers worked out by hand (or by scipy) from made-up scores."""

import numpy as np
import pytest
from scipy import stats

from metagap.analysis.gaps import COLUMNS, gap_table

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
        ("domain gap (chance-normalised)", "kana", [0.25, 0.2375, 0.2625]),
        ("domain gap (chance-normalised)", "average", [0.1875, 0.18125, 0.175]),
        ("total gap", "kana", [0.30, 0.30, 0.33]),
        ("total gap", "average", [0.25, 0.255, 0.26]),
        ("within-task gap", "kana", [0.39, 0.36, 0.36]),
        ("adaptation gain", "new", [0.59, 0.61, 0.60]),
        ("zero-step score", "new", [0.21, 0.20, 0.22]),
        ("transduction gap", "new", [0.10, 0.06, 0.02]),
        ("memorization", "kana", [0.35, 0.42, 0.46]),
        ("shot and way shift", "new-5", [-0.10, -0.12, -0.14]),
        ("shot and way shift", "kana-3way", [-0.10, -0.13, -0.19]),
    ],
)
def test_gaps_are_taken_per_seed(full, only, gap, split, per_seed):
    row = only(full, gap=gap, split=split)
    assert row["value"] == pytest.approx(np.mean(per_seed))
    assert (row["low"], row["high"]) == pytest.approx(t_interval(per_seed))
    assert (row["interval"], row["seeds"], row["statistic"], row["algorithm"]) == ("seeds", 3, "mean", "maml")
    assert row["formula"]


def test_only_the_gaps_that_apply_appear(full):
    assert list(full.columns) == COLUMNS
    splits = full.groupby("gap")["split"].apply(list).to_dict()
    assert splits == {
        "task gap": ["new"],
        "recurring-task gap": ["again"],
        "domain gap": ["kana", "digits", "average"],
        "domain gap (chance-normalised)": ["kana", "digits", "average"],
        "total gap": ["kana", "digits", "average"],
        "within-task gap": ["train", "val", "again", "new", "newer", "kana", "digits"],
        "adaptation gain": ["new"],
        "zero-step score": ["new"],
        "transduction gap": ["new"],
        "memorization": ["kana"],
        "shot and way shift": ["new-5", "kana-3way"],  # nothing at home to compare "lost-3way" with
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
    assert set(table["gap"]) == {"domain gap", "within-task gap", "shot and way shift"}
    worst = np.nan_to_num(home, nan=-np.inf)
    for statistic, of in [("median", np.median), ("iqm", lambda x, axis: stats.trim_mean(x, 0.25, axis))]:
        per_seed = of(worst, axis=1) - of(away, axis=1)
        row = only(table, gap="domain gap", split="triangles", statistic=statistic)
        assert row["value"] == pytest.approx(per_seed.mean())
        assert (row["low"], row["high"]) == pytest.approx(t_interval(per_seed))
    row = only(table, gap="domain gap", split="triangles", statistic="mean")
    assert (row["value"], row["low"], row["high"]) == (-np.inf, -np.inf, np.inf)


def test_gaps_use_the_seeds_that_all_sides_have(bench, only):
    made = bench().split("new", "in-distribution").split("kana", "cross-domain")
    made.add("new", spread([0.8, 0.9, 0.7]), seeds=[0, 1, 2]).add("kana", spread([0.5, 0.4]), seeds=[1, 2])
    row = only(gap_table(made.results()), gap="domain gap", split="kana")
    assert row["value"] == pytest.approx((0.4 + 0.3) / 2) and row["seeds"] == 2
