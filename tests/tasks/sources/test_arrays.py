"""Images and labels in .npz and .npy files: accepted where they are clear, else refused with what is allowed."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

from metagap.errors import UserError
from metagap.tasks.sources import UserImages
from metagap.tasks.sources.arrays import read_npy

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 10, 10), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 10, 10, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def store(folder, /, channels=1, **arrays):
    np.savez(folder / "mine.npz", **arrays)
    return UserImages(path="mine.npz", image_size=10, channels=channels).store()


def refused(data, message, **arrays):
    with pytest.raises(UserError, match=message):
        store(data, **arrays)


def equal(store, images, labels=LABELS):
    """The store has these images, grouped by class."""
    order = np.argsort(labels, kind="stable")
    images = torch.from_numpy(images[order])
    return torch.equal(store.images, images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS, "012"),
        (LABELS + 1, "123"),
        (LABELS * 1000, ("0", "1000", "2000")),
        (LABELS - 5, ("-5", "-4", "-3")),
        (LABELS.astype(float), "012"),
        (LABELS.astype(np.uint8)[:, None], "012"),
        (np.array(list("abcabc")), "abc"),
        (np.array([b"a", b"b", b"c"] * 2), "abc"),
        (np.array(["1/2", "test/x", "train/y"] * 2), ("1/2", "test/x", "train/y")),
        (2**53 + LABELS, tuple(str(2**53 + i) for i in range(3))),
    ],
)
def test_classes_are_the_labels_that_there_are(data, labels, names):
    found = store(data, images=GREY, labels=labels)
    assert found.names == tuple(names)
    assert equal(found, GREY)
    assert found.parts == ()


@pytest.mark.parametrize(
    ("labels", "given", "names"),
    [
        (LABELS, "cba", "cba"),
        (LABELS + 1, "cba", "cba"),
        (LABELS * 1000, "cba", "cba"),
        (LABELS + 1, "dcba", "cba"),
        (LABELS * 2, "edcba", "eca"),
        (LABELS, ["train/a", "test/b", "c/d"], ["train/a", "test/b", "c/d"]),
        (LABELS, [5, 6, 7], "567"),
        (np.array(list("abcabc")), "dcba", "abc"),
    ],
)
def test_class_names_belong_to_labels(data, labels, given, names):
    assert store(data, images=GREY, labels=labels, class_names=list(given)).names == tuple(names)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS / 2, "2 labels are no whole numbers, such as 0.5; allowed: whole numbers or texts"),
        (np.where(LABELS == 1, np.nan, 0), "2 labels are no whole numbers, such as nan"),
        (LABELS[:5], r"labels of shape \(5,\) for 6 images; found: `images` \(6, 10, 10\) of uint8, `labels`"),
        (LABELS * 1e300, "4 labels are no whole numbers, such as 1e[+]300"),
        (np.eye(3)[LABELS], r"labels of shape \(6, 3\) for 6 images"),
        (LABELS.astype("datetime64[D]"), "labels are datetime64"),
        (LABELS.astype(object), "`labels` holds Python objects, which are not read; allowed: .* labels.astype"),
        (np.array(["a", "", "b"] * 2), "1 classes have an empty name"),
    ],
)
def test_unfit_labels_are_refused(data, labels, message):
    refused(data, message, images=GREY, labels=labels)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        (LABELS, "ab", "2 class names for 3 labels from 0 to 2; allowed: one for each label"),
        (LABELS + 2, "abcd", "4 class names for 3 labels from 2 to 4"),
        (LABELS, [["a", "b"]], r"`class_names` has shape \(1, 2\); allowed: one name for each class"),
        (LABELS, "aba", "several classes are called 'a'; allowed: a name of its own for each"),
        (np.array(list("abcabc")), "abd", "'c' are labels but no class names"),
    ],
)
def test_unfit_class_names_are_refused(data, labels, names, message):
    refused(data, message, images=GREY, labels=labels, class_names=list(names))


@pytest.mark.parametrize(
    "images",
    [
        COLOUR,
        COLOUR.transpose(0, 3, 1, 2),
        np.concatenate([COLOUR, np.full((6, 10, 10, 1), 255, np.uint8)], 3),
        np.concatenate([COLOUR, np.full((6, 10, 10, 1), 255, np.uint8)], 3).transpose(0, 3, 1, 2),
        COLOUR.astype(np.int64),
        COLOUR / np.float64(255),
        (COLOUR / 255).astype(np.float32),
        COLOUR.astype(np.float32),
        np.asfortranarray(COLOUR),
        COLOUR.astype(">u2"),
    ],
)
def test_colour_in_every_form(data, images):
    assert equal(store(data, channels=3, images=images, labels=LABELS), COLOUR)


@pytest.mark.parametrize("images", [GREY, GREY[:, None], GREY[..., None]])
def test_grey_in_every_form(data, images):
    assert equal(store(data, images=images, labels=LABELS), GREY)


def test_images_in_groups(data):
    many = np.concatenate([GREY, GREY])
    assert equal(store(data, images=many.reshape(2, 6, 10, 10)), many, np.arange(12))
    assert equal(store(data, images=many.reshape(2, 6, 10, 10), class_names=["a", "b"]), many, np.arange(12))
    assert equal(store(data, images=GREY.reshape(2, 3, 10, 10), class_names=["a", "b"]), GREY, np.arange(6))
    colour = COLOUR.reshape(2, 3, 10, 10, 3)
    assert equal(store(data, channels=3, images=colour), COLOUR, np.arange(6))
    assert equal(store(data, channels=3, images=colour.transpose(0, 1, 4, 2, 3)), COLOUR, np.arange(6))


@pytest.mark.parametrize(
    "keys",
    [("images", "labels"), ("x", "y"), ("X", "Y"), ("X_train", "y_train"), ("arr_0", "arr_1"), ("data", "targets"),
     ("train_images", "train_labels"), ("pictures", "kinds"), ("image", "label")],
)  # fmt: skip
def test_arrays_may_have_other_names(data, keys):
    assert equal(store(data, **dict(zip(keys, (GREY, LABELS), strict=True))), GREY)


def test_further_arrays_do_not_matter(data):
    found = store(
        data, images=GREY, masks=GREY > 9, labels=LABELS, writers=np.arange(6), classes=["a", "b", "c"], seed=7
    )
    assert equal(found, GREY)
    assert found.names == tuple("abc")


def test_parts_have_arrays_of_their_own(data):
    arrays = {"train_images": GREY, "train_labels": LABELS, "val_images": GREY[:2], "val_labels": LABELS[:2] + 7}
    found = store(data, **arrays, class_names=list("abcdefghi"))
    assert found.names == tuple("abchi")
    assert found.parts == ("train", "train", "train", "val", "val")
    source = UserImages(path="mine.npz")
    assert source.parts(found) == {"train": [0, 1, 2], "val": [3, 4]}
    refused(
        data, "3 of 3 classes are in more than one of the parts 'test' and 'train': '0', '1', '2'",
        x_train=GREY, y_train=LABELS, x_test=GREY, y_test=LABELS,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "not clear which array holds the images; found: nothing; allowed: `images` "),
        ({"labels": LABELS}, r"not clear which array holds the images; found: `labels` \(6,\) of int64"),
        (
            {"images": GREY.reshape(6, 100), "labels": LABELS},
            r"which array holds the images; found: `images` \(6, 100\)",
        ),
        ({"one": GREY, "two": GREY, "labels": LABELS}, "not clear which array holds the images; found: `one`"),
        (
            {"images": GREY, "x_test": GREY, "labels": LABELS},
            "several arrays could be the images: 'images', 'labels', 'x_te",
        ),
        ({"images": GREY}, "labels are missing"),
        ({"pictures": GREY, "one": LABELS, "two": LABELS}, "not clear which array holds the labels"),
        ({"images": COLOUR}, "labels are missing, or it is not clear what the dimensions of the images are"),
        ({"images": COLOUR.transpose(0, 3, 1, 2)}, "labels are missing, or it is not clear"),
        ({"images": GREY[:, None]}, "labels are missing, or it is not clear"),
        ({"images": GREY[:0], "labels": LABELS[:0]}, "there are no images; found"),
        ({"images": GREY[:, :0], "labels": LABELS}, "there are no images; found"),
        (
            {"images": COLOUR[..., :2], "labels": LABELS},
            r"no 1, 3 or 4 channels in images of shape \(10, 10, 2\); allowed",
        ),
        (
            {"images": np.zeros((6, 10, 10, 5)), "labels": LABELS},
            r"no 1, 3 or 4 channels in images of shape \(10, 10, 5\)",
        ),
        ({"images": np.zeros((6, 3, 10, 3)), "labels": LABELS}, "its dimensions are not clear"),
        ({"images": GREY - 9.0, "labels": LABELS}, "images: it has negative values, down to -"),
        ({"images": np.full((6, 4, 4), np.nan), "labels": LABELS}, "images: 96 of its values are NaN or infinite"),
        ({"images": GREY * 1j, "labels": LABELS}, "images: its values are complex128; allowed: whole numbers"),
        ({"images": GREY.astype(str), "labels": LABELS}, "images: its values are str96; allowed: whole numbers"),
        (
            {"images": GREY / 100, "labels": LABELS},
            "fractional pixels up to 2.5.*; allowed: 0 to 1, 0 to 255, or the option",
        ),
        ({"images": np.array([{}, {}]), "labels": LABELS[:2]}, "`images` holds Python objects"),
    ],
)
def test_what_is_not_clear_is_refused(data, arrays, message):
    refused(data, message, **arrays)


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04"])
def test_a_damaged_file_is_refused(data, content):
    (data / "mine.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"'.*mine\.npz' is not a readable \.npz file: "):
        UserImages(path="mine.npz").store()


def test_a_cut_or_changed_file_is_refused(data):
    np.savez_compressed(data / "whole.npz", images=GREY, labels=LABELS)
    raw = (data / "whole.npz").read_bytes()
    for damaged in (raw[:300], raw[:200] + bytes(100) + raw[300:]):
        (data / "mine.npz").write_bytes(damaged)
        with pytest.raises(UserError, match=r"'.*mine\.npz' is not a readable \.npz file: "):
            UserImages(path="mine.npz").store()
    buffer = io.BytesIO()
    np.save(buffer, GREY)
    (data / "mine.npz").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match=r"'.*mine\.npz' is not a readable \.npz file: "):
        UserImages(path="mine.npz").store()


def test_members_that_are_no_arrays_do_not_count(data):
    np.savez(data / "mine.npz", images=GREY, labels=LABELS)
    with zipfile.ZipFile(data / "mine.npz", "a") as archive:
        archive.writestr("README.txt", b"hello")
    assert equal(UserImages(path="mine.npz", image_size=10).store(), GREY)
    with zipfile.ZipFile(data / "none.npz", "w") as archive:
        archive.writestr("a/0.png", b"picture")
    with pytest.raises(UserError, match="not clear which array holds the images; found: nothing"):
        UserImages(path="none.npz").store()


def test_suffix_in_capitals(data):
    np.savez(data / "mine.npz", images=GREY, labels=LABELS)
    (data / "mine.npz").rename(data / "MINE.NPZ")
    assert equal(UserImages(path="MINE.NPZ", image_size=10).store(), GREY)


def saved(array, **options) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("image", [GREY[0], COLOUR[0], COLOUR[0] / 255, GREY[0] > 9, np.asfortranarray(COLOUR[0])])
def test_an_npy_file_is_an_image(image):
    assert np.array_equal(read_npy(saved(image)), image)
    assert np.array_equal(read_npy(saved(image[None] if image.ndim == 2 else np.moveaxis(image, 2, 0))), image)


@pytest.mark.parametrize(
    "content",
    [b"", saved(GREY[0])[:-1], saved(GREY[0]) + b"0", saved(GREY[0, 0]), saved(GREY), saved(COLOUR[0, ..., :2]),
     saved(np.array([{}])), saved(GREY[0] * 1j), saved(-1.0 * GREY[0]), saved(np.full((2, 2), np.inf)), 
     saved(GREY[:0, 0]),
     saved(GREY[0]).replace(b"(10, 10), }  ", b"(9999, 99), }")],
)  # fmt: skip
def test_other_npy_files_are_no_images(content):
    with pytest.raises(ValueError, match=r"."):
        read_npy(content)
