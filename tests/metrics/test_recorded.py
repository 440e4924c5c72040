"""Metrics of a suite: checked, recorded, read back, and written for others."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metagap import registry, results
from metagap.analysis.grids import Grids
from metagap.analysis.published_values import published_table
from metagap.analysis.scores import score_table
from metagap.cli import main
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.metrics import find
from metagap.report.frames import Frames
from metagap.runner.cell import run_cell
from metagap.runner.preflight import check
from metagap.suite import expand, load_suite
from packages import install

CPU = Machine("cpu", engine="loop plain eager")
WAVES = """
title = "Waves"
task = { kind = "regression", shots = 3, queries = 4 }
model = { name = "mlp", hidden = [4] }
source = "sinusoid"
training = { iterations = 2, meta_batch = 2, validations = 1, validation_episodes = 2 }
evaluation = { episodes = 4, steps = 1, diagnostics = [] }
algorithms.maml = {}
splits = [{ name = "old", role = "meta-train" }, { name = "new", role = "in-distribution" }]
"""
GLYPHS = """
title = "Glyphs"
task = { ways = 3, shots = 1, queries = 4 }
model = { name = "mlp", hidden = [4] }
source = { name = "glyphs", image_size = 8 }
training = { iterations = 1, meta_batch = 2 }
evaluation = { episodes = 6, steps = 1, diagnostics = [] }
algorithms.maml = {}
splits = [{ name = "new", role = "in-distribution", classes = "test" }]
published = [{ algorithm = "maml", split = "new", value = 0.9, source = "nobody", mark = "V" }]
"""
PLUGIN = '''"""A metric of somebody else's."""
from metagap.metrics import Margin, Metric


def worst(output, y):
    return (output - y).abs().max()


WORST = Metric(
    name="worst-error", label="worst error", about="The greatest absolute error.", kinds=("regression",),
    function=worst, higher_is_better=False, bounds=(0, float("inf")), statistic="median", margin=Margin(0.1, True),
)
'''


def suite(folder: Path, text: str, *changes: str):
    path = folder / "tiny.toml"
    path.write_text(text)
    return load_suite(str(path), changes)


def run(folder: Path, text: str, *changes: str):
    """The only cell of a suite, run."""
    (cell,) = expand(suite(folder, text, *changes))
    run_cell(cell, folder / "results", CPU)
    return results.read(folder / "results", "tiny", cell.variant)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ('["acuracy"]', r"evaluation\.metrics\.0: unknown metric 'acuracy'; did you mean 'accuracy'\?"),
        (
            '["accuracy", "mae"]',
            r"metrics\.1: metric 'mae' is for regression, not for classification; allowed: acc",
        ),
        ('["accuracy", "accuracy"]', "'accuracy' is listed twice"),
        ("[]", "should have 1 or more items"),
        ('["nowhere.py:TOP"]', r"metrics\.0: no file 'nowhere\.py' to take a metric from; write it as .*:NAME"),
        ('["macro-f1"]', r"evaluation\.metrics lacks 'accuracy', which the published values are"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, metrics, said):
    with pytest.raises(UserError, match=said):
        suite(tmp_path, GLYPHS, f"evaluation.metrics={metrics}")


def test_an_algorithm_has_no_metrics_of_its_own(tmp_path):
    with pytest.raises(UserError, match=r"algorithms\.maml\.evaluation: unknown key 'metrics': all algorithms have"):
        suite(tmp_path, GLYPHS, 'algorithms.maml.evaluation={metrics = ["ece"]}')


def test_the_first_is_the_headline_and_all_are_recorded(tmp_path):
    found = run(tmp_path, WAVES, 'evaluation.metrics=["mae", "mse", "rmse"]')
    rows = found.episodes
    assert [metric.name for metric in found.metrics] == ["mae", "mse", "rmse"]
    for part in ("query", "support"):
        assert np.allclose(rows[f"{part}_rmse"] ** 2, rows[f"{part}_mse"])
        assert np.allclose(rows[f"{part}_mse"], rows[f"{part}_loss"])
        assert (-rows[f"{part}_score"] <= rows[f"{part}_rmse"] + 1e-6).all()  # the mean is at most the root mean square
    assert len(rows) == 2 * 4 * 2  # splits, episodes, inner steps 0 and 1


def test_tables_of_any_recorded_metric(tmp_path):
    found = run(tmp_path, GLYPHS, 'evaluation.metrics=["macro-f1", "accuracy", "ece"]')
    natural = found.episodes.query("step == 1").groupby("split")["query_ece"].mean()
    table = score_table(found, metric=find("ece"))
    assert table.loc[0, "score"] == pytest.approx(-natural["new"])
    assert set(table["metric"]) == {"ece"} and set(score_table(found)["metric"]) == {"macro-f1"}
    assert Grids(found, find("nll")).keys == []
    accuracy = found.episodes.query("step == 1")["query_accuracy"].mean()
    assert published_table(found, find("accuracy")).loc[0, "ours"] == pytest.approx(accuracy)
    assert published_table(found).empty  # none is of the headline metric


def test_a_published_value_may_be_of_any_recorded_metric(tmp_path):
    metrics = 'evaluation.metrics=["accuracy", "ece"]'
    of_ece = GLYPHS.replace("value = 0.9", 'metric = "ece", value = 0.1')
    found = run(tmp_path, of_ece, metrics)
    (row,) = published_table(found, find("ece")).to_dict("records")
    assert row["ours"] == pytest.approx(found.episodes.query("step == 1")["query_ece"].mean())
    assert (row["published"], row["margin"]) == (0.1, find("ece").margin.around(0.1))
    assert published_table(found).empty
    with pytest.raises(UserError, match=r"published\.0: key 'metric' = 'nll'.*record it; allowed: accuracy, ece"):
        suite(tmp_path, of_ece.replace('"ece"', '"nll"'), metrics)
    with pytest.raises(UserError, match=r"published\.0: value = 90\.0 is no .*; allowed: 0 to 1"):
        suite(tmp_path, of_ece.replace("0.1", "90.0"), metrics)


def test_no_metrics_are_those_of_the_kind_and_of_old_records(tmp_path):
    found = run(tmp_path, WAVES)
    assert [metric.name for metric in found.metrics] == ["mse"]
    assert np.allclose(-found.episodes["query_score"], found.episodes["query_loss"])
    (marker,) = (tmp_path / "results").glob("tiny/*/*/done-*.json")
    told = results.read_marker(marker)
    assert told is not None
    old = results.assemble({("maml", 0): (marker.parent, {k: v for k, v in told.items() if k != "metrics"})}, [])
    assert old.metrics == found.metrics or old.metric.name == found.metric.name


def test_another_headline_may_select_other_weights(tmp_path):
    validated = WAVES.replace("splits = [", 'splits = [{ name = "val", role = "meta-val" }, ')
    hashes = {
        metrics: expand(suite(tmp_path, text, f"evaluation.metrics={metrics}"))[0].hash
        for metrics in ('["mse"]', '["mse", "mae"]', '["mae"]')
        for text in [validated]
    }
    assert hashes['["mse"]'] == hashes['["mse", "mae"]'] != hashes['["mae"]']
    unvalidated = {expand(suite(tmp_path, WAVES, f'evaluation.metrics=["{name}"]'))[0].hash for name in ("mse", "mae")}
    assert len(unvalidated) == 1


def test_other_metrics_are_another_variant(tmp_path):
    one, two = (
        expand(suite(tmp_path, WAVES, f"evaluation.metrics={metrics}"))[0] for metrics in ('["mse"]', '["mse", "mae"]')
    )
    assert one.variant != two.variant


def test_a_metric_that_fails_is_found_before_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text(PLUGIN.replace(".abs().max()", ".abs()"))
    cells = expand(suite(tmp_path, WAVES, 'evaluation.metrics=["mse", "bad.py:WORST"]'))
    with pytest.raises(UserError, match=r"metric 'worst-error' gives float32 \(4, 1\); allowed: a tensor of shape"):
        check(cells)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that registers a metric by an entry point."""
    site = tmp_path / "site"
    install(site, "weather_metrics", {"metrics": {"worst-error": "weather_metrics:WORST"}}, PLUGIN)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(site))
        registry._claims.cache_clear()
        yield patch
    registry._claims.cache_clear()


@pytest.mark.parametrize("name", ["worst-error", "mine.py:WORST"])
def test_a_plugin_is_recorded_and_reported_without_it(tmp_path, monkeypatch, installed, name):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(PLUGIN)
    rows = run(tmp_path, WAVES, f'evaluation.metrics=["mse", "{name}"]').episodes
    assert (rows["query_worst-error"] ** 2 >= rows["query_loss"] - 1e-6).all()
    Path("mine.py").unlink()
    installed.undo()
    registry._claims.cache_clear()
    scores = Frames.of(results.read(tmp_path / "results", "tiny")).data("scores")
    assert set(scores["metric"]) == {"mse", "worst-error"}
    assert set(scores.query("metric == 'worst-error'")["statistic"]) == {"mean", "median", "iqm"}


@pytest.mark.slow
def test_every_metric_is_in_the_files_of_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run(tmp_path, WAVES, 'evaluation.metrics=["mse", "mae"]')
    monkeypatch.setattr(sys, "argv", ["metagap", "report", "tiny", "--results", "results", "--json"])
    with suppress(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out)
    written = pd.read_csv("reports/tiny/tables/data/scores.csv")
    assert {row["metric"] for row in told["scores"]} == set(written["metric"]) == {"mse", "mae"}
