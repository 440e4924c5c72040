"""Damage in the store: never other numbers, always the name of the file, and only the work that is needed to mend."""

from __future__ import annotations

import errno
import json
import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tiny_store import CPU, MORE, load

from metagap import digests, results
from metagap.errors import UserError
from metagap.runner import score
from metagap.runner.cell import is_done, run_cell


def rows(found: results.Results) -> pd.DataFrame:
    return found.episodes.set_index(["algorithm", "seed", "split", "episode", "step"]).sort_index()


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


READ = ["config.json", "environment.json", "curve.parquet", "done-*.json", "evaluation/*.parquet", "evaluation/*.npz"]


@pytest.mark.parametrize("kind", READ)
def test_a_flipped_bit_is_named_and_never_gives_other_numbers(store, kind):
    folder, (cell, _) = store
    good = results.read(folder, "tiny")
    expected, chance = rows(good), random.Random(kind)
    path = sorted(cell.folder(folder).glob(kind))[0]
    whole = path.read_bytes()
    named = 0
    for _ in range(16):
        flip(path, chance.randrange(8 * len(whole)))
        found = results.read(folder, "tiny")
        said = any(str(path) in note for note in found.notes)
        kept = rows(found)
        pd.testing.assert_frame_equal(kept, expected.loc[kept.index])
        assert "scratch" in set(found.cells["algorithm"])
        if not said:
            assert found.episodes.equals(good.episodes) and found.curves.equals(good.curves)
            assert found.cells.equals(good.cells) and found.suite == good.suite
            assert all((found.samples[s][k] == good.samples[s][k]).all() for s in good.samples for k in good.samples[s])
        named += said
        path.write_bytes(whole)
    assert named >= 12  # white space of a marker may change


SEVERAL = [(kind, damage) for kind in ("checkpoint.pt", "evaluation/*.parquet") for damage in ("cut", "empty", "gone")]


@pytest.mark.parametrize(
    ("kind", "damage"), [*((kind, "flipped") for kind in [*READ, "checkpoint.pt", "evaluation/*.json"]), *SEVERAL]
)
def test_a_run_mends_damage_and_gives_the_same_numbers(store, kind, damage, caplog):
    folder, (cell, other) = store
    expected = rows(results.read(folder, "tiny"))
    path = sorted(cell.folder(folder).glob(kind))[0]
    whole = path.read_bytes()
    if damage == "flipped":
        flip(path, 8 * 50)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    damaged = path.read_bytes() if path.is_file() else None
    more = load(folder, MORE)[0]  # a split left to be scored, so that every file is needed
    with caplog.at_level(logging.WARNING, "metagap"):
        run_cell(more, folder, CPU)
    run_cell(cell, folder, CPU)
    assert is_done(cell, folder) and is_done(other, folder)
    pd.testing.assert_frame_equal(rows(results.read(folder, "tiny", cell.variant)), expected)
    aside = [file.read_bytes() for file in path.parent.glob("*.damaged*")]
    if damaged is not None and not (kind == "curve.parquet" and path.read_bytes() == damaged):  # the same numbers
        assert damaged in aside
        assert path.name in caplog.text


def test_only_what_is_damaged_is_scored_again(store, monkeypatch):
    folder, (cell, _) = store
    scored = []
    real = score._score_split
    monkeypatch.setattr(score, "_score_split", lambda *given: scored.append(given[2].name) or real(*given))
    trained = (cell.folder(folder) / "checkpoint.pt").stat().st_mtime_ns
    path = next(cell.folder(folder).glob("evaluation/square-*.parquet"))
    flip(path, 999)
    assert not is_done(cell, folder)
    run_cell(cell, folder, CPU)
    assert scored == ["square"]
    assert (cell.folder(folder) / "checkpoint.pt").stat().st_mtime_ns == trained


def test_an_interrupted_evaluation_is_checked_too(store):
    folder, (cell, _) = store
    expected = rows(results.read(folder, "tiny"))
    next(cell.folder(folder).glob("done-*.json")).unlink()
    path = next(cell.folder(folder).glob("evaluation/square-*.parquet"))
    flip(path, 8 * len(path.read_bytes()) - 200)  # in the footer, of which pages' checksums know nothing
    run_cell(cell, folder, CPU)
    pd.testing.assert_frame_equal(rows(results.read(folder, "tiny")), expected)


def test_scores_of_other_weights_are_not_taken_over(store):
    folder, (cell, other) = store
    expected = rows(results.read(folder, "tiny"))
    for file in other.folder(folder).glob("evaluation/*"):  # whole, with their receipts
        shutil.copy(file, cell.folder(folder) / "evaluation")
    for file in ("checkpoint.pt", "curve.parquet"):
        shutil.copy(other.folder(folder) / file, cell.folder(folder))
    assert not is_done(cell, folder)
    run_cell(cell, folder, CPU)
    pd.testing.assert_frame_equal(rows(results.read(folder, "tiny")), expected)


def _swapped(cell: Path, other: Path) -> None:
    """The marker of another cell."""
    shutil.copy(next(other.glob("done-*.json")), cell)


def _relabelled(cell: Path, other: Path) -> None:
    """Another label in the text of the marker."""
    path = next(cell.glob("done-*.json"))
    path.write_text(path.read_text().replace('"label": "maml"', '"label": "scratch"'))


def _resigned(cell: Path, other: Path) -> None:
    """Another label, and the digest to it."""
    path = next(cell.glob("done-*.json"))
    results.write_signed(path, results.read_signed(path) | {"label": "scratch"})


def _other_algorithm(cell: Path, other: Path) -> None:
    """Another algorithm than the configuration's."""
    path = next(cell.glob("done-*.json"))
    results.write_signed(path, results.read_signed(path) | {"algorithm": "fomaml"})


def _renamed(cell: Path, other: Path) -> None:
    """Another cell's folder."""
    shutil.rmtree(cell)
    shutil.copytree(other, cell)


def _other_variant(cell: Path, other: Path) -> None:
    """The marker of a variant under another's name."""
    path = next(cell.glob("done-*.json"))
    results.write_signed(path, results.read_signed(path) | {"variant": "abc"})


def _exchanged(cell: Path, other: Path) -> None:
    """Evaluation files exchanged between splits."""
    first, second = sorted(cell.glob("evaluation/*.parquet"))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)


@pytest.mark.parametrize(
    "change", [_swapped, _relabelled, _resigned, _other_algorithm, _renamed, _other_variant, _exchanged]
)
def test_files_of_another_cell_are_not_taken_for_its_own(store, change: Callable[[Path, Path], None]):
    folder, (cell, other) = store
    expected = rows(results.read(folder, "tiny"))
    change(cell.folder(folder), other.folder(folder))
    found = results.read(folder, "tiny")
    assert list(found.cells["algorithm"]) == ["scratch"]
    pd.testing.assert_frame_equal(rows(found), expected.loc[["scratch"]])
    assert any("maml" in note and "left out" in note for note in found.notes)
    run_cell(cell, folder, CPU)
    pd.testing.assert_frame_equal(rows(results.read(folder, "tiny", cell.variant)), expected)


def test_where_nothing_is_whole_the_error_names_every_file(store):
    folder, cells = store
    for cell in cells:
        (cell.folder(folder) / "curve.parquet").write_bytes(b"")
    with pytest.raises(UserError) as error:
        results.read(folder, "tiny")
    assert str(error.value).count("curve.parquet' is damaged") == 2


def test_older_formats_are_read_and_unknown_ones_ignored_and_both_are_said(store):
    folder, (cell, other) = store
    expected = rows(results.read(folder, "tiny"))
    marker = next(cell.folder(folder).glob("done-*.json"))
    old = results.read_signed(marker) | {"format": 1}
    results.write_json(marker, {key: value for key, value in old.items() if key not in ("sha256", "finished")})
    found = results.read(folder, "tiny")
    pd.testing.assert_frame_equal(rows(found), expected)
    assert any("1 cell(s) were written without digests" in note for note in found.notes)
    assert not is_done(cell, folder)

    results.write_json(marker, old | {"format": 0})
    found = results.read(folder, "tiny")
    assert list(found.cells["algorithm"]) == ["scratch"]
    assert any("1 result(s) are of a format that this version does not know" in note for note in found.notes)
    shutil.rmtree(other.folder(folder))
    with pytest.raises(UserError, match=r"no finished results of suite 'tiny'[^\n]*\n1 result\(s\) are of a format"):
        results.read(folder, "tiny")
    run_cell(cell, folder, CPU)
    assert is_done(cell, folder)


def test_what_was_left_out_of_a_store_on_purpose_is_no_damage(store):
    """Records are passed on without weights and images; a split that is not there is named."""
    folder, (cell, _) = store
    for file in [cell.folder(folder) / "checkpoint.pt", *folder.rglob("*.npz")]:
        file.unlink()
    assert results.read(folder, "tiny").notes == []
    next(cell.folder(folder).glob("evaluation/square-*.parquet")).unlink()
    found = results.read(folder, "tiny")
    assert [note for note in found.notes if "Split 'square' of maml seed 0 is left out" in note]
    assert set(found.episodes.query("algorithm == 'maml'")["split"]) == {"old"}


def test_a_marker_knows_every_file(store):
    folder, (cell, _) = store
    there = cell.folder(folder)
    marker = json.loads(next(there.glob("done-*.json")).read_text())
    files = {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()}
    receipts = {name for name in files if name.startswith("evaluation/") and name.endswith(".json")}
    about_runs = {"attempts.json", "log.txt", next(there.glob("done-*.json")).name}
    assert set(marker["sha256"]) == files - receipts - about_runs
    assert all(digests.of_file(there / name) == digest for name, digest in marker["sha256"].items())


def test_a_full_disk_is_told_and_leaves_what_was_there(store, monkeypatch):
    folder, _ = store

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "log.txt"}

    before = contents()
    more = load(folder, MORE)[0]
    before[folder / "tiny.toml"] = (folder / "tiny.toml").read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(UserError, match=r"'.*' cannot be written: No space left on device"):
            run_cell(more, folder, CPU)
    assert contents() == before
    run_cell(more, folder, CPU)
    assert is_done(more, folder)


def test_that_it_is_not_known_which_variant_is_meant_is_said(store):
    folder, (cell, other) = store
    results.write_own(folder / "tiny", cell.variant, {cell.hash, other.hash})
    assert results.read(folder, "tiny").notes == []
    flip(folder / "tiny" / "own.json", 99)
    (note,) = results.read(folder, "tiny").notes
    assert "own.json' is damaged" in note and "what was finished last is shown" in note
    assert results.read(folder, "tiny", cell.variant).notes == []
