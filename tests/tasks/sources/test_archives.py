"""Archives: the same files whatever they are packed in; damaged ones and malicious ones are refused."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile

import pytest

from layouts import write_folder, write_tar, write_zip
from metagap.errors import UserError
from metagap.tasks.sources.archives import opened

FILES = {"set/b/2.txt": b"two", "set/a/1.txt": b"one" * 9000, "set/.hidden/x.txt": b"", "__MACOSX/set/._1.txt": b"."}


def write(path, files):
    if path.suffix == ".zip":
        write_zip(path, files)
    elif path.suffix:
        write_tar(path, files, {"gz": "w:gz", "xz": "w:xz", "tgz": "w:gz", "bz2": "w:bz2"}.get(path.suffix[1:], "w"))
    else:
        write_folder(path, files)
    return opened(path, "Set")


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tgz", "set.tar.xz", "set.tar.bz2", "folder"])
def test_the_same_files_in_every_form(tmp_path, name):
    archive = write(tmp_path / name, FILES)
    assert sorted(archive.names) == ["set/a/1.txt", "set/b/2.txt"]
    assert [name for name, _ in archive.read(FILES)] == archive.names
    assert dict(archive.read({"set/a/1.txt"})) == {"set/a/1.txt": FILES["set/a/1.txt"]}
    assert archive.one("b/2.txt") == b"two"
    with pytest.raises(UserError, match=r"Set: no file '/2\.txt' in"):
        archive.one("/2.txt")


def test_the_names_in_a_packed_tar_are_listed_once(tmp_path, monkeypatch):
    names = write(tmp_path / "set.tar.gz", FILES).names
    monkeypatch.setattr(tarfile, "open", None)
    assert opened(tmp_path / "set.tar.gz", "Set").names == names


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tar.xz"])
@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"<html>", lambda raw: b""])
def test_a_corrupt_archive_is_named(tmp_path, name, damage):
    path = tmp_path / name
    write(path, FILES)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        UserError, match=rf"{name}' is (damaged|not a readable .* archive): .*remove it and get it again"
    ):
        list(opened(path, "Set").read(FILES))
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_flipped_bit_in_a_member_is_found(tmp_path):
    archive = write(tmp_path / "set.zip", FILES)
    raw = bytearray((tmp_path / "set.zip").read_bytes())
    raw[raw.index(b"oneone") + 500] ^= 1
    (tmp_path / "set.zip").write_bytes(raw)
    with pytest.raises(UserError, match=r"'set/a/1\.txt' in '.*set\.zip' is damaged: Bad CRC-32"):
        archive.one("1.txt")


OUTSIDE = ["../evil.txt", "/etc/evil.txt", "set/../../evil.txt", "C:/evil.txt", "..\\evil.txt"]


@pytest.mark.parametrize("form", ["set.zip", "set.tar", "set.tar.gz"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_member_outside_the_folder_is_refused(tmp_path, form, name):
    archive = write(tmp_path / "inner" / form, {**FILES, name: b"evil"})
    with pytest.raises(UserError, match="has a member that points outside its folder"):
        assert not archive.names
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", form]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "a/../../../secret"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_out_of_a_tar_is_refused(tmp_path, target, kind):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        link = tarfile.TarInfo("set/link")
        link.type, link.linkname = kind, target
        archive.addfile(link)
    with pytest.raises(UserError, match=r"points outside its folder, 'set/link' to '.*'; this is not"):
        assert not opened(tmp_path / "set.tar", "Set").names


def test_a_link_out_of_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        link = zipfile.ZipInfo("set/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "../../secret")
    with pytest.raises(UserError, match="points outside its folder, 'set/link'"):
        assert not opened(tmp_path / "set.zip", "Set").names


def test_links_inside_are_no_files(tmp_path):
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        file, link = tarfile.TarInfo("set/1.txt"), tarfile.TarInfo("set/link")
        file.size, link.type, link.linkname = 3, tarfile.SYMTYPE, "1.txt"
        archive.addfile(file, io.BytesIO(b"one"))
        archive.addfile(link)
    assert opened(tmp_path / "set.tar", "Set").names == ["set/1.txt"]
