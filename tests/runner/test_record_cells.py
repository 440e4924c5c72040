"""Cells on examples of a file: splits are scaled and labelled as training is, and show no task of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch

from metagap import results
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.runner.cell import run_cell
from metagap.runner.context import TrainingContext
from metagap.runner.preflight import check
from metagap.suite import Cell, expand, load_suite
from tiny_suites import merged

CPU = Machine("cpu", engine="loop plain eager")

OWN = '''"""Forty tasks of thirty examples, of which those of domain b lie elsewhere."""
import numpy as np
from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import Records


class Own(RecordSource):
    """Two numbers."""

    licence = citation = "none"

    def records(self):
        random = np.random.default_rng(0)
        task, domain = np.repeat(np.arange(40), 30), np.tile(["a"] * 15 + ["b"] * 15, 40)
        z, slope = random.normal(size=(1200, 2)), random.normal(size=(40, 2))[task]
        x, y = (5 + 10 * (domain == "b")[:, None] + 2 * z).astype(np.float32), (z * slope).sum(1)
        task = np.char.add("t", task.astype(str))
        if self.kind == "regression":
            return Records(x, np.stack([y, 2 * y], 1).astype(np.float32), task=task, domain=domain)
        return Records(x, (y > 0).astype(int), ["low", "high"], task, domain)
'''

SUITE = {
    "title": "Own",
    "task": {"ways": 2, "shots": 1, "queries": 1},
    "model": {"name": "mlp", "hidden": [8]},
    "source": {"name": "own.py:Own", "domains": ["a"], "labels": "fixed"},
    "training": {"iterations": 2, "meta_batch": 2},
    "evaluation": {"episodes": 4, "steps": 1, "diagnostics": ["open"]},
    "algorithms": {"maml": {}, "pretrain": {}},
    "splits": [
        {"name": "old", "role": "meta-train", "classes": "train"},
        {"name": "new", "role": "in-distribution", "classes": "test"},
        {"name": "b", "role": "cross-domain", "classes": "test", "source": {"domains": ["b"]}},
    ],
}
POINTS = {"task": {"kind": "regression", "ways": None, "shots": 5}, "source": {"labels": None}}


def cells(folder: Path, monkeypatch, **changes) -> list[Cell]:
    monkeypatch.chdir(folder)
    (folder / "own.py").write_text(OWN)
    (folder / "own.toml").write_text(tomli_w.dumps(merged(SUITE, changes)))
    return expand(load_suite("own.toml"))


@pytest.mark.filterwarnings("error:Using a target size")
@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, []), (POINTS, ["Training: targets are scaled, and their 1 is 1.229, 2.458 of the file."])],
    ids=["classification", "regression"],
)
def test_a_suite_runs(tmp_path, monkeypatch, changes, said):
    found = cells(tmp_path, monkeypatch, **changes)
    assert check(found) == said
    for cell in found:
        run_cell(cell, tmp_path / "results", CPU)
    episodes = results.read(tmp_path / "results", "own").episodes
    assert set(episodes["split"]) == {"old", "new", "b"}
    assert np.isfinite(episodes["query_score"]).all()


def test_splits_are_scaled_and_labelled_as_training_is(tmp_path, monkeypatch):
    cell, _ = cells(tmp_path, monkeypatch)
    context = TrainingContext(cell, CPU)
    far, near = (context.sampler(split, "test").episodes(40) for split in cell.suite.splits[:0:-1])
    assert far.query_x.mean() == pytest.approx(5, abs=0.5)  # ten more than the training examples, whose deviation is 2
    assert near.query_x.mean() == pytest.approx(0, abs=0.2)
    assert torch.equal(far.classes, torch.arange(2).expand(40, 2))


def test_tasks_that_are_trained_on_are_no_new_ones(tmp_path, monkeypatch):
    for changes in ({}, POINTS):
        splits = [SUITE["splits"][0], {**SUITE["splits"][1], "classes": "all"}]
        with pytest.raises(UserError, match="role in-distribution must not contain training classes; allowed: 'val'"):
            cells(tmp_path, monkeypatch, **changes, splits=splits)


def test_the_bayes_predictor_refuses_several_targets(tmp_path, monkeypatch):
    algorithms = {"maml": None, "pretrain": None, "bayes": {}}
    with pytest.raises(UserError, match="algorithm Bayes predicts one target, and the tasks have 2"):
        check(cells(tmp_path, monkeypatch, **POINTS, algorithms=algorithms))


LEAKS = {
    "another list": ({"train": ["t3"], "test": ["t1", "t2"]}, "test", "2 of its 2 tasks are trained on: t1, t2"),
    "another domain": ({"domains": ["b"]}, "train", "24 of its 24 tasks are trained on: "),
    "another file": ({"name": "copy.py:Own", "domains": ["a"]}, "train", "24 of its 24 tasks are trained on: "),
}


@pytest.mark.parametrize("case", LEAKS)
def test_new_tasks_are_none_that_are_trained_on(tmp_path, monkeypatch, case):
    own, classes, said = LEAKS[case]
    (tmp_path / "copy.py").write_text(OWN)
    base = {"train": ["t1", "t2", "t3"]} if "test" in own else {}
    splits = [{"name": "new", "role": "in-distribution", "classes": classes, "source": own}]
    with pytest.raises(UserError) as raised:
        check(cells(tmp_path, monkeypatch, source=base, splits=splits))
    assert f"split 'new': {said}" in str(raised.value) and "role in-distribution needs new ones" in str(raised.value)
