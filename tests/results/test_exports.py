"""`metagap results export` and `import`: the same bytes for the same results, and no trust in archives of others."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from metagap import digests, memory, results
from metagap.errors import UserError
from metagap.results import archives, lease
from metagap.results.archives import bring_in, export
from metagap.results.verify import verify
from metagap.runner.cell import is_done

ZEROS = bytes(2**20)


def contents(file: Path) -> dict[str, bytes]:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(file) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def packed(file: Path, members: dict[str, bytes]) -> Path:
    """An archive by anyone."""
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return file
    with tarfile.open(file, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


def forged(members: dict[str, bytes], **changes: bytes) -> dict[str, bytes]:
    """The members of an archive with changes, and a manifest that knows them."""
    manifest = json.loads(members["manifest.json"])
    members = {**members, **changes}
    manifest["files"] = {
        name: {"sha256": digests.of_bytes(data), "bytes": len(data)}
        for name, data in members.items()
        if name != "manifest.json"
    }
    return {**members, "manifest.json": json.dumps(manifest).encode()}


def untouched(folder: Path) -> bool:
    return not folder.exists()


@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_what_was_exported_is_imported(store, tmp_path_factory, ending):
    folder, cells = store
    other = tmp_path_factory.mktemp("other")
    results.write_own(folder / "tiny", cells[0].variant, {cell.hash for cell in cells})
    (cells[0].folder(folder) / "notes.txt").write_text("mine")
    first = export(folder, "tiny", other / f"a{ending}")
    for path in cells[0].folder(folder).rglob("*"):
        os.utime(path, (10**9, 10**9))
    export(folder, "tiny", other / f"b{ending}")
    assert (other / f"a{ending}").read_bytes() == (other / f"b{ending}").read_bytes()
    assert first.cells == 2 and first.notes == []
    found = contents(other / f"a{ending}")
    manifest = json.loads(found.pop("manifest.json"))
    assert {name: known["sha256"] for name, known in manifest["files"].items()} == {
        name: digests.of_bytes(data) for name, data in found.items()
    }
    assert manifest["variants"] == {cells[0].variant: {"title": "Tiny waves", "cells": 2}}
    assert list(manifest["licences"]) == ["sinusoid"] and "torch" in manifest["environments"][0]
    assert not any("notes" in name or ".lock" in name for name in found)

    done = bring_in(other / "store", other / f"a{ending}")
    assert len(done.placed) == 2 and done.skipped == []
    assert all(is_done(cell, other / "store") for cell in cells)
    assert all(not one.faults for one in verify(other / "store"))
    assert results.read(other / "store", "tiny").episodes.equals(results.read(folder, "tiny").episodes)
    assert results.read_own(other / "store" / "tiny") == results.read_own(folder / "tiny")
    assert sorted(path.name for path in (other / "store").iterdir()) == ["tiny"]
    again = bring_in(other / "store", other / f"a{ending}")
    assert again.placed == [] and len(again.skipped) == 2


def test_without_weights(store, tmp_path):
    folder, _ = store
    export(folder, "tiny", tmp_path / "a.zip", weights=False)
    assert not [name for name in contents(tmp_path / "a.zip") if name.endswith(".pt")]
    assert len(bring_in(tmp_path / "store", tmp_path / "a.zip").placed) == 2


def test_what_is_damaged_is_not_exported(store, tmp_path):
    folder, (cell, _) = store
    path = next(cell.folder(folder).glob("evaluation/old-*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(results.DamagedError, match=str(path)):
        export(folder, "tiny", tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip")) and not list(tmp_path.glob(".a.zip*"))


def test_cells_that_are_here_and_differ_are_named_and_nothing_is_imported(store, tmp_path):
    folder, (cell, other) = store
    export(folder, "tiny", tmp_path / "a.zip")
    path = cell.folder(folder) / "curve.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    shutil.rmtree(other.folder(folder))
    with pytest.raises(UserError, match=rf"differ; nothing was imported:\n{cell.folder(folder)} \(curve\.parquet\)"):
        bring_in(folder, tmp_path / "a.zip")
    assert not other.folder(folder).exists()
    shutil.rmtree(cell.folder(folder))
    with lease.hold(cell.folder(folder)), pytest.raises(UserError, match="it is in work"):
        bring_in(folder, tmp_path / "a.zip")


EVIL = ["../evil.json", "/tmp/evil.json", "tiny/maml/0-0/../../../evil.json", "tiny/../maml/0-0/config.json",
        "tiny/maml/0-0/evil.py", "tiny/maml/0-0/evaluation/../../../x.json", "tiny/maml/evil/config.json", "evil.json",
        "tiny/.hidden/0-0/config.json", "other/maml/0-0/config.json", "tiny/maml/0-0/sub/done-a.json"]  # fmt: skip


@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
@pytest.mark.parametrize("name", EVIL)
def test_names_that_lead_elsewhere_are_refused(exported, tmp_path, name, ending):
    file = packed(tmp_path / f"evil{ending}", forged(exported, **{name: b"{}"}))
    with pytest.raises(UserError, match="which is no file of a cell of 'tiny'"):
        bring_in(tmp_path / "store", file)
    hidden = {**exported, name: b"{}"}  # in the archive alone
    with pytest.raises(UserError, match="is not in its manifest"):
        bring_in(tmp_path / "store", packed(tmp_path / f"hidden{ending}", hidden))
    assert untouched(tmp_path / "store")
    assert {path.name for path in tmp_path.iterdir()} == {file.name, f"hidden{ending}"}


@pytest.fixture(scope="session")
def exported(pristine, tmp_path_factory) -> dict[str, bytes]:
    """The members of an honest archive."""
    file = tmp_path_factory.mktemp("exported") / "a.zip"
    export(pristine[0], "tiny", file)
    return contents(file)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_what_is_no_ordinary_file_is_refused(exported, tmp_path, kind):
    file = tmp_path / "links.tar.gz"
    name = next(name for name in exported if name.endswith("config.json"))
    with tarfile.open(file, "w:gz") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(exported["manifest.json"])
        archive.addfile(member, io.BytesIO(exported["manifest.json"]))
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(UserError, match="is no ordinary file"):
        bring_in(tmp_path / "store", file)
    assert untouched(tmp_path / "store")


def test_a_link_in_a_zip_archive_is_refused(exported, tmp_path):
    file = packed(tmp_path / "a.zip", {"manifest.json": exported["manifest.json"]})
    with zipfile.ZipFile(file, "a") as archive:
        member = zipfile.ZipInfo(next(name for name in exported if name.endswith("config.json")))
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(UserError, match="is no ordinary file"):
        bring_in(tmp_path / "store", file)


def test_bombs_are_refused(exported, tmp_path, monkeypatch):
    for module in (memory, archives):
        monkeypatch.setattr(module, "FREE", 2**18)
    name = next(name for name in exported if name.endswith("config.json"))
    with pytest.raises(UserError, match="would grow"):
        bring_in(
            tmp_path / "store",
            packed(tmp_path / "a.zip", forged({"manifest.json": exported["manifest.json"]}, **{name: ZEROS})),
        )
    monkeypatch.setattr(archives, "FREE", 2**12)
    bomb = tmp_path / "pax.tar.gz"  # a header of this format may have any size, and is read as a whole
    header = tarfile.TarInfo("./PaxHeaders/manifest.json")
    header.type, header.size = tarfile.XHDTYPE, len(ZEROS)
    bomb.write_bytes(gzip.compress(header.tobuf() + ZEROS))
    with pytest.raises(UserError, match="it unpacks to more than"):
        bring_in(tmp_path / "store", bomb)
    assert untouched(tmp_path / "store")


def _no_manifest(members):
    del members["manifest.json"]


def _flipped(members):
    name = next(name for name in members if name.endswith("curve.parquet"))
    members[name] = members[name][:-1] + b"x"


def _missing(members):
    del members[next(name for name in members if name.endswith("curve.parquet"))]


def _no_digests(members):
    members["manifest.json"] = b'{"format": 1, "suite": "tiny", "files": {"tiny/maml/0-0/config.json": {}}}'


def _no_json(members):
    members["manifest.json"] = b"[" * 10_000


def _of_another_suite(members):
    members["manifest.json"] = members["manifest.json"].replace(b'"suite": "tiny"', b'"suite": "../x"')


def _from_the_future(members):
    members["manifest.json"] = members["manifest.json"].replace(b'"format": 1', b'"format": 9')


FORGERIES = {
    _no_manifest: "it does not begin with manifest.json",
    _flipped: "is not what its manifest says, by its sha256",
    _missing: "is in its manifest, and not in it",
    _no_digests: "does not have the sha256 and the size",
    _no_json: "cannot be imported",
    _of_another_suite: "which no folder can be called",
    _from_the_future: "has another format than 1",
}


@pytest.mark.parametrize("change", FORGERIES)
def test_archives_that_are_not_what_they_say_are_refused(exported, tmp_path, change):
    members = dict(exported)
    change(members)
    with pytest.raises(UserError, match=FORGERIES[change]):
        bring_in(tmp_path / "store", packed(tmp_path / "a.zip", members))
    assert untouched(tmp_path / "store")


def test_what_a_manifest_knows_and_the_markers_do_not_is_refused(exported, tmp_path):
    """Digests and markers are checked as in the store."""
    name = next(name for name in exported if name.endswith("curve.parquet"))
    file = packed(tmp_path / "a.zip", forged(exported, **{name: exported[name] + b"x"}))
    with pytest.raises(UserError, match=rf"is damaged; nothing was imported:\n{name}: it is not what was written"):
        bring_in(tmp_path / "store", file)
    bare = {key: data for key, data in exported.items() if "/done-" not in key}
    with pytest.raises(UserError, match="it has no marker"):
        bring_in(tmp_path / "store", packed(tmp_path / "b.zip", forged(bare)))
    assert untouched(tmp_path / "store")


def test_the_commands(store, here, tmp_path):
    folder, _ = store
    flags = ("--results", str(folder))
    code, out, _ = here("results", "export", "tiny", "-o", "a.tar.gz", *flags)
    assert code == 0 and out.startswith("a.tar.gz: 2 cells, ")
    code, _, errors = here("results", "export", "tiny", "-o", "a.tar.gz", *flags)
    assert code == 2 and "is there already" in errors
    code, _, errors = here("results", "export", "tiny", "-o", "a.rar", *flags)
    assert code == 2 and "*.tar.gz or *.zip" in errors
    code, _, errors = here("results", "export", "tiny", "-o", "b.zip", "--variant", "x", *flags)
    assert code == 2 and "no finished results of variant 'x'" in errors and "there are the variants" in errors
    code, out, _ = here("results", "import", "a.tar.gz", "--results", "new")
    assert code == 0 and out == "2 cells imported into 'new'.\n"
    code, out, _ = here("results", "import", "a.tar.gz", "--results", "new")
    assert out == "0 cells imported into 'new'; 2 were here already.\n"
    code, _, errors = here("results", "import", "gone.zip")
    assert code == 2 and "no file 'gone.zip'" in errors


def test_data_of_the_users_own_are_theirs():
    assert archives._licence("table:shops.csv") == archives._licence("path:mine") == "yours"
