"""The index of a suite: with it everything is said as without it, and only what was changed is read again."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import zlib
from pathlib import Path

import pytest

from metagap import results
from metagap.results import index as indices
from metagap.results import markers
from metagap.results.files import read_bytes
from metagap.results.index import NAME, Index, index_of
from metagap.results.scan import cells_of, files_of
from metagap.runner.cell import is_done, unfinished

HOUR = 3600 * 10**9


def aged(folder: Path) -> None:
    """Make files an hour old, as if nothing had been changed lately."""
    for path in folder.rglob("*"):
        if path.is_file():
            stat = path.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - HOUR))


@pytest.fixture
def old(store, monkeypatch):
    """The store, its files long settled: changes of the inode, which a test cannot put back, do not count as late."""
    aged(store[0])
    monkeypatch.setattr(indices, "clock", lambda folder: time.time_ns() + HOUR)
    return store


@pytest.fixture
def reads(monkeypatch):
    """The files whose content is asked for."""
    found: list[str] = []
    for module in (markers, indices):
        for name in ("read_json", "read_signed", "read_bytes", "read_marker", "read_config"):
            if hasattr(module, name):
                real = getattr(module, name)
                monkeypatch.setattr(
                    module, name, lambda path, *given, real=real: found.append(Path(path).name) or real(path, *given)
                )
    return found


def test_what_was_whole_is_not_read_again(old, reads):
    folder, cells = old
    assert unfinished(cells, folder) == []
    assert "curve.parquet" in reads and (folder / "tiny" / NAME).is_file()
    reads.clear()
    assert unfinished(cells, folder) == []
    assert results.listing(folder, folder)[0]["done"] == 2
    assert len(results.survey(folder / "tiny").found) == 2
    assert set(reads) == {f"done-{cells[0].variant}.json"}  # by the last of them the variant is described


CHANGES = ["flipped", "touched", "cut", "gone", "new", "renamed", "mtime kept"]


@pytest.mark.parametrize("name", ["config.json", "curve.parquet", "done-*.json", "evaluation/*.parquet"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_looked_at_again(old, name, change):
    folder, (cell, other) = old
    assert unfinished([cell, other], folder) == []
    path = sorted(cell.folder(folder).glob(name))[0]
    data, stat = path.read_bytes(), path.stat()
    if change == "flipped":
        path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    elif change == "mtime kept":
        path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "touched":
        path.touch()
    elif change == "cut":
        path.write_bytes(data[:-9])
    elif change == "gone":
        path.unlink()
    elif change == "new":
        path.with_name("new.parquet").write_bytes(data)
    else:
        path.rename(path.with_name("other.parquet"))
    known = unfinished([cell, other], folder)
    (folder / "tiny" / NAME).unlink()
    assert known == unfinished([cell, other], folder) == ([] if change in ("touched", "new") else [cell])


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def of_another_version(path: Path) -> None:
    results.write_sealed(path, zlib.compress(json.dumps({"version": "0", "cells": {"a": 1}}).encode()))


WRONG = [damaged, of_another_version, lambda path: path.write_bytes(b""), lambda path: path.unlink()]


@pytest.mark.parametrize("wrong", [*WRONG, lambda path: (path.unlink(), path.mkdir())])
def test_without_a_good_index_the_same_is_said(old, wrong):
    folder, cells = old
    (cells[1].folder(folder) / "curve.parquet").write_bytes(b"")
    unfinished(cells, folder)
    said = results.listing(folder, folder)
    wrong(folder / "tiny" / NAME)
    assert unfinished(cells, folder) == [cells[1]]
    assert results.listing(folder, folder) == said and said[0]["damaged"] == 1


def test_a_store_that_cannot_be_written_is_read(old, monkeypatch):
    folder, cells = old

    def refused(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.undo()
    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    monkeypatch.setattr("tempfile.mkstemp", refused)
    assert unfinished(cells, folder) == []
    assert results.listing(folder, folder)[0]["done"] == 2
    assert not (folder / "tiny" / NAME).exists()


def test_what_was_changed_just_before_is_not_trusted(store):
    """The clock of the file system may stand still, so that a second change leaves no trace."""
    folder, cells = store
    path = cells[0].folder(folder) / "curve.parquet"
    path.touch()
    assert unfinished(cells, folder) == []
    with index_of(folder / "tiny") as index:
        files = {one.name: one for one in index.cells()}
    name = f"maml/{cells[0].folder(folder).name}"
    one = index.marked(files[name], files[name].markers[0])
    assert one is not None and not index.is_whole(one)


def test_a_change_while_it_is_verified_is_seen(old, monkeypatch):
    """What is remembered is the signature of before the files were read."""
    folder, (cell, _) = old
    path, read = cell.folder(folder) / "curve.parquet", read_bytes

    def changed_after(*given):
        found = read(*given)
        if given[0] == path:
            path.write_bytes(b"")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(markers, "read_bytes", changed_after)
        with index_of(folder / "tiny") as index:
            is_done(cell, folder, index)
    assert unfinished([cell], folder) == [cell]


def test_processes_that_write_at_the_same_time_lose_nothing_but_time(old):
    folder, cells = old
    first, second = Index(folder / "tiny"), Index(folder / "tiny")
    assert is_done(cells[0], folder, first) and is_done(cells[1], folder, second)
    first.save()
    second.save()
    later = Index(folder / "tiny")
    for files in later.cells():
        one = later.marked(files, files.markers[0])
        assert one is not None and later.is_whole(one)

    wrong = []

    def work() -> None:
        for _ in range(10):
            if unfinished(cells, folder):
                wrong.append(1)
            (folder / "tiny" / NAME).unlink(missing_ok=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_is_gone_is_forgotten(old):
    folder, cells = old
    unfinished(cells, folder)
    shutil.rmtree(cells[0].folder(folder))
    assert [one.head.label for one in results.survey(folder / "tiny").found] == ["scratch"]
    assert list(Index(folder / "tiny")._entries) == [
        f"scratch/{cells[1].folder(folder).name}/done-{cells[1].variant}.json"
    ]


def test_a_report_reads_the_numbers_all_the_same(old):
    """Bits that fall over on the disk leave no trace in what the file system knows."""
    folder, cells = old
    unfinished(cells, folder)
    path = next(cells[0].folder(folder).glob("evaluation/square-*.parquet"))
    damaged(path)
    known = Index(folder / "tiny")
    files = files_of(cells[0].folder(folder))
    key = f"{files.name}/{files.markers[0]}"
    known._changes[key] = {**known._entries[key], "whole": files.whole}
    known.save()
    assert is_done(cells[0], folder, Index(folder / "tiny"))
    assert any(str(path) in note for note in results.read(folder, "tiny").notes)


def test_a_marker_that_rots_after_it_was_known_is_named(old):
    folder, cells = old
    unfinished(cells, folder)
    files = files_of(cells[0].folder(folder))
    path = files.folder / files.markers[0]
    damaged(path)
    known, again = Index(folder / "tiny"), files_of(files.folder)
    key = f"{files.name}/{files.markers[0]}"
    signature = again.signature(files.markers[0], "config.json")
    known._changes[key] = {**known._entries[key], "signature": signature}
    known.save()
    found = results.read(folder, "tiny")
    assert list(found.cells["algorithm"]) == ["scratch"]
    assert any(str(path) in note and "left out" in note for note in found.notes)


def test_hidden_files_and_other_folders_are_no_cells(old):
    folder, cells = old
    before = [files_of(cell).whole for cell in cells_of(folder / "tiny")]
    (cells[0].folder(folder) / ".lock").write_text("x")
    (cells[0].folder(folder) / ".curve.parquet.abcdefgh").write_text("x")
    (folder / "tiny" / ".hidden" / "1-a").mkdir(parents=True)
    assert [files_of(cell).whole for cell in cells_of(folder / "tiny")] == before
    assert files_of(folder / "nowhere").stats == {}
