import numpy as np
import pytest
from scipy import stats

from metagap.analysis.grids import Grids
from metagap.analysis.intervals import Estimate, Term, crossed_estimate
from metagap.analysis.published_values import COLUMNS, against_published, published_table
from metagap.metrics import Margin


def entry(**changes):
    base = {
        "algorithm": "maml", "split": "home", "step": 5, "value": 0.8, "interval": 0.004,
        "kind": "95% CI over episodes", "source": "Somebody 2017, Table 1", "mark": "V",
    }  # fmt: skip
    return base | changes


def table(made, *entries):
    made.suite["published"] = list(entries)
    return published_table(made.results())


@pytest.fixture
def home(bench, rng):
    """Five seeds on 400 episodes, about 80.1%."""
    scores = rng.normal(0.801, 0.02, size=(5, 400)) + rng.normal(0, 0.002, size=(5, 1))
    return scores, bench().split("home", "in-distribution").add("home", scores).add("home", scores / 2, step=1)


def test_ours_beside_the_published_value(home):
    scores, made = home
    found = table(made, entry(), entry(step=1), entry(step=None))
    assert list(found.columns) == COLUMNS and len(found) == 3
    row = found.iloc[0]
    assert row[["algorithm", "split", "step", "published", "published_interval"]].tolist() == [
        "maml",
        "home",
        5,
        0.8,
        0.004,
    ]
    assert row[["kind", "source", "mark"]].tolist() == ["95% CI over episodes", "Somebody 2017, Table 1", "V"]
    assert row["ours"] == pytest.approx(scores.mean()) and row["difference"] == pytest.approx(scores.mean() - 0.8)
    assert row["median"] == pytest.approx(np.median(scores, axis=1).mean())
    assert row["iqm"] == pytest.approx(stats.trim_mean(scores, 0.25, axis=1).mean())
    assert (row["diverged"], row["seeds"], row["n_episodes"], row["margin"]) == (0, 5, 400, 0.01)
    assert (row["verdict"], row["remark"]) == ("agrees", "")
    assert row["assumed_sd"] == pytest.approx(scores.mean(axis=1).std(ddof=1))
    assert row["low"] < row["difference"] < row["high"]
    assert found.iloc[1]["ours"] == pytest.approx(scores.mean() / 2)
    assert tuple(found.iloc[1][["verdict", "remark"]]) == ("differs", "ours is lower")
    assert found.iloc[2]["step"] == 5 and found.iloc[2]["ours"] == row["ours"]


def test_the_difference_varies_with_seeds_episodes_and_what_was_published(home):
    scores, made = home
    kinds = {"episodes": entry(), "none": entry(interval=None), "runs": entry(kind="standard error over 10 seeds")}
    rows = dict(zip(kinds, table(made, *kinds.values()).to_dict("records"), strict=True))
    (seeds, df), episodes = crossed_estimate([Term(scores)]).parts
    known = {"episodes": [((0.004 / 1.959964) ** 2, 10**6)], "none": [], "runs": [(0.004**2, 9)]}
    for kind, row in rows.items():
        of_seeds = seeds if kind == "runs" else seeds + 5 * seeds  # one more run, that varies as ours
        expected = Estimate(0.0, ((of_seeds, df), episodes, *known[kind])).interval("", 0)
        assert (row["high"] - row["low"]) / 2 == pytest.approx(expected.half, rel=1e-5)
        assert np.isnan(row["assumed_sd"]) == (kind == "runs")


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("value", [0.8, 0.3])  # which would agree, and differ
def test_nothing_is_claimed_from_one_seed_or_two(bench, rng, seeds, value):
    made = bench().split("home", "in-distribution").add("home", rng.normal(0.8, 0.02, size=(seeds, 400)))
    row = table(made, entry(value=value, kind="std over 3 seeds", interval=0.002)).iloc[0]
    assert (row["verdict"], np.isnan(row["p"])) == ("cannot tell", True)
    assert row["remark"] == f"our run variance is unknown ({seeds} seed{'s' * (seeds > 1)})"


@pytest.mark.parametrize(
    ("kind", "ours", "words"),
    [
        ("95% CI over 600 episodes", lambda s: _half(s.mean(axis=0)), "95% CI over 400 episodes"),
        ("95% CI over 10 seeds", lambda s: _half(s.mean(axis=1)), "95% CI over 5 seeds"),
        ("std over 3 seeds", lambda s: s.mean(axis=1).std(ddof=1), "std over 5 seeds"),
        ("std over episodes", lambda s: s.mean(axis=0).std(ddof=1), "std over 400 episodes"),
        ("standard error over seeds", lambda s: stats.sem(s.mean(axis=1)), "standard error over 5 seeds"),
        ("std over 100 batches of episodes", lambda s: _half(s.mean(axis=0)), "95% CI over 400 episodes"),
        ("not stated", lambda s: _half(s.mean(axis=0)), "95% CI over 400 episodes"),
        (None, lambda s: _half(s.mean(axis=0)), "95% CI over 400 episodes"),
    ],
)
def test_ours_has_the_published_kind_of_interval(home, kind, ours, words):
    scores, made = home
    row = table(made, entry(kind=kind)).iloc[0]
    assert row["ours_kind"] == words
    assert row["ours_interval"] == pytest.approx(ours(scores))


def _half(values):
    return stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)


def test_one_seed_has_no_deviation_over_seeds(bench, rng):
    made = bench().split("home", "in-distribution").add("home", rng.normal(0.8, 0.02, size=(1, 400)))
    row = table(made, entry(kind="std over 3 seeds", interval=0.002)).iloc[0]
    assert np.isnan(row["ours_interval"]) and row["ours_kind"] == "std over 1 seed"


@pytest.mark.parametrize(
    ("value", "interval", "verdict"),
    [
        (0.8, None, "agrees"),
        (0.78, None, "differs"),
        (0.78, 0.05, "undecided"),
        (0.95, 0.05, "differs"),
    ],
)
def test_verdicts(bench, value, interval, verdict):
    scores = np.tile([0.79, 0.81], 30) + np.array([[-0.001], [0.0], [0.001], [0.0]])
    made = bench().split("home", "in-distribution").add("home", scores)
    assert table(made, entry(value=value, interval=interval)).iloc[0]["verdict"] == verdict


def test_undecided_says_what_it_takes(bench, rng):
    scores = rng.normal(0.8, 0.1, size=(1, 100)) + np.array([[-0.001], [0.0], [0.001]])
    made = bench().split("home", "in-distribution").add("home", scores)
    known = {"kind": "standard error over 10 seeds"}
    row = table(made, entry(interval=0.0001, **known)).iloc[0]
    assert row["verdict"] == "undecided" and row["remark"].endswith("episodes would be enough")
    row = table(made, entry(interval=0.02, **known)).iloc[0]
    assert (row["verdict"], row["remark"]) == (
        "undecided", "the published value is too uncertain for any number of ours"
    )  # fmt: skip


def test_the_margin_is_a_choice(home):
    _, made = home
    grids = Grids(made.results())
    entries = [entry(value=0.79, interval=None)]
    verdicts = [against_published(entries, grids, Margin(size)).iloc[0]["verdict"] for size in (0.005, 0.02)]
    assert verdicts == ["differs", "agrees"]
    assert against_published(entries, grids, Margin(0.05, relative=True)).iloc[0]["margin"] == pytest.approx(
        0.05 * 0.79
    )


def test_regression_values_are_positive_errors_within_a_tenth(bench, rng):
    losses = rng.normal(0.5, 0.05, size=(3, 300))
    made = bench("regression").split("home", "in-distribution").add("home", -losses)
    row = table(made, entry(value=0.51, interval=None, kind=None)).iloc[0]
    assert row["ours"] == pytest.approx(losses.mean()) and row["margin"] == pytest.approx(0.051)
    assert row["verdict"] == "agrees"


@pytest.mark.parametrize("worst", [np.nan, 500.0])
def test_a_mean_that_one_diverged_episode_ruins_cannot_tell(bench, rng, worst):
    losses = rng.exponential(0.5, size=(3, 60))
    losses[:, 0] = worst
    made = bench("regression").split("home", "in-distribution").add("home", -losses)
    row = table(made, entry(value=0.5, interval=None, kind=None)).iloc[0]
    assert (row["verdict"], row["remark"]) == ("cannot tell", "diverged episodes decide the mean")
    assert row["ours"] == (np.inf if np.isnan(worst) else pytest.approx(losses.mean()))
    assert row["median"] == pytest.approx(np.median(np.nan_to_num(losses, nan=np.inf), axis=1).mean())
    assert 0 < row["iqm"] < 1 and row["diverged"] == 1 / 60
    assert np.isnan(row["published_interval"])


def test_entries_that_were_not_run_are_kept(bench):
    made = bench().split("home", "in-distribution").add("home", [[0.7, 0.8]])
    found = table(made, entry(algorithm="protonet"), entry(split="elsewhere"), entry(step=99))
    assert (found["verdict"] == "not run").all() and len(found) == 3
    assert found[["ours", "median", "iqm", "difference", "p"]].isna().all(axis=None)
    assert found["published"].tolist() == [0.8] * 3 and found["step"].tolist() == [5, 5, 99]
    nothing = against_published([entry()], None, Margin(0.01)).iloc[0]
    assert (nothing["verdict"], nothing["seeds"]) == ("not run", 0)


def test_a_value_that_was_not_printed_is_no_verdict(bench, rng):
    made = bench("regression").split("home", "in-distribution").add("home", -rng.exponential(size=(3, 40)))
    row = table(made, entry(value=np.nan, interval=None, kind=None)).iloc[0]
    assert (row["verdict"], row["remark"], row["seeds"]) == ("not published", "", 3)
    assert row["ours"] > 0 and np.isnan(row["difference"])


def test_nothing_published(bench):
    made = bench().split("home", "in-distribution").add("home", [[0.7, 0.8]])
    found = table(made)
    assert found.empty and list(found.columns) == COLUMNS


@pytest.mark.parametrize("value", [0.8, 0.3])  # which would agree, and differ
def test_a_recalled_value_gets_no_verdict(home, value):
    _, made = home
    recalled, quoted, absent = table(
        made, entry(value=value, mark="R"), entry(value=value, mark="S"), entry(mark="R", step=9)
    ).to_dict("records")
    assert (recalled["verdict"], recalled["remark"]) == ("not judged", "only recalled")
    assert np.isnan(recalled["p"]) and not np.isnan(quoted["p"])
    assert recalled["difference"] == quoted["difference"]
    assert quoted["verdict"] in ("agrees", "differs")
    assert absent["verdict"] == "not run"
