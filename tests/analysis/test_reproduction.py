import numpy as np
import pytest
from scipy import stats

from benchmark.analysis.reproduction import COLUMNS, published_table


def entry(**changes):
    base = {
        "algorithm": "maml", "split": "home", "step": 5, "value": 0.8, "interval": 0.01,
        "kind": "95% CI over episodes", "source": "Somebody 2017, Table 1", "mark": "V",
    }  # fmt: skip
    return base | changes


def t_interval(values):
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


def test_ours_beside_the_published_value(bench, only, rng):
    scores = rng.normal(0.801, 0.02, size=(3, 40))
    made = bench().split("home", "in-distribution").add("home", scores).add("home", scores / 2, step=1)
    made.suite["published"] = [entry(), entry(step=1), entry(step=None)]
    table = published_table(made.results())
    assert list(table.columns) == COLUMNS and len(table) == 3
    row = table.iloc[0]
    assert row[["algorithm", "split", "step", "published", "published_interval"]].tolist() == [
        "maml",
        "home",
        5,
        0.8,
        0.01,
    ]
    assert row[["kind", "source", "mark"]].tolist() == ["95% CI over episodes", "Somebody 2017, Table 1", "V"]
    assert row["ours"] == pytest.approx(scores.mean()) and row["difference"] == pytest.approx(scores.mean() - 0.8)
    assert (row["episodes_low"], row["episodes_high"]) == pytest.approx(t_interval(scores.mean(axis=0)))
    assert (row["seeds_low"], row["seeds_high"]) == pytest.approx(t_interval(scores.mean(axis=1)))
    assert row["median"] == pytest.approx(np.median(scores, axis=1).mean())
    assert row["iqm"] == pytest.approx(stats.trim_mean(scores, 0.25, axis=1).mean())
    assert (row["diverged"], row["seeds"], row["n_episodes"], row["verdict"]) == (0, 3, 40, "compatible")
    assert table.iloc[1]["ours"] == pytest.approx(scores.mean() / 2) and table.iloc[1]["verdict"] == "ours is lower"
    assert table.iloc[2]["step"] == 5 and table.iloc[2]["ours"] == row["ours"]


def test_regression_values_are_positive_errors(bench, rng):
    losses = rng.exponential(size=(1, 60))
    losses[0, 0] = np.nan
    made = bench("regression").split("home", "in-distribution").add("home", -losses)
    made.suite["published"] = [entry(value=0.5, interval=None, kind=None)]
    row = published_table(made.results()).iloc[0]
    assert row["ours"] == np.inf and row["difference"] == np.inf and row["verdict"] == "cannot tell"
    assert row["median"] == pytest.approx(np.median(np.nan_to_num(losses, nan=np.inf)))
    assert np.isfinite(row["iqm"]) and row["iqm"] > 0 and row["diverged"] == 1 / 60
    assert np.isnan(row["published_interval"]) and np.isnan([row["seeds_low"], row["seeds_high"]]).all()


@pytest.mark.parametrize(
    ("value", "interval", "verdict"),
    [
        (0.8, None, "compatible"),
        (0.78, None, "ours is higher"),
        (0.78, 0.05, "compatible"),
        (0.9, 0.05, "ours is lower"),
    ],
)
def test_verdicts(bench, value, interval, verdict):
    made = bench().split("home", "in-distribution").add("home", np.tile([0.79, 0.81], 30))
    made.suite["published"] = [entry(value=value, interval=interval)]
    assert published_table(made.results()).iloc[0]["verdict"] == verdict


def test_entries_that_were_not_run_are_kept(bench):
    made = bench().split("home", "in-distribution").add("home", [[0.7, 0.8]])
    made.suite["published"] = [entry(algorithm="protonet"), entry(split="elsewhere"), entry(step=99)]
    table = published_table(made.results())
    assert (table["verdict"] == "not run").all() and len(table) == 3
    assert table[["ours", "median", "iqm", "difference"]].isna().all(axis=None)
    assert table["published"].tolist() == [0.8] * 3 and table["step"].tolist() == [5, 5, 99]


def test_nothing_published(bench):
    made = bench().split("home", "in-distribution").add("home", [[0.7, 0.8]])
    table = published_table(made.results())
    assert table.empty and list(table.columns) == COLUMNS
