"""The user's own images: where they are looked up, and what a folder, an archive and an .npz file have in common."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from layouts import by_class, encoded, picture, write_folder, write_tar, write_zip
from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.sources import UserImages


def test_a_folder_with_and_without_parts(data):
    files = by_class(["train/cat", "train/dog", "test/bird"], 3)
    write_folder(data / "parted", files)
    write_folder(data / "plain", {name.partition("/")[2]: content for name, content in files.items()})
    parted = UserImages(path="parted", image_size=8, channels=3)
    assert parted.tasks(Part("train"), "cpu").names == ("cat", "dog")
    assert parted.tasks(Part("test"), "cpu").names == ("bird",)
    with pytest.raises(UserError, match="no classes 'val' in UserImages; allowed: train, test, all"):
        parted.tasks(Part("val"), "cpu")
    plain = UserImages(path="plain", image_size=8).tasks(Part(), "cpu")
    assert plain.names == ("bird", "cat", "dog")
    assert plain.x_shape == (1, 8, 8)


@pytest.mark.parametrize(("write", "name"), [(write_zip, "MINE.ZIP"), (write_tar, "mine.tar.gz"), (write_tar, "m.TGZ")])
def test_an_archive_is_read_like_the_folder(data, write, name):
    write(data / name, by_class(["train/cat", "train/dog", "test/bird"], pattern="photos/{name}/{i}.png", size=10))
    store = UserImages(path=name, image_size=10, channels=3).tasks(Part("train"), "cpu")
    assert store.names == ("cat", "dog")
    assert store.size.tolist() == [2, 2]


def test_an_archive_made_on_windows(data):
    write_zip(data / "mine.zip", {name.replace("/", "\\"): one for name, one in by_class(["a/x", "b/y"]).items()})
    assert UserImages(path="mine.zip").tasks(Part(), "cpu").names == ("a/x", "b/y")


def test_a_folder_may_be_called_like_a_file(data):
    write_folder(data / "mine.npz", by_class(["a", "b"]))
    assert UserImages(path="mine.npz").store().names == ("a", "b")


def test_classes_are_shuffled_into_shares(data):
    np.savez(data / "mine.npz", images=np.zeros((5, 6, 10, 10), np.uint8), class_names=list("abcde"))
    shares = [UserImages(path="mine.npz").tasks(Part(part), "cpu").names for part in ("train", "val", "test")]
    assert [len(names) for names in shares] == [3, 1, 1]
    assert sorted(sum(shares, ())) == list("abcde")


def test_classes_of_all_characters(data):
    names = ["an (apple)", "C: drive", "back\\slash", "été", "-x", "ten%", "line\nbreak"]
    write_folder(data / "odd", by_class(names))
    assert set(UserImages(path="odd").store().names) == set(names)
    raw = bytes(data / "odd") + b"/caf\xe9"
    (data / "odd" / "-x").rename(raw.decode(errors="surrogateescape"))
    assert "caf\\xe9" in UserImages(path="odd").store().names


def test_what_is_hidden_is_no_image(data):
    hidden = [".DS_Store", "a/.hidden.png", "__MACOSX/a/._0.png", "a/@eaDir/0.png", ".git/x.png", "a/Thumbs.db"]
    write_folder(data / "mine", by_class(["a", "b"]) | dict.fromkeys(hidden, b"nothing"))
    source = UserImages(path="mine")
    assert source.store().size.tolist() == [2, 2]
    assert source.remark() == ""


def test_what_is_not_read_is_said(data):
    others = {"a/1.heic": b"", "a/2.HEIC": b"", "c/raw.dng": b"", "README": b"", "a/notes.txt": b""}
    write_folder(data / "mine", by_class(["a", "b"]) | others)
    assert UserImages(path="mine").remark() == "path:mine: 3 files are of no kind that is read (2 .heic, 1 .dng)"
    write_folder(data / "lone", by_class(["a", "c"]) | {"b/0.svg": b"", "licence.pdf": b""})
    assert UserImages(path="lone").remark() == "path:lone: one file is of no kind that is read (1 .svg)"
    write_folder(data / "none", others)
    with pytest.raises(
        UserError, match=r"path:none: '.*' has no images: 2 \.heic, 1 \.dng, 1 \.txt, 1 without a suffix;"
    ):
        UserImages(path="none").store()
    (data / "empty").mkdir()
    with pytest.raises(UserError, match=r"has no images: it is empty; allowed: .*.webp"):
        UserImages(path="empty").store()


def test_what_is_no_data_set_is_refused(data):
    (data / "one.png").write_bytes(picture(0))
    (data / "set.7z").write_bytes(b"")
    for name in ("one.png", "set.7z"):
        with pytest.raises(UserError, match=rf"'.*{name}' is none of the forms that are read; allowed: a folder"):
            UserImages(path=name).store()
    for name in ("nowhere", "nul\0", "x" * 5000, "~nobody-of-this-name/x"):
        with pytest.raises(UserError, match=r"neither a folder of images nor an \.npz"):
            UserImages(path=name).store()


def test_all_damaged_files_are_named(data):
    files = by_class(["a", "b"], 8)
    damaged = {name: content[:60] for name, content in files.items() if name[0] == "a"}
    write_folder(data / "one", files | {"b/3.png": b""})
    with pytest.raises(UserError, match=r"path:one: 'b/3\.png' in '.*one' is not a readable image: cannot identify"):
        UserImages(path="one").store()
    write_zip(data / "some.zip", files | damaged)
    with pytest.raises(
        UserError, match=r"path:some\.zip: 8 of 16 files in .* are not readable images: 'a/0\.png' \(.*a/7"
    ):
        UserImages(path="some.zip").store()
    write_folder(data / "many", {name: b"nothing" for name in files})
    with pytest.raises(UserError, match=r"16 of 16 files in .* \(cannot identify image file\); and 6 more$"):
        UserImages(path="many").store()


def test_links(data):
    write_folder(data / "mine", by_class(["a", "b"]))
    (data / "mine" / "b" / "up").symlink_to(data / "mine")
    (data / "mine" / "c").symlink_to(data / "mine" / "a")
    (data / "mine" / "c" / "round").symlink_to(data / "mine" / "b")
    (data / "mine" / "b" / "round").symlink_to(data / "mine" / "a")
    source = UserImages(path="mine")
    with pytest.raises(UserError, match="images lie next to folders of images"):
        source.store()
    for link in ("b/up", "a/round", "b/round"):
        (data / "mine" / link).unlink()
    assert source.store().names == ("a", "b", "c")
    (data / "mine" / "b" / "up").symlink_to("../b")
    assert source.store().size.tolist() == [2, 2, 2]
    for name, target in (("gone.png", "nowhere.png"), ("self.png", "self.png")):
        (data / "mine" / "a" / name).symlink_to(target)
    with pytest.raises(
        UserError, match=r"4 of 10 files .* 'a/gone\.png' \(it is a link to nothing, or no ordinary file\)"
    ):
        source.store()


def test_a_pipe_is_no_image(data):

    write_folder(data / "mine", by_class(["a", "b"]))
    os.mkfifo(data / "mine" / "a" / "pipe.png")
    with pytest.raises(
        UserError, match=r"'a/pipe\.png' in '.*' is not a readable image: it is a link to nothing, or no"
    ):
        UserImages(path="mine").store()


def test_inverted_is_the_other_way_round(data):
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    write_folder(data / "mine", {"a/0.png": encoded(ramp), "b/0.png": encoded(ramp[::-1])})
    one, other = (UserImages(path="mine", image_size=8, invert=invert).store().images for invert in (False, True))
    assert torch.equal(other, 255 - one)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs to become somebody else")
def test_what_may_not_be_read_is_told(monkeypatch):
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    write_folder(folder, by_class(["file/a", "file/b", "folder/a", "folder/b", "above/x/a", "above/x/b"]))
    for name in ("file/a/0.png", "folder/b", "above"):
        (folder / name).chmod(0)
    os.seteuid(65534)
    try:
        for name, message in (
            ("file", r"'a/0\.png' in '.*file' is not a readable image: Permission denied"),
            ("folder", r"'.*folder/b' cannot be read: Permission denied"),
            ("above/x", r"'.*above/x' cannot be read: Permission denied"),
        ):
            with pytest.raises(UserError, match=message):
                UserImages(path=str(folder / name)).store()
    finally:
        os.seteuid(0)
        shutil.rmtree(folder)
