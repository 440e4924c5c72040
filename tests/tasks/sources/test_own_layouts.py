"""Images in the layouts that people have: each is read right and what was guessed is said, or is refused with a way."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layouts import Files, by_class, idx, picture, write_folder, write_idx_pair, write_zip
from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.sources import UserImages

GREY = np.random.default_rng(0).integers(0, 256, (6, 5, 5), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def own(path: str = "mine", **options: Any) -> UserImages:
    return UserImages(path=path, **{"image_size": 5, **options})


def named(*files: str) -> Files:
    return {file: picture(i) for i, file in enumerate(files)}


def table(*heads: str, rows: list[tuple[str, ...]]) -> bytes:
    return "\n".join(",".join(row) for row in [heads, *rows]).encode()


ROWS = [("x0", "cat", "1"), ("x1", "dog", "2"), ("x2", "cat", "3")]
FLAT = named("x0.png", "x1.png", "x2.png")
FOLDERS: dict[str, tuple[Files, dict[str, Any], list[str], str]] = {
    "labels.csv": (FLAT | {"labels.csv": table("file", "label", "n", rows=ROWS)}, {}, ["cat", "dog"], ""),
    "guessed columns": (
        FLAT | {"labels.csv": table("image_id", "category", "n", rows=ROWS)}, {}, ["cat", "dog"],
        "path:mine: of the columns of 'labels.csv', 'image_id' the files, 'category' the classes",
    ),
    "chosen columns": (
        FLAT | {"meta.csv": table("isic", "Dx", "target", rows=ROWS)}, {"file_column": "isic", "label_column": "dx"},
        ["cat", "dog"], "",
    ),
    "a chosen and a guessed column": (
        FLAT | {"meta.csv": table("image_id", "dx", "target", rows=ROWS)}, {"label_column": "dx"}, ["cat", "dog"],
        "path:mine: of the columns of 'meta.csv', 'image_id' the files, 'dx' the classes",
    ),
    "a chosen column above folders of classes": (
        named("a/x0.png", "a/x1.png", "b/x2.png") | {"meta.csv": table("id", "dx", "n", rows=ROWS)},
        {"label_column": "dx"}, ["cat", "dog"],
        "path:mine: of the columns of 'meta.csv', 'id' the files, 'dx' the classes",
    ),
    "class in the name": (
        named("great_dane_1.png", "great_dane_02.jpg", "pug_3.png"), {"pattern": "(.+)_[0-9]+"},
        ["great_dane", "pug"], "",
    ),
    "class in the name, with points": (
        named("batch1/cat.1.png", "batch2/dog.2.png", "batch2/cat.3.png"), {"pattern": r"(\w+)\..*"}, ["cat", "dog"],
        "",
    ),
    "class/images": (by_class(["cat/images", "dog/images"]), {}, ["cat", "dog"], ""),
    "deeper nesting": (by_class(["Greek/a", "Latin/a", "Latin/b/old"]), {}, ["Greek/a", "Latin/a", "Latin/b/old"], ""),
    "parts with the same classes": (
        by_class(["Train/a", "Train/b", "Test/a", "Test/b"]), {"join_parts": True}, ["a", "b"], ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder(data, case):
    files, options, names, remark = FOLDERS[case]
    write_folder(data / "mine", files)
    assert own(**options).store().names == tuple(names)
    assert own(**options).remark() == remark
    write_zip(data / "mine.zip", files)
    assert own("mine.zip", **options).digest() == own(**options).digest()


def test_the_class_of_each_image_is_that_of_its_name(data):
    files = named("b_1.png", "a_2.png", "b_3.png")
    write_folder(data / "mine", files)
    write_folder(
        data / "sorted", {"a/2.png": files["a_2.png"], "b/1.png": files["b_1.png"], "b/3.png": files["b_3.png"]}
    )
    assert own(pattern="(.)_.").store().digests == own("sorted").store().digests


@pytest.mark.parametrize("spelt", ["train", "Train", "TRAINING"])
def test_parts_of_images_with_the_class_in_their_names(data, spelt):
    write_folder(data / "mine", named(f"{spelt}/x/a_0.png", f"{spelt}/a_1.png", "VALID/b_0.png", "test/c_0.png"))
    source = own(pattern="(.)_.")
    assert [source.tasks(Part(part), "cpu").names for part in ("train", "val", "test")] == [("a",), ("b",), ("c",)]


SAME = {"train/a_0.png": picture(0), "test/a_1.png": picture(1)}
REFUSED: dict[str, tuple[Files, dict[str, Any], str]] = {
    "other names": (named("a_1.png", "b.png"), {"pattern": "(.)_."}, "pattern = '(.)_.': 1 of 2 names do not match"),
    "an empty class": (named("_1.png"), {"pattern": "(.*)_."}, "1 of 1 names do not match: '_1.png'"),
    "some in parts": (SAME | named("b_0.png"), {"pattern": "(.)_."}, "some folders at the top are parts, and 'b_0."),
    "a class in two parts": (SAME, {"pattern": "(.)_."}, "'a'; allowed: every class in one part, for those to test"),
    "both": (FLAT, {"pattern": "(.).", "label_column": "x"}, "label_column = 'x' says nothing about these files"),
    "no table": (FLAT, {"label_column": "x"}, "are about a table of labels, and there is none"),
    "no such column": (FLAT | {"labels.csv": table("file", "label", "n", rows=ROWS)}, {"label_column": "dx"},
                       "table 'labels.csv' has the columns 'file', 'label', 'n'; allowed: one of files"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_is_refused(data, case):
    files, options, message = REFUSED[case]
    write_folder(data / "mine", files)
    with pytest.raises(UserError) as refused:
        own(**options).store()
    assert str(refused.value).startswith("path:mine: ") and message in str(refused.value)


@pytest.mark.parametrize(("pattern", "message"), [("(.+", "is no regular expression"), ("(.)(.)", "has 2 groups")])
def test_a_pattern_is_checked(pattern, message):
    with pytest.raises(ValueError, match=message):
        own(pattern=pattern)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["mine", "mine/MNIST/raw"])
def test_idx_files_of_a_folder(data, packed, place):
    write_idx_pair(data / place, "train", GREY, LABELS, packed)
    store = own().store()
    assert store.names == ("0", "1", "2")
    assert np.array_equal(store.images[:, 0], GREY[[0, 3, 1, 4, 2, 5]])
    end = ".gz" if packed else ""
    assert own(f"{place}/train-images-idx3-ubyte{end}").digest() == own().digest()


def test_idx_files_of_two_parts(data):
    write_idx_pair(data / "mine", "train", GREY, LABELS)
    write_idx_pair(data / "mine", "t10k", GREY[:3], LABELS[:3], packed=False)
    with pytest.raises(UserError, match=r"3 of 3 classes are in more than one of the parts 'test' and 'train'.*join_p"):
        own().store()
    assert own(join_parts=True).store().size.tolist() == [3, 3, 3]
    write_idx_pair(data / "other", "train", GREY, LABELS)
    write_idx_pair(data / "other", "t10k", GREY[:3], LABELS[:3] + 3)
    assert own("other").tasks(Part("test"), "cpu").names == ("3", "4", "5")


def test_other_labels_of_an_idx_file_are_read_again(data):
    write_idx_pair(data / "mine", "train", GREY, LABELS)
    source = own("mine/train-images-idx3-ubyte.gz")
    assert source.store().size.tolist() == [2, 2, 2]
    (data / "mine" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS // 2)))
    assert source.store().size.tolist() == [4, 2]


def test_idx_files_that_are_not_right(data):
    write_idx_pair(data / "mine", "emnist-letters-train", GREY, LABELS)
    write_idx_pair(data / "mine", "emnist-digits-train", GREY, LABELS)
    with pytest.raises(UserError, match="are of several data sets; allowed: name one file of images"):
        own().store()
    (data / "mine" / "emnist-digits-train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"no file of labels, such as 'emnist-digits-train-labels-idx1-ubyte\.gz'"):
        own("mine/emnist-digits-train-images-idx3-ubyte.gz").store()
    for damaged in (b"", b"no gzip", gzip.compress(b"\0\1\2"), gzip.compress(idx(GREY)[:-1])):
        (data / "mine" / "emnist-letters-train-images-idx3-ubyte.gz").write_bytes(damaged)
        with pytest.raises(UserError, match=r"'emnist-letters-train-images-idx3-ubyte\.gz' is damaged"):
            own("mine/emnist-letters-train-images-idx3-ubyte.gz").store()


def rows(label: Callable[[int], str] = str, last: bool = False) -> list[tuple[str, ...]]:
    """A row for each image."""
    cells = [([label(k)], [str(p) for p in image.ravel()]) for image, k in zip(GREY, LABELS.tolist(), strict=True)]
    return [tuple(p + k if last else k + p) for k, p in cells]


HEADS = [f"pixel{i}" for i in range(25)]
WORD = "abc".__getitem__
TABLES: dict[str, tuple[bytes, dict[str, Any], list[str], str]] = {
    "as Kaggle's": (table("label", *HEADS, rows=rows()), {}, ["0", "1", "2"], "classes are column 'label', pixels 'pi"),
    "text labels at the end": (table(*HEADS, "Class", rows=rows(WORD, True)), {}, ["a", "b", "c"], "column 'Class'"),
    "heads that count": (table("label", *map(str, range(25)), rows=rows()), {}, ["0", "1", "2"], "'0' to '24', as 5 x"),
    "no heads": ("\n".join(map(",".join, rows())).encode(), {}, ["0", "1", "2"], "no heads: the first row is of numb"),
    "no heads, and words": ("\n".join(map(",".join, rows(WORD))).encode(), {}, ["a", "b", "c"], "column 'column 1'"),
    "no heads, the last column": (
        "\n".join(map(",".join, rows(last=True))).encode(), {"label_column": "column 26"}, ["0", "1", "2"], "column 26"
    ),
    "a chosen column": (table("dx", *HEADS, rows=rows(WORD)), {"label_column": "DX"}, ["a", "b", "c"], "column 'dx'"),
    "labels with zeros": (table("label", *HEADS, rows=rows("0{}".format)), {}, ["00", "01", "02"], ""),
    "other columns": (
        table("note", "image_id", "label", *HEADS, rows=[("fine", str(i), *row) for i, row in enumerate(rows())]), {},
        ["0", "1", "2"], "columns not read: 'image_id', 'note'",
    ),
    "pixels as text": (
        table("emotion", "pixels", "Usage", rows=[(row[0], " ".join(row[1:]), "Training") for row in rows()]),
        {"label_column": "emotion"}, ["0", "1", "2"], "columns not read: 'Usage'; classes are column 'emotion', pixels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_a_table_of_pixels(data, case):
    content, options, names, remark = TABLES[case]
    (data / "mine.csv").write_bytes(content)
    source = own("mine.csv", **options)
    assert source.store().names == tuple(names)
    assert np.array_equal(source.store().images[:, 0], GREY[[0, 3, 1, 4, 2, 5]])
    assert source.remark().startswith("path:mine.csv: ") and remark in source.remark()
    (data / "packed.csv.gz").write_bytes(gzip.compress(content))
    assert own("packed.csv.gz", **options).digest() == source.digest()


def test_fractions_in_a_table_are_levels_up_to_1(data):
    (data / "mine.csv").write_bytes(
        table("label", *HEADS, rows=[(row[0], *(f"{int(p) / 255}" for p in row[1:])) for row in rows()])
    )
    assert np.array_equal(own("mine.csv").store().images[:, 0], GREY[[0, 3, 1, 4, 2, 5]])


def test_parts_of_a_table_of_pixels(data):
    split = [(*row, {"0": "train", "1": "Valid", "2": "test"}[row[0]]) for row in rows()]
    (data / "mine.csv").write_bytes(table("label", *HEADS, "split", rows=split))
    found = [own("mine.csv").tasks(Part(part), "cpu").names for part in ("train", "val", "test")]
    assert found == [("0",), ("1",), ("2",)]


BAD_TABLES: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "no class": (table("kind", *HEADS, rows=rows()), {}, "not clear which column has the classes; found: 'kind', 'pix"),
    "no such column": (table("kind", *HEADS, rows=rows()), {"label_column": "x"}, "label_column = 'x'; found: 'kind'"),
    "no square": (table("label", *HEADS[1:], rows=[row[:-1] for row in rows()]), {}, "24 pixels, 'pixel1' to 'pixel"),
    "a missing class": (table("label", *HEADS, rows=[*rows(), ("", *rows()[0][1:])]), {}, "column 'label' lacks 1 cl"),
    "a missing pixel": (table("label", *HEADS, rows=[*rows(), ("1", "", *rows()[0][2:])]), {}, "1 of its values are N"),
    "a negative pixel": (table("label", *HEADS, rows=[*rows(), ("1", "-3", *rows()[0][2:])]), {}, "negative values"),
    "a word among pixels": (table("label", *HEADS, rows=[*rows(), ("1", "x", *rows()[0][2:])]), {}, "24 pixels"),
    "texts of other lengths": (b"label,pixels\n0,1 2 3 4\n1,1 2 3\n", {}, "column 'pixels': allowed: numbers with"),
    "an unknown part": (table("label", *HEADS, "split", rows=[(*row, "all") for row in rows()]), {}, "no part 'all'"),
    "nothing": (b"", {}, "is empty"),
    "a pattern": (table("label", *HEADS, rows=rows()), {"pattern": "(.)"}, "pattern = '(.)' says nothing about these"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_of_pixels_is_refused(data, case):
    content, options, message = BAD_TABLES[case]
    (data / "mine.csv").write_bytes(content)
    with pytest.raises(UserError) as refused:
        own("mine.csv", **options).store()
    assert "mine.csv" in str(refused.value) and message in str(refused.value)


def test_string_labels_in_an_npz_of_two_parts_with_the_same_classes(data: Path):
    words = np.array(["a", "b", "c"])[LABELS]
    np.savez(data / "mine.npz", x_train=GREY, y_train=words, x_test=GREY[:3], y_test=words[:3])
    with pytest.raises(UserError, match=r"3 of 3 classes are in more than one.*join_parts = true"):
        own("mine.npz").store()
    store = own("mine.npz", join_parts=True).store()
    assert store.names == ("a", "b", "c") and store.size.tolist() == [3, 3, 3]
