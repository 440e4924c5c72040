import numpy as np
import pytest
from scipy import stats

from metagap.analysis import intervals
from metagap.analysis.scores import RUN_COLUMNS, SCORE_COLUMNS, STEP_COLUMNS, run_table, score_table, step_table


def bounded(values):
    """Student's t interval on the logit scale."""
    mean = np.mean(values)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) / (mean * (1 - mean))
    return tuple(1 / (1 + np.exp(-(np.log(mean / (1 - mean)) + np.array([-half, half])))))


def test_classification(bench, only, rng):
    scores, opened = rng.uniform(size=(3, 20)), rng.uniform(size=(3, 8))
    made = bench().split("home", "in-distribution")
    made.add("home", scores).add("home", opened, condition="open").add("home", scores / 2, condition="shuffled")
    table = score_table(made.results())
    assert list(table.columns) == SCORE_COLUMNS
    assert table["condition"].tolist() == ["standard", "open", "shuffled"]
    assert set(table["statistic"]) == {"mean"}
    row = only(table, condition="standard")
    assert row[["algorithm", "split", "role", "ways", "shots", "step"]].tolist() == [
        "maml",
        "home",
        "in-distribution",
        5,
        1,
        5,
    ]
    assert (row["interval"], row["seeds"], row["n_episodes"], row["diverged"]) == ("crossed", 3, 20, 0)
    assert row["score"] == pytest.approx(scores.mean()) and row["finite_mean"] == pytest.approx(scores.mean())
    headline = intervals.crossed(scores, bounds=(0, 1))
    assert (row["low"], row["high"]) == pytest.approx((headline.low, headline.high))
    for name, means in (
        ("seeds", scores.mean(axis=1)),
        ("episodes", scores.mean(axis=0)),
        ("disjoint", opened.mean(axis=0)),
    ):
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(bounded(means))
    assert row["disjoint_score"] == pytest.approx(opened.mean())


def test_the_interval_over_seeds_can_be_computed_from_the_runs(bench, only, rng):
    made = bench().split("home", "in-distribution").add("home", rng.uniform(size=(3, 20)))
    runs, row = run_table(made.results()), only(score_table(made.results()))
    assert list(runs.columns) == RUN_COLUMNS and len(runs) == 3
    assert (row["seeds_low"], row["seeds_high"]) == pytest.approx(bounded(runs["score"].to_numpy()))


def test_runs_tell_their_spread_and_their_divergence(bench, rng):
    losses = rng.uniform(0.5, 1.5, size=(2, 40))
    losses[1, 5], losses[1, 6] = np.inf, 1e4
    runs = run_table(bench("regression").split("sines", "in-distribution").add("sines", -losses).results())
    runs = runs.set_index(["seed", "statistic"])
    assert len(runs) == 6 and runs["diverged"].groupby("seed").unique().tolist() == [[0.0], [2 / 40]]
    assert runs.loc[(0, "mean"), "sd"] == pytest.approx(losses[0].std(ddof=1))
    assert runs.loc[(1, "mean"), "score"] == -np.inf
    assert runs.loc[(1, "iqm"), "score"] == pytest.approx(-stats.trim_mean(losses[1], 0.25))


def test_one_seed_falls_back_on_the_episodes(bench, only, rng):
    scores = rng.uniform(size=20)
    row = only(score_table(bench().split("home", "in-distribution").add("home", scores).results()))
    assert row["interval"] == "episodes, seeds not sampled"
    assert (row["low"], row["high"]) == pytest.approx(bounded(scores))
    assert (row["low"], row["high"]) == (row["episodes_low"], row["episodes_high"])
    assert np.isnan(
        row[["seeds_low", "seeds_high", "disjoint_score", "disjoint_low", "disjoint_high"]].astype(float)
    ).all()


def test_regression_shows_what_diverged_episodes_do(bench, only, rng):
    losses = rng.uniform(0.5, 1.5, size=(2, 40))
    losses[0, 3], losses[1, 5], losses[1, 6] = np.inf, np.nan, 1e4
    made = bench("regression", shots=5).split("sines", "in-distribution").add("sines", -losses)
    table = score_table(made.results())
    assert table["statistic"].tolist() == ["mean", "median", "iqm"]
    mean, median, iqm = (only(table, statistic=s) for s in ("mean", "median", "iqm"))
    assert mean["score"] == -np.inf and (mean["low"], mean["high"]) == (-np.inf, np.inf)
    worst = np.nan_to_num(losses, nan=np.inf)
    assert median["score"] == pytest.approx(-np.median(worst, axis=1).mean())
    assert iqm["score"] == pytest.approx(-stats.trim_mean(worst, 0.25, axis=1).mean())
    for row in (median, iqm):
        assert row["low"] < row["score"] < row["high"] and np.isfinite([row["low"], row["high"]]).all()
        assert row["episodes_low"] < row["score"] < row["episodes_high"]
        assert row["seeds_low"] < row["score"] < row["seeds_high"]
    assert (table["diverged"] == 3 / 80).all()
    fine = losses[np.isfinite(losses) & (losses < 40)]
    assert table["finite_mean"].tolist() == pytest.approx([-fine.mean()] * 3)


def test_no_finite_mean_if_everything_diverged(bench, only):
    made = bench("regression").split("sines", "in-distribution").add("sines", [[-np.inf] * 4] * 2)
    row = only(score_table(made.results()), statistic="iqm")
    assert row["diverged"] == 1 and row["score"] == -np.inf and np.isnan(row["finite_mean"])


def test_adaptation_curves(bench, only, rng):
    curve = {step: rng.uniform(size=(3, 20)) for step in (0, 1, 5, 10)}
    made = bench().split("home", "in-distribution")
    for step, scores in curve.items():
        made.add("home", scores, step=step, support_score=scores / 2, query_loss=np.where(scores < 0.1, np.nan, 1.0))
    made.add("home", curve[5], condition="open")
    table = step_table(made.results())
    assert list(table.columns) == STEP_COLUMNS
    assert table["step"].tolist() == [0, 1, 5, 10] and set(table["condition"]) == {"standard"}
    for step, scores in curve.items():
        row = only(table, step=step)
        assert row["score"] == pytest.approx(scores.mean()) and row["interval"] == "crossed"
        assert (row["low"], row["high"]) == pytest.approx(intervals.crossed(scores, bounds=(0, 1))[1:3])
        assert row["support_score"] == pytest.approx(scores.mean() / 2)
        assert row["diverged"] == pytest.approx((scores < 0.1).mean())
    assert table["diverged"].gt(0).any()


def test_scores_and_curves_agree_at_the_headline_step(bench, only, rng):
    made = bench("regression").split("sines", "in-distribution")
    made.add("sines", -rng.exponential(size=(1, 50))).add("sines", -rng.exponential(size=(1, 50)), step=0)
    results = made.results()
    for statistic in ("mean", "median", "iqm"):
        score, step = (
            only(score_table(results), statistic=statistic),
            only(step_table(results), statistic=statistic, step=5),
        )
        shared = ["score", "low", "high", "interval", "seeds", "n_episodes", "diverged"]
        assert score[shared].tolist() == step[shared].tolist()
