"""What `metagap status` tells while cells run and afterwards, and what killed runs leave behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tiny_store import CPU, WAVES, load

from metagap import results
from metagap.results import lease
from metagap.results.leftovers import IMPORTING
from metagap.runner.cell import run_cell
from metagap.suite import Cell
from metagap.writing import write_whole

HOUR = 3600


def planned(folder: Path, cells: list) -> None:
    results.write_own(folder / "tiny", cells[0].variant, [cell.hash for cell in cells])


def failed_of(cell: Cell, message: str) -> results.Failed:
    return results.Failed(cell.label, cell.seed, cell.variant, datetime.now(UTC).isoformat(), message)


def of(folder: Path) -> dict:
    (row,) = results.status(folder, "tiny")
    return row


def test_done_running_failed_and_waiting_cells_are_told_apart(store):
    folder, (cell, other) = store
    cells = [cell, other, *(replace(cell, seed=seed) for seed in (1, 2, 3))]
    planned(folder, cells)
    row = of(folder)
    assert (row["done"], row["waiting"], row["running"], row["failed"], row["damaged"]) == (2, 3, [], [], 0)
    assert row["variant"] == cell.variant and row["differs"] == ""
    files = [path for one in (cell, other) for path in one.folder(folder).rglob("*") if path.is_file()]
    assert row["bytes"] == sum(path.stat().st_size for path in files if not path.name.startswith("."))

    results.write_failure(cells[2].folder(folder), failed_of(cells[2], "first line\nsecond"), "trace")
    with lease.hold(cells[3].folder(folder)) as held:
        held.tell("training", 20, 100)
        held.check()
        row = of(folder)
    assert (row["done"], row["waiting"]) == (2, 1)
    (failed,) = row["failed"]
    assert (failed["label"], failed["seed"], failed["reason"]) == ("maml", 1, "first line")
    (working,) = row["running"]
    assert (working["label"], working["seed"], working["pid"]) == ("maml", 2, os.getpid())
    assert (working["phase"], working["done"], working["total"]) == ("training", 20, 100)
    assert of(folder)["waiting"] == 2 and of(folder)["running"] == []


def test_the_lease_of_a_process_that_has_ended_is_nothing_that_runs(store):
    folder, (cell, other) = store
    third = replace(cell, seed=1)
    planned(folder, [cell, other, third])
    code = f"""
import os
from pathlib import Path
from metagap.results import lease
with lease.hold(Path({str(third.folder(folder))!r})):
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (third.folder(folder) / lease.NAME).is_dir()
    assert of(folder)["running"] == [] and of(folder)["waiting"] == 1


def test_what_failed_and_was_done_since_has_not_failed(store):
    folder, (cell, other) = store
    planned(folder, [cell, other])
    results.write_failure(cell.folder(folder), failed_of(cell, "no"))
    assert [one["reason"] for one in of(folder)["failed"]] == ["no"]
    path = cell.folder(folder) / "failed.json"
    results.write_signed(path, {**results.read_signed(path), "when": "2000-01-01T00:00:00+00:00"})
    assert of(folder)["failed"] == []


def test_damage_counts_as_waiting_and_other_variants_are_named(store):
    folder, (cell, other) = store
    planned(folder, [cell, other])
    (cell.folder(folder) / "curve.parquet").write_bytes(b"")
    assert (of(folder)["done"], of(folder)["damaged"], of(folder)["waiting"]) == (1, 1, 1)
    (changed, *_) = load(folder, WAVES, "training.iterations=2")
    run_cell(changed, folder, CPU)
    usual, varied = results.status(folder)
    assert usual["variant"] == cell.variant and usual["differs"] == ""
    assert varied["variant"] == changed.variant and "training.iterations 4 → 2" in varied["differs"]
    assert varied["done"] == 1 and varied["waiting"] is None


def test_the_command(store, here):
    folder, (cell, other) = store
    planned(folder, [cell, other, replace(cell, seed=1)])
    results.write_failure(replace(cell, seed=1).folder(folder), failed_of(replace(cell, seed=1), "[red]why[/]"))
    code, out, _ = here("status", "tiny", "--results", str(folder))
    assert code == 0 and "maml seed 1 failed" in out and "[red]why[/]" in out
    code, out, _ = here("status", "--results", str(folder), "--json")
    assert code == 0 and json.loads(out)[0]["done"] == 2
    code, _, error = here("status", "none", "--results", str(folder))
    assert code == 2 and "nothing of suite 'none'" in error
    code, _, error = here("status", "--results", str(folder / "none"))
    assert code == 2 and "is not a folder" in error
    (folder / "empty").mkdir()
    assert here("status", "--results", str(folder / "empty"))[1].startswith("There is nothing in")


def test_it_needs_no_torch(store):
    folder, _ = store
    code = f"""
import sys
sys.argv = ["metagap", "status", "--results", {str(folder)!r}]
from metagap.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
sys.exit(bool({{"torch", "matplotlib", "scipy"}} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def killed_in_a_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a process leaves that is killed while it writes a file."""
    before = set(path.parent.iterdir()) if path.parent.is_dir() else set()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: None)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        write_whole(path, b"half")
    (left,) = set(path.parent.iterdir()) - before
    return left


def aged(path: Path) -> Path:
    stat = path.stat()
    os.utime(path, (stat.st_atime, stat.st_mtime - 2 * HOUR))
    return path


def test_the_next_run_of_a_cell_removes_what_a_killed_one_left(store, monkeypatch):
    folder, (cell, _) = store
    there = cell.folder(folder)
    left = [killed_in_a_write(there / name, monkeypatch) for name in ("checkpoint.pt", "evaluation/old.parquet")]
    next(there.glob("done-*.json")).unlink()
    before = {path for path in there.rglob("*") if path.is_file()}
    run_cell(cell, folder, CPU)
    assert not any(path.exists() for path in left)
    assert before - {*left} <= {*there.rglob("*")}


def test_only_what_nobody_can_be_writing_is_swept(store, monkeypatch):
    folder, (cell, other) = store
    young = killed_in_a_write(cell.folder(folder) / "curve.parquet", monkeypatch)
    old = aged(killed_in_a_write(cell.folder(folder) / "evaluation" / "old.parquet", monkeypatch))
    own = aged(killed_in_a_write(folder / "tiny" / "own.json", monkeypatch))
    held = aged(killed_in_a_write(other.folder(folder) / "evaluation" / "old.parquet", monkeypatch))
    named = aged(Path(shutil.copy(young, cell.folder(folder) / ".hidden")))
    with lease.hold(other.folder(folder)):
        assert sorted(results.sweep(folder)) == sorted([old, own])
    assert young.exists() and held.exists() and named.exists()
    assert results.sweep(folder) == [held]
    assert results.sweep(cell.folder(folder), mine=True) == [young]
    assert results.listing(folder, folder)[0]["damaged"] == 0


def test_folders_of_killed_processes_are_swept_once_nothing_in_them_is_young(store):
    folder, (cell, _) = store
    left = [cell.folder(folder) / f"{lease.NAME}-0123456789abcdef", folder / f"{IMPORTING}a1_b2c3d"]
    other = folder / "tiny" / ".lease-mine"
    for one in (*left, other):
        (one / "inside").mkdir(parents=True)
        for path in (one / "inside", one):
            aged(path)
    (young := left[1] / "inside" / "file").touch()
    assert results.sweep(folder) == left[:1]
    aged(young)
    aged(left[1] / "inside")
    assert results.sweep(folder) == left[1:] and other.exists()


def test_repair_sweeps_and_a_dry_run_does_not(store, monkeypatch, here):
    folder, (cell, _) = store
    old = aged(killed_in_a_write(cell.folder(folder) / "curve.parquet", monkeypatch))
    assert here("results", "repair", "--dry-run", "--results", str(folder))[0] == 0 and old.exists()
    code, out, _ = here("results", "repair", "tiny", "--results", str(folder))
    assert code == 0 and "1 temporary files and folders of killed runs were removed" in out and not old.exists()
