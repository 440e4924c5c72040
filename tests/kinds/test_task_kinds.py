"""Kinds of task: what depends on the kind is said by its object, and a plugin's is as good as ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import mean_poisson_deviance

from metagap import kinds, results
from metagap.algorithms.base import score
from metagap.algorithms.maml import MAML
from metagap.errors import UserError
from metagap.kinds.classification import CLASSIFICATION
from metagap.kinds.regression import REGRESSION
from metagap.listing import KINDS
from metagap.machine import Machine
from metagap.models.mlp import MLP
from metagap.report.frames import Frames
from metagap.runner.cell import run_cell
from metagap.runner.preflight import check
from metagap.suite import expand, load_suite
from metagap.tasks.episode import TaskSpec

EXAMPLE = Path(__file__).parents[2] / "benchmark" / "examples" / "task_kind.py"
BURSTS = """
title = "Bursts"
task = { kind = "counts.py:COUNTS", shots = 3, queries = 4 }
model = { name = "mlp", hidden = [4] }
source = "counts.py:Bursts"
training = { iterations = 2, meta_batch = 2 }
evaluation = { episodes = 5, steps = 1, diagnostics = [] }
algorithms.maml = {}
splits = [{ name = "old", role = "meta-train" }, { name = "new", role = "in-distribution", classes = "test" }]
"""


def test_a_kind_equals_its_name():
    spec = TaskSpec("classification", 5, 1, 15)
    assert spec.kind is CLASSIFICATION and spec.kind == "classification" and spec.kind != "regression"
    assert spec == TaskSpec(CLASSIFICATION, 5, 1, 15) and {"classification": 1}[spec.kind] == 1
    assert spec._replace(shots=5).kind is CLASSIFICATION
    with pytest.raises(UserError, match="unknown kind 'clasification'; did you mean 'classification'"):
        TaskSpec("clasification", 5, 1, 15)


@pytest.mark.parametrize(
    ("kind", "ways", "fault"),
    [
        (CLASSIFICATION, 5, ""),
        (CLASSIFICATION, 1, "classification needs ways of 2 or more"),
        (REGRESSION, 1, ""),
        (REGRESSION, 2, "regression has no ways: leave the key out"),
    ],
)
def test_ways(kind, ways, fault):
    assert kind.fault_of_ways(ways) == fault


def test_shapes_in_words():
    assert (CLASSIFICATION.shape(5, 1), REGRESSION.shape(1, 10)) == ("5-way 1-shot", "10-shot")


def test_every_kind_is_complete():
    assert kinds.names() == ["classification", "control", "regression"] and "kinds" in KINDS
    for name in kinds.names():
        kind = kinds.find(name)
        assert all(callable(f()) for f in (kind.loss_function, kind.trivial_loss_function, kind.drawing_function))
        assert all(kind.allows(metric) for metric in kind.default_metrics)


def test_trivial_losses():
    labels = torch.tensor([[0, 1, 2], [2, 1, 0]])
    assert CLASSIFICATION.trivial_loss_function()(labels, 3).tolist() == pytest.approx([np.log(3)] * 2)
    assert REGRESSION.trivial_loss_function()(torch.tensor([[[1.0], [3.0]]]), 1).tolist() == [5.0]


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_training_score_is_what_it_was(kind):
    spec = TaskSpec(kind, 3 if kind == "classification" else 1, 2, 2)
    algorithm = MAML().bind(MLP((1,), spec.ways, [4]), spec)
    output = torch.randn(6, spec.ways, generator=torch.Generator().manual_seed(0))
    y = torch.arange(6) % 3 if kind == "classification" else output + 0.5
    assert torch.equal(algorithm.score(output, y), score(output, y))
    assert (algorithm.score(output, y) <= 0) == (kind == "regression")


def test_an_unknown_kind_is_said_once(tmp_path):
    path = tmp_path / "bursts.toml"
    path.write_text(BURSTS.replace("counts.py:COUNTS", "count").replace('"counts.py:Bursts"', '"sinusoid"'))
    with pytest.raises(UserError, match=r"key 'task\.kind' = 'count': unknown kind 'count'; .*allowed: cl") as error:
        load_suite(str(path))
    assert str(error.value).count("unknown kind") == 1


@pytest.fixture
def bursts(tmp_path, monkeypatch):
    """A folder with the example of the guide and a suite that uses it."""
    monkeypatch.chdir(tmp_path)
    Path("counts.py").write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    Path("bursts.toml").write_text(BURSTS)


def test_a_plugin_is_trained_scored_and_reported(bursts):
    (cell,) = expand(load_suite("bursts.toml"))
    assert check([cell]) == []
    run_cell(cell, Path("results"), Machine("cpu", engine="loop plain eager"))
    found = results.read(Path("results"), "bursts")
    assert found.metric.label == "Poisson deviance" and (found.episodes["query_score"] <= 0).all()
    assert (found.episodes["null_loss"] == 1).all()
    frames = Frames.of(found)
    assert frames.kind.shape(1, 3) == "3-shot"
    assert set(frames.scores["statistic"]) == {"mean", "median", "iqm"}
    assert frames.kind.drawing_function()(frames.samples["new"]).axes


def test_an_edited_kind_is_another_cell(bursts):
    (before,) = expand(load_suite("bursts.toml"))
    assert before.stated["kind_file"]
    before_hash = before.hash
    Path("more.py").write_text(EXAMPLE.read_text(encoding="utf-8").replace("return F.pois", "return 2 * F.pois"))
    (after,) = expand(load_suite("bursts.toml", ["task.kind=more.py:COUNTS"]))
    assert after.hash != before_hash


def test_a_corrected_kind_is_another_cell_and_todays_kinds_are_what_they_were(bursts, monkeypatch):
    (before,) = expand(load_suite("bursts.toml"))
    assert "kind" not in before.revisions
    monkeypatch.setattr(kinds, "find", lambda name, found=kinds.find: replace(found(name), revision=2))
    (after,) = expand(load_suite("bursts.toml"))
    assert after.revisions == before.revisions | {"kind": 2}
    assert after.hash != before.hash and after.variant != before.variant


def test_the_examples_deviance_is_that_of_scikit_learn(bursts):
    kind = kinds.find("counts.py:COUNTS")
    rates, rng = np.array([0.5, 1.0, 3.0, 8.0]), np.random.default_rng(0)
    counts = stats.poisson(rates).rvs(random_state=rng)
    logs, y = torch.tensor(np.log(rates))[:, None], torch.tensor(counts, dtype=torch.float64)[:, None]
    assert float(kind.metric.tensor_function()(logs, y)) == pytest.approx(mean_poisson_deviance(counts, rates))
