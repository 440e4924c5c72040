"""Corrections of the code make other cells; results of earlier versions are read, and said to be such."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tiny_store import CPU, WAVES, load

from metagap import registry, results
from metagap.algorithms.maml import FOMAML, MAML
from metagap.models.mlp import MLP
from metagap.runner.cell import is_done, run_cell
from metagap.suite import cell as cells_of

PROJECT = Path(__file__).parents[2]


def as_earlier(folder: Path) -> None:
    """Make a finished cell one of the version that did not know revisions."""
    config = results.read_json(folder / "config.json")
    del config["revisions"], config["training_classes"], config["source_file"], config["model_file"]
    digest = results.write_json(folder / "config.json", config)
    (path,) = folder.glob("done-*.json")
    marker = results.read_signed(path)
    del marker["revisions"]
    marker |= {"format": 2, "hash": "0123456789", "sha256": marker["sha256"] | {"config.json": digest}}
    path.unlink()
    folder = folder.rename(folder.with_name(f"{marker['seed']}-0123456789"))
    results.write_signed(folder / path.name, marker)


@pytest.mark.parametrize(
    ("corrected", "changed"),
    [
        (MAML, {"maml"}),  # scratch is no MAML
        (MLP, {"maml", "scratch"}),
    ],
)
def test_a_correction_makes_other_cells_of_what_it_concerns(tmp_path, monkeypatch, corrected, changed):
    before = {cell.label: cell for cell in load(tmp_path)}
    monkeypatch.setattr(corrected, "revision", 2, raising=False)
    after = {cell.label: cell for cell in load(tmp_path)}
    assert {label for label in before if before[label].hash != after[label].hash} == changed
    assert (before["maml"].variant != after["maml"].variant) == (corrected is MLP)


def test_corrections_of_a_base_count_too(monkeypatch):
    assert registry.revision("algorithm", "fomaml") == 1
    monkeypatch.setattr(MAML, "revision", 3)
    assert registry.revision("algorithm", "fomaml") == 3
    monkeypatch.setattr(FOMAML, "revision", 2)
    assert registry.revision("algorithm", "fomaml") == 4


def test_a_corrected_training_makes_every_cell_another(tmp_path, monkeypatch):
    before = {cell.hash for cell in load(tmp_path)}
    monkeypatch.setattr(cells_of, "TRAINING_REVISION", 2)
    assert before.isdisjoint(cell.hash for cell in load(tmp_path))


def test_results_of_an_earlier_version_are_read_and_not_used_again(store):
    folder, (cell, _) = store
    expected = results.read(folder, "tiny").episodes
    as_earlier(cell.folder(folder))
    found = results.read(folder, "tiny")
    assert found.episodes.equals(expected)
    assert [note for note in found.notes if note.startswith("1 cell(s) are of an earlier version of metagap")]
    assert not is_done(cell, folder)
    assert [one.marker["label"] for one in results.survey(folder / "tiny").earlier] == ["maml"]


def test_settings_are_not_mixed_between_seeds(store):
    folder, _ = store
    for change in (["seeds=[1]"], ["algorithms.maml.inner_lr=0.5", "seeds=[1,2]"]):
        run_cell(load(folder, WAVES, *change)[0], folder, CPU)
    found = results.read(folder, "tiny")  # seed 1 of the second was finished last
    assert found.cells.query("algorithm == 'maml'")["seed"].tolist() == [1]
    assert found.suite.algorithms["maml"].hyperparameters["inner_lr"] == 0.5
    told = "maml was run with several settings; the last ones are shown, others (seed 0, 1) are not."
    assert told in found.notes
    first = {cell.hash for cell in load(folder, WAVES, "seeds=[0,1]")}
    found = results.read(folder, "tiny", hashes=first)
    assert found.cells.query("algorithm == 'maml'")["seed"].tolist() == [0, 1]


def test_the_last_one_is_the_last_by_its_marker_and_not_by_its_file(store):
    folder, _ = store
    other = load(folder, WAVES, "algorithms.maml.inner_lr=0.5")[0]
    run_cell(other, folder, CPU)
    for path in other.folder(folder).iterdir():
        os.utime(path, (10**9, 10**9))
    copy = folder / "copy"
    shutil.copytree(folder / "tiny", copy / "tiny", copy_function=shutil.copyfile)
    for place in (folder, copy):
        assert results.read(place, "tiny").suite.algorithms["maml"].hyperparameters["inner_lr"] == 0.5


def test_the_records_that_were_committed_are_of_an_earlier_version():
    suites = sorted(path.parent.name for path in (PROJECT / "results/reference").glob("*/maml"))
    assert "sinusoid" in suites
    found = results.read(PROJECT / "results/reference", "sinusoid")
    assert len(found.cells) and any("of an earlier version of metagap" in note for note in found.notes)
