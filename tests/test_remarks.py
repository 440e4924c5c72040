"""What is to be known of the data is said at the start of a run and beside its results."""

from __future__ import annotations

import numpy as np

from metagap import results
from metagap.machine import Machine
from metagap.runner.cell import run_cell
from metagap.runner.preflight import check
from metagap.runner.score import missing
from metagap.suite import Split, expand, load_suite

SUITE = """
title = "Own images"
seeds = [0]
[task]
ways = 2
shots = 1
queries = 2
[model]
name = "mlp"
hidden = [4]
[source]
name = "path:{path}"
image_size = 4
white_level = 100.0
[training]
iterations = 1
meta_batch = 2
[evaluation]
episodes = 2
steps = 1
diagnostics = []
[algorithms.maml]
[[splits]]
name = "new"
role = "in-distribution"
classes = "test"
"""


def test_small_classes_and_notes_on_files_are_said(tmp_path):
    labels = np.repeat(np.arange(20), [5, 3, 1, 3] * 5)
    np.savez(tmp_path / "mine.npz", images=np.arange(60)[:, None, None] * np.ones((60, 4, 4)), labels=labels)
    (tmp_path / "own.toml").write_text(SUITE.format(path=tmp_path / "mine.npz"), encoding="utf-8")
    (cell,) = cells = expand(load_suite(str(tmp_path / "own.toml")))
    said = [
        f"path:{tmp_path / 'mine.npz'}: the value 100 is white.",
        "Training: 3 of 12 classes have fewer than 3 images and are never drawn.",
        "Split 'new': 1 of 4 classes has fewer than 3 images and is never drawn.",
    ]
    assert check(cells) == said
    run_cell(cell, tmp_path / "results", Machine("cpu"))
    assert [note for note in results.read(tmp_path / "results", "own").notes if note in said] == said


def test_what_is_missing_is_named_without_the_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("METAGAP_DATA", str(tmp_path))
    fault = missing(Split(name="far", role="cross-domain", source={"name": "mnist"}))
    assert "no file 'MNIST/raw/" in fault and str(tmp_path) not in fault
