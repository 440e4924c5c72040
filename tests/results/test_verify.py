"""`metagap results verify` and `repair`: every damage is named, and what is good is kept."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from tiny_store import CPU, MORE, load

from metagap import results
from metagap.results import lease
from metagap.results.repair import repair
from metagap.results.verify import verify
from metagap.runner import score, train
from metagap.runner.cell import is_done, run_cell
from metagap.suite import Cell


def flip(path: Path, seed: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[random.Random(seed).randrange(len(data))] ^= 4
    path.write_bytes(data)


@pytest.fixture(scope="session")
def full(tmp_path_factory) -> tuple[Path, list[Cell]]:
    """Cells with snapshots, scores along training and quantities, and a further split that another suite has."""
    folder = tmp_path_factory.mktemp("full")
    changes = ["evaluation.checkpoints=3", 'evaluation.quantities=["adaptation-norm"]']
    cells = load(folder, MORE, *changes)[:1]
    for cell in [*cells, *load(folder, MORE)[:1]]:
        run_cell(cell, folder, CPU)
    return folder, cells


@pytest.fixture
def copy(full, tmp_path) -> tuple[Path, Cell, Path]:
    import shutil

    shutil.copytree(full[0], tmp_path, dirs_exist_ok=True)
    return tmp_path, full[1][0], full[1][0].folder(tmp_path)


def faults(folder: Path) -> list[str]:
    return [str(fault) for one in verify(folder) for fault in one.faults]


KINDS = [
    "config.json", "environment.json", "attempts.json", "curve.parquet", "checkpoint.pt", "done-*.json",
    "evaluation/*.parquet", "evaluation/*[0-9a-f].npz", "evaluation/*.json", "snapshots/*.pt", "along/*.parquet",
    "along/*.json", "quantities/*.parquet", "quantities/*.json",
]  # fmt: skip


def test_a_whole_store_has_no_fault_and_every_file_is_looked_at(copy):
    folder, _, cell = copy
    assert faults(folder) == []
    files = [path for path in cell.rglob("*") if path.is_file() and path.name not in (".lock", "log.txt")]
    assert sum(one.files for one in verify(folder)) == len(files)
    named = {path for kind in KINDS for path in cell.glob(kind)}
    assert named == set(files)  # so that the tests below damage every kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_flip_is_named_and_repair_keeps_what_is_good(copy, kind):
    folder, cell, there = copy
    path = sorted(there.glob(kind))[0]
    flip(path)
    damaged = path.read_bytes()
    found = faults(folder)
    assert len(found) == 1 and found[0].startswith(f"{path}: ")
    before = {file: file.read_bytes() for file in there.rglob("*") if file.is_file()}
    list(repair(folder, dry_run=True))
    assert before == {file: file.read_bytes() for file in there.rglob("*") if file.is_file()}
    (one,) = repair(folder)
    assert list(one.aside) == [path] and one.aside[path].read_bytes() == damaged and not path.exists()
    assert {file: data for file, data in before.items() if file != path} == {
        file: file.read_bytes() for file in before if file != path
    }
    again = not is_done(cell, folder)
    assert bool(one.checked.again) == again or path.name.startswith("done-")  # that of the other variant
    run_cell(cell, folder, CPU)
    assert is_done(cell, folder)


def test_one_bad_evaluation_means_that_one_split_is_scored_again(store, monkeypatch, caplog):
    folder, (cell, _) = store
    expected = results.read(folder, "tiny").episodes
    trainings, scored = [], []
    real_run, real_score = train._Training.run, score._score_split
    monkeypatch.setattr(train._Training, "run", lambda self: trainings.append(self) or real_run(self))
    monkeypatch.setattr(score, "_score_split", lambda *given: scored.append(given[2].name) or real_score(*given))
    flip(next(cell.folder(folder).glob("evaluation/square-*.parquet")))
    (one,) = repair(folder)
    assert one.checked.again == ["split 'square' is scored again"]
    run_cell(cell, folder, CPU)
    assert (trainings, scored) == ([], ["square"])
    assert results.read(folder, "tiny").episodes.equals(expected)
    flip(cell.folder(folder) / "checkpoint.pt")  # now its weights too
    flip(next(cell.folder(folder).glob("evaluation/square-*.parquet")))
    (one,) = repair(folder)
    assert one.checked.again == [
        "split 'square' is scored again, and it is trained again, for its weights are not here"
    ]
    run_cell(cell, folder, CPU)
    assert (len(trainings), scored) == (1, ["square", "square"])
    assert results.read(folder, "tiny").episodes.equals(expected)


def test_records_without_weights_and_samples_are_whole_and_those_without_scores_are_not(store):
    folder, (cell, _) = store
    for path in [*folder.rglob("*.pt"), *folder.rglob("*.npz")]:
        path.unlink()
    found = list(verify(folder))
    assert [fault for one in found for fault in one.faults] == []
    assert sorted(found[1].left_out) == [
        "checkpoint.pt",
        *sorted(f"evaluation/{p.stem}.npz" for p in cell.folder(folder).glob("evaluation/*.parquet")),
    ]
    next(cell.folder(folder).glob("evaluation/old-*.parquet")).unlink()
    (fault,) = faults(folder)
    assert fault.endswith("it is not there")


def test_a_file_of_another_training_is_told_and_kept(store):
    folder, (cell, _) = store
    path = cell.folder(folder) / "environment.json"
    marker = next(cell.folder(folder).glob("done-*.json"))
    other = results.read_signed(marker)
    digest = results.write_json(path, results.read_json(path) | {"host": "other"})
    results.write_signed(
        marker.with_name("done-b.json"), other | {"variant": "b", "sha256": other["sha256"] | {path.name: digest}}
    )
    (fault,) = faults(folder)
    assert fault == f"{marker}: environment.json is of another training"
    (one,) = repair(folder)
    assert one.aside == {} and one.checked.again == ["what differs is made again"]


def test_forms_are_looked_at_too(store):
    """What is signed as it should be, and nonsense nevertheless."""
    folder, (cell, other) = store
    there = cell.folder(folder)
    marker = next(there.glob("done-*.json"))
    results.write_signed(marker, results.read_signed(marker) | {"metrics": [{"name": 3}]})
    receipt = next(other.folder(folder).glob("evaluation/*.json"))
    results.write_signed(receipt, {"weights": "x"})
    found = faults(folder)
    assert [line.partition(": ")[2].partition(":")[0] for line in found] == [
        "its suite cannot be read",
        "it is no receipt, or names a file outside of its folder",
    ]


@pytest.mark.parametrize("said", [{"../../../../outside.parquet": "0" * 64}, ["a"], 3])
def test_a_receipt_reaches_no_file_outside(store, said):
    folder, (cell, _) = store
    outside = folder / "outside.parquet"
    outside.write_text("theirs")
    receipt = next(cell.folder(folder).glob("evaluation/*.json"))
    results.write_signed(receipt, results.read_signed(receipt) | {"sha256": said})
    (one,) = repair(folder)
    assert list(one.aside) == [receipt] and outside.read_text() == "theirs"


def test_files_of_others_are_not_looked_at(store):
    folder, (cell, _) = store
    notes = [
        cell.folder(folder) / "notes.json",
        cell.folder(folder) / "evaluation" / "mine.parquet",
        folder / "tiny" / "a.txt",
    ]
    for path in notes:
        path.write_text("{")
    assert faults(folder) == [] and list(repair(folder)) == []
    assert all(path.read_text() == "{" for path in notes)


def test_a_cell_in_work_is_left_alone(store, here, capsys):
    folder, (cell, _) = store
    path = next(cell.folder(folder).glob("evaluation/*.parquet"))
    flip(path)
    with lease.hold(cell.folder(folder)):
        assert faults(folder) == []
        (one,) = repair(folder)
        assert one.checked.busy and path.is_file() and not one.aside
        code, _, errors = here("results", "verify", "--results", str(folder))
        assert code == 0 and re.search(r"maml seed 0 was left alone: process \d+ on .* has it in work", errors)
    assert len(faults(folder)) == 1


def test_the_commands(store, here):
    folder, (cell, _) = store
    flags = ("--results", str(folder))
    code, out, _ = here("results", "verify", *flags)
    assert code == 0 and re.fullmatch(r"\d+ files, no faults\.\n", out)
    path = next(cell.folder(folder).glob("evaluation/square-*.parquet"))
    flip(path)
    code, out, _ = here("results", "verify", "tiny", *flags)
    assert code == 1 and out.startswith(f"{path}: it is not what was written, by its sha256\n")
    code, out, _ = here("results", "verify", *flags, "--json")
    told = [fault for one in json.loads(out)["cells"] for fault in one["faults"]]
    assert code == 1 and [one["file"] for one in told] == [str(path)]
    code, out, _ = here("results", "repair", "--dry-run", *flags)
    assert code == 0 and "maml seed 0 will run again: split 'square' is scored again" in out and path.is_file()
    assert "Nothing was changed; 1 cell will run again" in out
    code, out, _ = here("results", "repair", *flags)
    assert code == 0 and f"kept as '{path.name}.damaged'" in out and not path.is_file()
    code, _, errors = here("results", "verify", "tny", *flags)
    assert code == 2 and "no results of suite 'tny'" in errors and "did you mean 'tiny'?" in errors
    code, _, errors = here("results", "repair", "--results", "gone")
    assert code == 2 and "--results 'gone' is not a folder" in errors
