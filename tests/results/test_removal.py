"""`metagap results remove`: just what was asked for, and never a file of anyone else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiny_store import CPU, MORE, load

from metagap import results
from metagap.results import lease
from metagap.results.files import set_aside
from metagap.results.removal import plan, remove
from metagap.results.verify import verify
from metagap.runner.cell import is_done, run_cell


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_variant_goes_and_what_others_share_stays(store):
    folder, (cell, other) = store
    more = load(folder, MORE)[0]
    run_cell(more, folder, CPU)
    before = files(cell.folder(folder))
    (planned,) = plan(folder, "tiny", variant=more.variant)
    gone = {path.name.split("-")[0] for path in planned.files}
    assert gone == {"done", "more"} and planned.kept == len(before) - len(planned.files)
    assert list(remove([planned])) == []
    assert before - files(folder) == set(planned.files)
    assert is_done(cell, folder) and is_done(other, folder) and not is_done(more, folder)
    assert all(not one.faults for one in verify(folder))
    for planned in plan(folder, "tiny", variant=cell.variant):
        assert planned.kept == 0  # no other variant has it now
        assert list(remove([planned])) == []
    assert not (folder / "tiny").exists() and (folder / "tiny.toml").is_file()


def test_files_of_others_are_kept(store):
    folder, (cell, _) = store
    mine = [cell.folder(folder) / "notes.txt", cell.folder(folder) / "evaluation" / "figure.png", folder / "tiny" / "x"]
    outside = folder / "outside.parquet"
    outside.write_text("x")
    for path in mine:
        path.write_text("mine")
    link = cell.folder(folder) / "evaluation" / "link.parquet"
    link.symlink_to(outside)
    results.write_own(folder / "tiny", cell.variant, {cell.hash})
    assert list(remove(plan(folder, "tiny"))) == []
    assert files(folder) == {*mine, link, outside, folder / "tiny.toml"}


@pytest.mark.parametrize(("choice", "left"), [({"algorithms": ["maml"]}, ["scratch"]), ({"seeds": [0]}, []), ({}, [])])
def test_algorithms_and_seeds(store, choice, left):
    folder, _ = store
    assert list(remove(plan(folder, "tiny", **choice))) == []
    assert sorted(path.parent.name for path in folder.glob("tiny/*/*")) == left


def test_failures_and_files_that_were_set_aside(store):
    folder, (cell, other) = store
    failed = results.Failed("maml", 0, "other", "2026-11-30T12:00", "no idea")
    results.write_failure(cell.folder(folder), failed, "trace")
    aside = set_aside(next(other.folder(folder).glob("evaluation/old-*.npz")))
    (planned,) = plan(folder, "tiny", failed=True)
    assert {path.name for path in planned.files} == {"failed.json", "traceback.txt"}  # another variant is done
    (planned,) = plan(folder, "tiny", aside=True)
    assert planned.files == (aside,) and planned.bytes == aside.stat().st_size
    next(cell.folder(folder).glob("done-*.json")).unlink()
    (planned,) = plan(folder, "tiny", failed=True)
    assert cell.folder(folder) / "checkpoint.pt" in planned.files


def test_a_cell_in_work_is_left_alone(store):
    folder, (cell, other) = store
    with lease.hold(cell.folder(folder)):
        (error,) = remove(plan(folder, "tiny"))
    assert "maml" in str(error) and is_done(cell, folder) and not is_done(other, folder)


def test_a_damaged_marker_hides_what_is_shared(store):
    folder, (cell, _) = store
    run_cell(load(folder, MORE)[0], folder, CPU)
    path = cell.folder(folder) / f"done-{cell.variant}.json"
    path.write_text("{")
    more = next(p.stem[5:] for p in path.parent.glob("done-*.json") if p != path)
    with pytest.raises(results.DamagedError, match="cannot be read"):
        plan(folder, "tiny", variant=more)


def test_the_command_asks(store, here, monkeypatch):
    folder, (cell, other) = store
    before, flags = files(folder), ("--results", str(folder))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    code, out, errors = here("results", "remove", "tiny", "-a", "maml", *flags)
    assert code == 2 and "add --yes" in errors and f"{cell.folder(folder)}: " in out and files(folder) == before
    code, out, _ = here("results", "remove", "tiny", "-a", "maml", "--dry-run", *flags)
    assert code == 0 and "Nothing was removed: " in out and files(folder) == before
    for arguments, message in (
        (("tiny", "-a", "mml"), "--algorithm 'mml': no such results; did you mean 'maml'?"),
        (("tiny", "--seed", "7"), "--seed '7': no such results; allowed: 0"),
        (("tiny", "--variant", "x"), "--variant 'x': no such results"),
        (("gone",), "no results of suite 'gone'"),
    ):
        code, _, errors = here("results", "remove", *arguments, "--yes", *flags)
        assert code == 2 and message in errors and files(folder) == before
    code, out, _ = here("results", "remove", "tiny", "-a", "maml", "--yes", *flags)
    assert code == 0 and out.splitlines()[-1].startswith("Removed ")
    assert not cell.folder(folder).exists() and is_done(other, folder)
