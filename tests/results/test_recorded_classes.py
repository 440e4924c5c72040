"""Which classes the test episodes hold: recorded next to the scores, and checked like them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from tiny_store import CPU, load

from metagap import results
from metagap.analysis.grids import Grids
from metagap.runner import score
from metagap.runner.cell import is_done, run_cell
from metagap.runner.context import TrainingContext
from metagap.suite import Cell
from tiny_suites import TASKS, merged

IMAGES = tomli_w.dumps(merged(TASKS["images"], {"training": {"iterations": 1}, "evaluation": {"diagnostics": []}}))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> tuple[Path, list[Cell]]:
    """A store with two finished cells of a suite of images."""
    folder = tmp_path_factory.mktemp("images")
    cells = load(folder, IMAGES)
    for cell in cells:
        run_cell(cell, folder, CPU)
    return folder, cells


@pytest.fixture
def copied(images, tmp_path) -> tuple[Path, list[Cell]]:
    shutil.copytree(images[0], tmp_path, dirs_exist_ok=True)
    return tmp_path, images[1]


def test_recorded_classes_are_those_of_the_images(images):
    folder, (cell, _) = images
    grids, context = Grids(results.read(folder, "tiny")), TrainingContext(cell, CPU)
    for split in cell.suite.test_splits:
        found = grids.classes(None, split.name)
        sampler = context.sampler(split, "test")
        episodes = sampler.episodes(6)
        store = sampler.tasks
        assert found is not None and found.shape == (6, 3)
        assert np.array_equal(found, grids.classes("maml", split.name))
        for classes, shown in zip(found, episodes.support_x, strict=True):
            for number, image in zip(classes, shown, strict=True):  # one shot: an image of each way
                own = store.images[store.start[number] : store.start[number] + store.size[number]]
                assert ((own.float() / 255 - store.mean) / store.std == image).flatten(1).all(1).any()


def test_functions_have_no_classes(store):
    folder, _ = store
    assert Grids(results.read(folder, "tiny")).classes("maml", "old") is None
    assert not list(folder.rglob("*-classes.npz"))


def test_records_without_classes_are_whole_and_stay_as_they_are(copied):
    folder, (cell, other) = copied
    marker = next(cell.folder(folder).glob("done-*.json"))
    known = results.read_signed(marker)
    known["sha256"] = {name: one for name, one in known["sha256"].items() if not name.endswith(results.CLASSES)}
    results.write_signed(marker, known)
    assert is_done(cell, folder) and is_done(other, folder)  # also with files that a later run put there
    for file in cell.folder(folder).rglob(f"*{results.CLASSES}"):
        file.unlink()
    assert is_done(cell, folder)
    grids = Grids(results.read(folder, "tiny"))
    assert grids.classes("maml", "new") is None and grids.classes(None, "new") is None
    assert grids.classes("scratch", "new") is not None


def test_damage_is_named_and_mended_without_scoring(copied, monkeypatch):
    folder, (cell, _) = copied
    path = next(cell.folder(folder).glob(f"evaluation/new-*{results.CLASSES}"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert not is_done(cell, folder)
    found = results.read(folder, "tiny")
    assert [note for note in found.notes if str(path) in note and "The classes of split 'new' are left out" in note]
    assert Grids(found).classes("maml", "new") is None and Grids(found).classes("maml", "old") is not None
    monkeypatch.setattr(score, "_score_split", None)
    run_cell(cell, folder, CPU)
    assert is_done(cell, folder) and path.read_bytes() == whole


def test_classes_of_cells_that_differ_are_not_told(images):
    found = results.read(images[0], "tiny")
    found.classes["scratch", 0, "new"] = found.classes["scratch", 0, "new"] + 1
    assert Grids(found).classes(None, "new") is None
    assert Grids(found).classes("maml", "new") is not None and Grids(found).classes(None, "old") is not None


@pytest.mark.parametrize("killed_at", ["write_arrays", "write_frame", "write_signed"])
def test_killed_between_files_it_resumes(copied, monkeypatch, killed_at):
    folder, (cell, _) = copied
    expected = {path.name: path.read_bytes() for path in cell.folder(folder).glob(f"evaluation/*{results.CLASSES}")}
    shutil.rmtree(cell.folder(folder) / "evaluation")
    real, calls = getattr(results, killed_at), []

    def killing(path, value):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(results, killed_at, killing)
        with pytest.raises(KeyboardInterrupt):
            run_cell(cell, folder, CPU)
    run_cell(cell, folder, CPU)
    assert is_done(cell, folder)
    there = {path.name: path.read_bytes() for path in cell.folder(folder).glob(f"evaluation/*{results.CLASSES}")}
    assert there == expected and len(there) == 3
