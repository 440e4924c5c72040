"""The user's own images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from layouts import by_class, encoded, write_tar, write_zip

from benchmark.errors import UserError
from benchmark.tasks.source import Part
from benchmark.tasks.sources import UserImages


def test_own_npz_of_both_forms(data):
    rng = np.random.default_rng(0)
    grouped = rng.integers(0, 256, (5, 6, 10, 10), dtype=np.uint8)
    np.savez(data / "grouped.npz", images=grouped, class_names=list("abcde"))
    np.savez(data / "labelled.npz", images=grouped.reshape(-1, 10, 10), labels=np.repeat(np.arange(5), 6))
    first = UserImages(path="grouped.npz", image_size=10).tasks(Part(), "cpu")
    second = UserImages(path="labelled.npz", image_size=10).tasks(Part(), "cpu")
    assert first.names == tuple("abcde")
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.images[:6, 0], torch.from_numpy(grouped[0]))
    inverted = UserImages(path="grouped.npz", image_size=10, invert=True).tasks(Part(), "cpu")
    assert torch.equal(inverted.images, 255 - first.images)
    shares = [UserImages(path="grouped.npz").tasks(Part(part), "cpu").names for part in ("train", "val", "test")]
    assert [len(names) for names in shares] == [3, 1, 1]
    assert sorted(sum(shares, ())) == list("abcde")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((4, 8, 8), np.uint8)}, "`images` is missing"),
        ({"images": np.zeros((4, 8, 8))}, "`images` is float64"),
        ({"images": np.zeros((4, 8, 8), np.uint8)}, "`labels` is missing"),
        ({"images": np.zeros((4, 8, 8), np.uint8), "labels": np.zeros(3)}, "`labels` has shape"),
        ({"images": np.zeros((4, 8, 8), np.uint8), "labels": np.arange(4), "class_names": ["a"]}, "1 `class_names`"),
    ],
)
def test_an_unfit_npz_is_refused(data, arrays, message):
    np.savez(data / "mine.npz", **arrays)
    with pytest.raises(UserError, match=message):
        UserImages(path="mine.npz").bank()


def test_own_folder_with_and_without_parts(data):
    rng = np.random.default_rng(0)
    for part, name in [("train", "cat"), ("train", "dog"), ("test", "bird")]:
        for folder in (data / "parted" / part / name, data / "plain" / name):
            folder.mkdir(parents=True)
            for i in range(3):
                (folder / f"{i}.png").write_bytes(encoded(rng.integers(0, 256, (12, 9, 3), dtype=np.uint8)))
    parted = UserImages(path="parted", image_size=8, channels=3)
    assert parted.tasks(Part("train"), "cpu").names == ("train/cat", "train/dog")
    assert parted.tasks(Part("test"), "cpu").names == ("test/bird",)
    plain = UserImages(path="plain", image_size=8).tasks(Part(), "cpu")
    assert plain.names == ("bird", "cat", "dog")
    assert plain.x_shape == (1, 8, 8)
    (data / "plain" / "cat" / "broken.png").write_bytes(b"nothing")
    with pytest.raises(
        UserError, match=r"path:plain: 'cat/broken\.png' in '.*plain' is not a readable image: .* file$"
    ):
        UserImages(path="plain", image_size=8).bank()
    with pytest.raises(UserError, match=r"neither a folder of images nor an \.npz"):
        UserImages(path="nowhere").bank()


@pytest.mark.parametrize(("write", "name"), [(write_zip, "mine.zip"), (write_tar, "mine.tar.gz")])
def test_an_archive_is_read_like_the_folder(data, write, name):
    files = by_class(["train/cat", "train/dog", "test/bird"], pattern="photos/{name}/{i}.png", size=10)
    write(data / name, files)
    bank = UserImages(path=name, image_size=10, channels=3).tasks(Part("train"), "cpu")
    assert bank.names == ("train/cat", "train/dog")
    assert bank.size.tolist() == [2, 2]
