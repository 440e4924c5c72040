"""Classes by tables next to the images."""

from __future__ import annotations

import pytest

from layouts import by_class, picture, write_folder, write_zip
from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.sources import UserImages

IMAGES = {f"{i}.png": picture(i) for i in range(6)}
ROWS = [(f"{i}.png", "abc"[i % 3]) for i in range(6)]


def table(*heads: str, rows=ROWS, between: str = ",") -> bytes:
    return "\n".join(between.join(row) for row in [heads, *rows]).encode()


def store(data, files, part="all"):
    write_folder(data / "mine", files)
    return UserImages(path="mine", image_size=8, channels=3).tasks(Part(part), "cpu")


def refused(data, files, message):
    write_folder(data / "mine", files)
    with pytest.raises(UserError, match=f"^path:mine: '.*': {message}"):
        UserImages(path="mine").store()


@pytest.mark.parametrize(
    "heads", [("file", "label"), ("Filename", "Class"), ("file_name", "category"), ("image", "target")]
)
@pytest.mark.parametrize("name", ["labels.csv", "metadata.csv", "Labels.CSV"])
def test_a_table_says_the_classes_of_a_flat_folder(data, heads, name):
    found = store(data, IMAGES | {name: table(*heads)})
    assert found.names == ("a", "b", "c")
    assert found.size.tolist() == [2, 2, 2]


@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_forms_of_tables(data, between):
    rows = [("7", str(i), label, f"class {label}") for i, (_, label) in enumerate(ROWS)]
    text = b"\xef\xbb\xbf" + table("", "image_id", "label", "class_name", rows=rows, between=between) + b"\r\n\n"
    found = store(data, IMAGES | {"labels.csv": text})
    assert found.names == ("class a", "class b", "class c")


@pytest.mark.parametrize(
    "files",
    [
        {f"images/{name}": content for name, content in IMAGES.items()} | {"labels.csv": table("file", "label")},
        {f"images/{name}": content for name, content in IMAGES.items()}
        | {"labels.csv": table("file", "label", rows=[(f"images/{file}", label) for file, label in ROWS])},
        {f"set/images/{name}": content for name, content in IMAGES.items()}
        | {"set/labels.csv": table("file", "label")},
    ],
)
def test_images_may_lie_below_the_table(data, files):
    assert store(data, files).names == ("a", "b", "c")
    write_zip(data / "mine.zip", files)
    assert UserImages(path="mine.zip").store().names == ("a", "b", "c")


def test_parts_by_a_column(data):
    rows = [(file, label, {"a": "train", "b": "Valid", "c": "test"}[label]) for file, label in ROWS]
    files = IMAGES | {"labels.csv": table("file", "label", "split", rows=rows)}
    assert [store(data, files, part).names for part in ("train", "val", "test")] == [("a",), ("b",), ("c",)]


def test_parts_by_tables(data):
    files = {f"images/{name}": content for name, content in IMAGES.items()}
    files |= {
        f"{part}.csv": table("filename", "label", rows=ROWS[i::3]) for i, part in enumerate(("train", "val", "test"))
    }
    assert [store(data, files, part).names for part in ("train", "val", "test")] == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize("apart", [False, True])
def test_parts_by_folders_with_tables(data, apart):
    rows = [(f"{'test' if label == 'c' else 'train'}/{file}", label) for file, label in ROWS]
    files = {file: IMAGES[file.partition("/")[2]] for file, _ in rows}
    if apart:
        for part in ("train", "test"):
            own = [(file.partition("/")[2], label) for file, label in rows if file.startswith(part)]
            files[f"{part}/labels.csv"] = table("file", "label", rows=own)
    else:
        files["labels.csv"] = table("file", "label", rows=rows)
    assert store(data, files, "train").names == ("a", "b")
    assert store(data, files, "test").names == ("c",)


def test_a_table_called_labels_counts_whatever_the_folders_are(data):
    files = {f"batch{i % 2}/{i}.png": picture(i) for i in range(6)}
    rows = [(file, label) for file, (_, label) in zip(files, ROWS, strict=True)]
    assert store(data, files | {"labels.csv": table("file", "label", rows=rows)}).names == ("a", "b", "c")


def test_another_table_beside_folders_of_classes_is_not_read(data):
    files = by_class(["x", "y"]) | {"train.csv": table("file", "label", rows=[("x/0.png", "a")])}
    assert store(data, files).names == ("x", "y")
    assert UserImages(path="mine", image_size=8, channels=3).remark() == (
        "path:mine: classes are by folder, 'train.csv' was not read"
    )
    assert store(data, {"x/boxes.csv": b"left,top\n1,2"}).names == ("x", "y")


def test_files_may_be_called_without_their_suffix_or_in_other_capitals(data):
    rows = [("0", "a"), ("1", "b"), ("a", "c"), ("A", "d")]
    files = {f"{name}.png": picture(i) for i, (name, _) in enumerate(rows)}
    assert store(data, files | {"labels.csv": table("id", "label", rows=rows)}).names == ("a", "b", "c", "d")
    rows = [("0.PNG", "a"), ("1.Png", "b"), ("a.png", "c"), ("A.png", "d")]
    assert store(data, files | {"labels.csv": table("file", "label", rows=rows)}).names == ("a", "b", "c", "d")
    refused(data, {"labels.csv": table("file", "label", rows=[("a.PNG", "c")])}, "table 'labels.csv' has 1 of 1 rows")


def test_images_without_a_row_are_left_out_and_said(data):
    files = IMAGES | {"labels.csv": table("file", "label", rows=ROWS[:4])}
    assert store(data, files).size.tolist() == [2, 1, 1]
    remark = UserImages(path="mine", image_size=8, channels=3).remark()
    assert remark == "path:mine: 2 of 6 images are in no table and were left out"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {},
            "all 6 images lie in one folder, such as '0.png', '1.png', so their classes are not known; allowed: a ",
        ),
        (
            {"labels.csv": table("no", "kind")},
            "table 'labels.csv' has the columns 'kind', 'no'; allowed: one of files \\(file,.* and one of classes",
        ),
        ({"some.csv": table("no", "kind")}, "table 'some.csv' has the columns 'kind', 'no'; allowed: one of files"),
        ({"labels.csv": b""}, "table 'labels.csv' has the columns ; allowed"),
        ({"labels.csv": table("file", "label", rows=[])}, "table 'labels.csv' has no rows"),
        ({"labels.csv": b"\xff\xfe\x00a"}, "table 'labels.csv' is not a readable table in UTF-8"),
        (
            {"labels.csv": table("file", "label", rows=[*ROWS, ("7.png", "a"), ("x/0.png", "a")])},
            "table 'labels.csv' has 2 of 8 rows without an image: '7.png', 'x/0.png'",
        ),
        (
            {"labels.csv": table("file", "label", rows=[*ROWS, ("0.png", "b")])},
            "table 'labels.csv', line 8: '0.png' is 'b' here and 'a' above",
        ),
        (
            {"labels.csv": table("file", "label", rows=[("0.png", "")])},
            "table 'labels.csv', line 2: .* class is missing",
        ),
        ({"labels.csv": table("file", "label", rows=[("0.png",)])}, "table 'labels.csv', line 2: .* class is missing"),
        (
            {"labels.csv": table("file", "label", "split", rows=[("0.png", "a", "some")])},
            "table 'labels.csv', line 2: no part 'some'; allowed: train, val, test",
        ),
        (
            {"labels.csv": table("file", "label", "split", rows=[("0.png", "a", "test"), ("1.png", "b", "")])},
            "table 'labels.csv' names the part of some images only",
        ),
        (
            {"labels.csv": table("file", "label", "split", rows=[("0.png", "a", "train"), ("1.png", "a", "test")])},
            "1 of 1 classes are in more than one of the parts 'test' and 'train': 'a'",
        ),
        (
            {"labels.csv": table("file", "label", "class")},
            "table 'labels.csv' has the columns 'class', 'label'; allowed: one",
        ),
        (
            {"one.csv": table("file", "label"), "two.csv": table("file", "label")},
            "'one.csv', 'two.csv' could each say the classes; allowed: one table",
        ),
    ],
)
def test_what_is_not_clear_is_refused(data, files, message):
    refused(data, IMAGES | files, message)


def test_classes_in_the_names_of_files_are_not_guessed(data):
    refused(
        data, {f"{name}_{i}.png": picture(i) for name in ("cat", "dog") for i in range(3)}, "all 6 images lie in one"
    )
