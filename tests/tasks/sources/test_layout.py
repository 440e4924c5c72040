"""Classes and parts by folders: right, or refused with one message."""

from __future__ import annotations

import pytest

from metagap.errors import UserError
from metagap.tasks.sources.archives import opened
from metagap.tasks.sources.layout import by_folder

FILE = "omniglot-py/images_background.zip"


def places(*folders: str, top: str = "") -> dict[str, tuple[str, str]]:
    """The class and part of an image in each of these folders."""
    files = [f"{top}{folder}/{i}.png" for folder in folders for i in range(2)]
    found = by_folder(files, "mine")
    assert [found[file] for file in files[::2]] == [found[file] for file in files[1::2]]
    return {folder: tuple(found[file]) for folder, file in zip(folders, files[::2], strict=True)}


@pytest.mark.parametrize("top", ["", "data/", "images_background/", "a/b/c/"])
def test_a_class_is_its_path(top):
    nested = ["Greek/character01", "Greek/character02", "Latin/character01"]
    assert places(*nested, top=top) == {folder: (folder, "") for folder in nested}
    uneven = ["cat", "dog/poodle", "dog/beagle"]
    assert places(*uneven, top=top) == {folder: (folder, "") for folder in uneven}


def test_the_characters_of_omniglot(real_data):
    archive = opened(real_data(FILE) / FILE, "mine")
    found = by_folder([name for name in archive.names if name.endswith(".png")], "mine")
    assert len(found) == 964 * 20
    assert len(set(found.values())) == 964


def test_a_folder_that_all_classes_have_is_no_part_of_their_names():
    assert places("cat/images", "dog/images") == {"cat/images": ("cat", ""), "dog/images": ("dog", "")}
    assert places("train/a/x/images", "test/b/y/images") == {
        "train/a/x/images": ("a/x", "train"),
        "test/b/y/images": ("b/y", "test"),
    }
    assert places("Greek/alpha", "Latin/alpha", "Latin/b")["Latin/alpha"] == ("Latin/alpha", "")


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Valid", "Test"),
        ("TRAINING", "validation", "testing"),
        ("train", "dev", "test"),
    ],
)
@pytest.mark.parametrize("top", ["", "data/"])
def test_parts_at_the_top(train, val, test, top):
    found = places(f"{train}/a", f"{train}/b", f"{val}/c", f"{test}/Greek/d", top=top)
    assert list(found.values()) == [("a", "train"), ("b", "train"), ("c", "val"), ("Greek/d", "test")]


def test_one_part_alone_is_a_part():
    assert places("train/a", "train/b") == {"train/a": ("a", "train"), "train/b": ("b", "train")}


def test_a_class_may_be_called_like_a_part():
    assert places("train", "bus", "car") == {"train": ("train", ""), "bus": ("bus", ""), "car": ("car", "")}
    assert places("train/images", "bus/images")["train/images"] == ("train", "")
    assert places("test tubes/a", "stations/b")["test tubes/a"] == ("test tubes/a", "")
    assert places("test_tube", "train_station")["test_tube"] == ("test_tube", "")
    assert places("test/train", "test/bus")["test/train"] == ("train", "test")
    assert places("rail/train", "road/bus", "road/tram")["rail/train"] == ("rail/train", "")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train/a", "test/b", "extra"], "'test', 'train' would be a part, but next to it lie 'extra'"),
        (["train/a", "test/b", "extra/c"], "'test', 'train' would be a part, but next to it lie 'extra'"),
        (["train/steam", "train/diesel", "bus"], "'train' would be a part, but next to it lie 'bus'"),
        (["train", "test"], "'test', 'train' is a part and holds images without folders for their classes"),
        (["train/a", "train/b", "test"], "'test' is a part and holds images without folders"),
        (["train/n1/images", "train/n2/images", "val/images"], "'val' is a part and holds images without"),
        (["train/a", "Train/b"], "'Train', 'train' are the same part"),
        (["train/a", "val/b", "valid/c"], "'val', 'valid' are the same part"),
        (
            ["Train/a", "Train/b", "Test/b", "Test/a"],
            "2 of 2 classes are in more than one of the parts 'test' and 'train'",
        ),
        (["train/a", "train/b", "val/c", "test/b"], "1 of 3 classes are in more than one of the parts .*: 'b'"),
        (
            ["cat/train", "cat/test", "dog/train", "dog/test"],
            "'cat' holds 'test', 'train', which would be parts of one",
        ),
        (
            ["training_set/a", "training_set/b", "test_set/c"],
            "'test_set', 'training_set' would be parts; allowed: train",
        ),
        (["meta-train/a", "meta-test/b"], "'meta-test', 'meta-train' would be parts; allowed: train, val, test, or"),
        (["cat/images", "cat/masks", "dog/images"], "'cat' holds 'images', 'masks', of which one would be all images"),
        (["cat", "cat/more", "dog"], "images lie next to folders of images: 'cat/0.png', 'cat/1.png'"),
        (["train/a", "train/b", "train", "test/c"], "images lie next to folders of images: 'train/0.png'"),
        ([".", "a", "b"], "images lie next to folders of images: './0.png', './1.png'"),
        (
            ["."],
            "all 2 images lie in one folder, such as './0.png', './1.png', so their classes are not known; allowed: a",
        ),
        (["wrapper"], "all 2 images lie in one folder, such as 'wrapper/0.png', 'wrapper/1.png', so their classes"),
        (["data/images"], "all 2 images lie in one folder, such as 'data/images/0.png', 'data/images/1.png', so their"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(folders, message):
    with pytest.raises(UserError, match=f"^mine: {message}"):
        places(*folders)
