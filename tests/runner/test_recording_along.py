"""Scores along training: nothing else changes by them, snapshots survive interruptions, damage is mended."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from metagap import results
from metagap.machine import Machine
from metagap.runner import train
from metagap.runner.cell import is_done, run_cell
from metagap.suite import Cell, expand, load_suite
from tiny_suites import write

EAGER = Machine("cpu", engine="loop plain eager")
ASKED = {"checkpoints": 3, "checkpoint_episodes": 4, "quantities": ["adaptation-norm"], "quantity_episodes": 2}
ALGORITHMS = {
    "maml": {"inner_lr": 0.1},
    "reptile": {"training": {"optimizer": "sgd", "lr": 1.0, "shots": 2}},
    "protonet": {},
    "scratch": {},
}
VALIDATED = [
    {"name": "new", "role": "in-distribution", "classes": "test"},
    {"name": "val", "role": "meta-val", "classes": "val"},
]
TINY = {"model": {"name": "mlp", "hidden": [8], "filters": None}, "algorithms": ALGORITHMS, "splits": VALIDATED}


def cells(folder: Path, **evaluation) -> dict[str, Cell]:
    """A cell of each algorithm, of seed 0."""
    path = write(folder, "images", **TINY, evaluation={"steps": 2, **evaluation})
    return {cell.label: cell for cell in expand(load_suite(str(path)))}


def files(cell: Cell, store: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(cell.folder(store).glob(pattern))}


def trained(cell: Cell, store: Path) -> dict[str, torch.Tensor]:
    return torch.load(cell.folder(store) / "checkpoint.pt", weights_only=True)["selected"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Path, dict[str, Cell], dict[str, Cell]]:
    """A store with every algorithm without and with checkpoints and quantities, in folders of these names."""
    store = tmp_path_factory.mktemp("both")
    plain, watched = cells(store), cells(store, **ASKED)
    for label, cell in plain.items():
        run_cell(cell, store / "plain", EAGER)
        run_cell(watched[label], store / "watched", EAGER)
    return store, plain, watched


@pytest.mark.parametrize("label", ALGORITHMS)
def test_nothing_else_changes_to_the_last_bit(both, label):
    store, plain, watched = both
    cell, other = plain[label], watched[label]
    assert cell.hash == other.hash
    assert same(trained(cell, store / "plain"), trained(other, store / "watched"))
    found = files(cell, store / "plain", "evaluation/*.parquet")
    assert len(found) == 1
    assert found == files(other, store / "watched", "evaluation/*.parquet")
    curves = [
        results.read_frame(one.folder(store / name) / "curve.parquet").drop(columns="seconds")
        for one, name in ((cell, "plain"), (other, "watched"))
    ]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


def test_what_is_recorded(both):
    store, _, watched = both
    found = results.read(store / "watched", "tiny")
    assert found.iterations("maml") == [0, 2, 4, 6]
    assert found.iterations("scratch") == [0]
    assert found.iterations() == [0, 2, 4, 6]
    counts = found.along.groupby(["algorithm", "split", "role", "iteration"]).size()
    assert set(counts) == {4} and len(counts) == (3 * 4 + 1) * 2
    assert set(found.along["step"]) == {2} and set(found.along["condition"]) == {"standard"}
    marker = results.read_marker(next(watched["maml"].folder(store / "watched").glob("done-*")))
    assert marker and {"snapshots/2.pt", "snapshots/4.pt", "snapshots/6.pt"} < set(marker["sha256"])


def test_the_end_of_training_scores_as_in_the_evaluation(both):
    store, *_ = both
    found = results.read(store / "watched", "tiny")
    best = found.cells.set_index("algorithm")["selected_iteration"]
    for label, of_along in found.along[found.along["split"] == "new"].groupby("algorithm"):
        points = of_along[of_along["iteration"] == (6 if best[label] == 6 else best[label])]
        rows = found.episodes
        rows = rows[(rows["algorithm"] == label) & (rows["condition"] == "standard") & (rows["step"] == 2)]
        if len(points):  # the selected iteration is one of the points
            usual = rows.set_index("episode").loc[points["episode"], "query_loss"]
            np.testing.assert_allclose(points["query_loss"], usual, rtol=1e-5)
    starts = found.along[(found.along["iteration"] == 0) & (found.along["split"] == "new")]
    assert starts.groupby("algorithm")["query_loss"].mean().nunique() > 1


def test_results_at_a_point_are_results(both):
    store, *_ = both
    found = results.read(store / "watched", "tiny")
    at = found.at(4)
    assert set(at.episodes["algorithm"]) == set(ALGORITHMS)  # scratch is the same at every point
    assert len(at.episodes) == 4 * 2 * 4 and set(at.columns.algorithms) == set(ALGORITHMS)
    rows = found.along[(found.along["algorithm"] == "maml") & (found.along["iteration"] == 4)]
    shown = at.episodes[at.episodes["algorithm"] == "maml"]
    assert shown["query_score"].tolist() == rows["query_score"].tolist()
    with pytest.raises(results.DamagedError.__base__, match="nothing was scored at iteration 3; allowed: 0, 2, 4, 6"):
        found.at(3)


class Stop(Exception):
    """An interruption."""


@pytest.mark.parametrize("stop", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(5, marks=pytest.mark.slow)])
def test_an_interrupted_training_has_the_same_snapshots(both, tmp_path, stop):
    store, _, watched = both
    cell = watched["maml"]

    def interrupt(phase: str, done: int, total: int) -> None:
        if phase == "training" and done == stop:
            raise Stop

    often = dataclasses.replace(EAGER, checkpoint_seconds=0.0)
    with pytest.raises(Stop):
        run_cell(cell, tmp_path, often, interrupt)
    started = []
    run_cell(cell, tmp_path, EAGER, lambda phase, done, total: started.append(done) if phase == "training" else None)
    assert started[0] == stop  # it went on where the last checkpoint was
    assert files(cell, tmp_path, "along/*.parquet") == files(cell, store / "watched", "along/*.parquet")


def test_a_finished_cell_is_trained_again_for_snapshots_and_stays_what_it_is(both, tmp_path, caplog):
    store, plain, watched = both
    cell, other = plain["maml"], watched["maml"]
    shutil.copytree(store / "plain", tmp_path / "s")
    before = files(cell, tmp_path / "s", "*.pt") | files(cell, tmp_path / "s", "*.parquet")
    caplog.set_level(logging.INFO, "metagap")
    run_cell(other, tmp_path / "s", EAGER)
    assert "is trained again, for the snapshots that it lacks" in caplog.text
    assert is_done(cell, tmp_path / "s") and is_done(other, tmp_path / "s")
    assert files(cell, tmp_path / "s", "*.pt") | files(cell, tmp_path / "s", "*.parquet") == before
    assert files(other, tmp_path / "s", "along/*.parquet") == files(other, store / "watched", "along/*.parquet")


def test_weights_that_come_out_otherwise_replace_the_old_ones_and_this_is_said(both, tmp_path, caplog, monkeypatch):
    store, plain, watched = both
    cell, other = plain["protonet"], watched["protonet"]
    shutil.copytree(store / "plain", tmp_path / "s")
    seed_of = train.seed_of
    monkeypatch.setattr(train, "seed_of", lambda purpose, seed: seed_of(f"other {purpose}", seed))  # another machine
    run_cell(other, tmp_path / "s", EAGER)
    assert "trained again, it has other weights" in caplog.text and "is of other weights" in caplog.text
    assert not same(trained(other, tmp_path / "s"), trained(cell, store / "plain"))
    assert is_done(other, tmp_path / "s") and not is_done(cell, tmp_path / "s")
    found = results.read(tmp_path / "s", "tiny", other.variant)
    assert found.iterations("protonet") == [0, 2, 4, 6]


@pytest.mark.parametrize(
    "pattern", ["along/*.parquet", pytest.param("along/*.json", marks=pytest.mark.slow), "snapshots/4.pt"]
)
def test_damage_is_set_aside_and_mended(both, tmp_path, pattern, caplog):
    store, _, watched = both
    cell = watched["maml"]
    shutil.copytree(store / "watched", tmp_path / "s")
    folder = cell.folder(tmp_path / "s")
    whole = files(cell, tmp_path / "s", "along/*.parquet")
    path = sorted(folder.glob(pattern))[0]
    path.write_bytes(path.read_bytes()[:-9])
    if not pattern.endswith("parquet"):  # what is of no use to a finished cell is not looked at
        assert is_done(cell, tmp_path / "s")
        next(folder.glob("done-*")).unlink()
    else:
        assert not is_done(cell, tmp_path / "s")
        found = results.read(tmp_path / "s", "tiny")
        assert any(str(path) in note and "along training" in note for note in found.notes)
        assert len(found.along[found.along["algorithm"] == "maml"]["split"].unique()) == 1
    run_cell(cell, tmp_path / "s", EAGER)
    assert str(path) in caplog.text and path.with_name(f"{path.name}.damaged").is_file()
    assert is_done(cell, tmp_path / "s")
    assert files(cell, tmp_path / "s", "along/*.parquet") == whole


def test_a_training_that_is_stopped_is_there_at_every_point(tmp_path):
    path = write(tmp_path, training={"lr": 1e30}, evaluation=ASKED, algorithms={"maml": {"inner_lr": 1e30}})
    cell = expand(load_suite(str(path)))[0]
    run_cell(cell, tmp_path, EAGER)
    found = results.read(tmp_path, "tiny")
    assert found.cells["iterations"].item() < 4
    assert found.iterations("maml") == [0, 2, 3, 4]
    assert found.along[found.along["iteration"] == 4]["query_loss"].isna().all()
