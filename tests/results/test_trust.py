"""Results of others are data: what their files say of paths, types and sizes is looked at before it is used."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metagap import memory, results
from metagap.files import is_inside
from metagap.results import files, tables


def resigned(folder: Path, **changes) -> Path:
    """The marker of a finished cell with changes, and the digest to them."""
    path = next(folder.glob("done-*.json"))
    results.write_signed(path, results.read_signed(path) | changes)
    return path


OUTSIDE = ["../../../secret", "/etc/passwd", "a/../../b", "..\\b", "C:b", "", "a//b", "a\nb"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_marker_that_names_a_file_outside_is_damaged(store, name):
    folder, (cell, _) = store
    for key in ("files", "along", "sha256"):
        said = {name: "0" * 64} if key == "sha256" else {"old": name}
        path = resigned(cell.folder(folder), **{key: said})
        with pytest.raises(results.DamagedError, match="names a file outside of its folder"):
            results.read_marker(path)
        found = results.read(folder, "tiny")
        assert list(found.cells["algorithm"]) == ["scratch"]
        assert any(str(path) in note for note in found.notes)
        resigned(cell.folder(folder), **{key: {}})


def test_what_our_files_are_called_is_inside():
    assert all(map(is_inside, ["config.json", "evaluation/old-0123456789-classes.npz", "a" * 200]))


@pytest.mark.parametrize(
    ("key", "value"), [("files", ["a"]), ("seed", "0"), ("record", None), ("suite", "x"), ("sha256", []), ("along", 3)]
)
def test_a_marker_of_other_types_is_damaged(store, key, value):
    folder, (cell, _) = store
    path = resigned(cell.folder(folder), **{key: value})
    with pytest.raises(results.DamagedError, match=f"its '{key}' is no"):
        results.read_marker(path)


def test_tables_that_would_fill_memory_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    frame = pd.DataFrame({"zeros": np.zeros(2**16)})
    results.write_frame(path, frame)
    assert path.stat().st_size < 2**12
    assert results.read_frame(path).equals(frame)
    monkeypatch.setattr(memory, "installed", lambda: 2**19)
    for read in (results.read_frame, lambda path: tables.read_columns(path, None, ["zeros"], [])):
        with pytest.raises(results.DamagedError, match=r"takes 1\.0 MB of memory"):
            read(path)


def test_json_files_have_a_bound(tmp_path, monkeypatch):
    path = tmp_path / "long.json"
    results.write_json(path, {"a": "a" * 2**10})
    monkeypatch.setattr(files, "FREE", 2**10)
    with pytest.raises(results.DamagedError, match=r"it has 1\.0 kB; allowed: 1\.0 kB"):
        results.read_json(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(results.DamagedError, match="it is not a file"):
        results.read_json(tmp_path / "config.json")


@pytest.mark.parametrize("changes", [{"done": "x"}, {"when": 3}, {"seed": "0"}, {"more": 1}, {"checkpoint": "1"}])
def test_a_failure_of_other_types_is_unknown(store, changes):
    folder, (cell, _) = store
    results.write_failure(cell.folder(folder), results.Failed("maml", 0, "a", "2026-11-30T12:00", "no idea"))
    assert results.read_failure(cell.folder(folder)).message == "no idea"
    path = cell.folder(folder) / "failed.json"
    results.write_signed(path, results.read_signed(path) | changes)
    found = results.read_failure(cell.folder(folder))
    assert found.kind == "unknown" and "is damaged" in str(found)
