"""What learned policies do in the first test tasks: recorded next to the scores, and checked like them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from tiny_store import CPU, load

from metagap import results
from metagap.runner import score
from metagap.runner.cell import is_done, run_cell
from metagap.suite import Cell
from tiny_suites import TASKS

ONE = tomli_w.dumps(TASKS["plane"] | {"algorithms": {"fomaml-trpo": {}}, "seeds": [3]})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Cell]:
    folder = tmp_path_factory.mktemp("plane")
    (cell,) = load(folder, ONE)
    run_cell(cell, folder, CPU)
    return folder, cell


@pytest.fixture
def copied(made, tmp_path) -> tuple[Path, Cell]:
    shutil.copytree(made[0], tmp_path, dirs_exist_ok=True)
    return tmp_path, made[1]


def test_they_are_rollouts_that_were_scored(made):
    """The paths start at the origin and the policies differ, the tasks are those of the sample."""
    found = results.read(made[0], "tiny")
    assert set(found.rollouts) == {("fomaml-trpo", 3, split) for split in ("old", "new", "wind")}
    shown, sample = found.rollouts["fomaml-trpo", 3, "new"], found.samples["new"]
    assert list(shown["policy"]) == ["0 inner steps", "1 inner step", "2 inner steps"]
    assert shown["shown-path"].shape == (4, 3, 6, 2) and not shown["shown-path"][:, :, 0].any()
    assert np.ptp(shown["shown-path"], axis=1).max() > 0
    assert np.array_equal(shown["task-goal"], sample["task-goal"][:4])
    returns = found.episodes.query("split == 'new' and episode < 4")["query_score"].to_numpy().reshape(4, 3)
    assert np.abs(shown["return"] - returns).max() < 2  # each is one of the two whose mean is scored


def test_records_of_before_are_read(copied):
    folder, cell = copied
    marker = next(cell.folder(folder).glob("done-*.json"))
    known = results.read_signed(marker)
    known["sha256"] = {name: one for name, one in known["sha256"].items() if not name.endswith(results.ROLLOUTS)}
    results.write_signed(marker, known)
    assert is_done(cell, folder) and results.read(folder, "tiny").rollouts == {}


def test_damage_is_named_and_mended_without_scoring(copied, monkeypatch):
    folder, cell = copied
    path = next(cell.folder(folder).glob(f"evaluation/new-*{results.ROLLOUTS}"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert not is_done(cell, folder)
    found = results.read(folder, "tiny")
    assert [note for note in found.notes if str(path) in note and "The rollouts of split 'new' are left out" in note]
    assert {split for _, _, split in found.rollouts} == {"old", "wind"}
    monkeypatch.setattr(score, "_score_split", None)
    run_cell(cell, folder, CPU)
    assert is_done(cell, folder) and path.read_bytes() == whole


def test_functions_have_none(store):
    folder, _ = store
    assert results.read(folder, "tiny").rollouts == {} and not list(folder.rglob(f"*{results.ROLLOUTS}"))
