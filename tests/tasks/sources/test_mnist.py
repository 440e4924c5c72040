"""MNIST and its kin: the publishers' layout in small, damaged files, and the real ones where they are."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch

from layouts import idx, write_idx_pair, write_zip
from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.sources import EMNIST, KMNIST, MNIST, FashionMNIST


@pytest.mark.parametrize("source", [MNIST, KMNIST, FashionMNIST])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_layout(data, source, packed):
    images = np.arange(20 * 28 * 28).reshape(20, 28, 28).astype(np.uint8)
    labels = np.arange(20) % 10
    write_idx_pair(data / source.__name__ / "raw", "t10k", images, labels, packed)
    store = source().tasks(Part(), "cpu")
    assert store.class_count == 10
    assert store.size.tolist() == [2] * 10
    assert torch.equal(store.images[2 * 3 + 1, 0], torch.from_numpy(images[13]))


def test_emnist_letters_are_turned_upright_and_count_from_a(data):
    images = np.zeros((52, 28, 28), np.uint8)
    images[:, 3, 20] = 255  # transposed: the file's row is the picture's column
    write_idx_pair(data / "EMNIST" / "raw", "emnist-letters-test", images, np.arange(52) % 26 + 1)
    store = EMNIST().tasks(Part(), "cpu")
    assert store.names == tuple("abcdefghijklmnopqrstuvwxyz")
    assert store.size.tolist() == [2] * 26
    assert store.images[0, 0, 20, 3] == 255
    assert EMNIST().tasks(Part("val"), "cpu").names == tuple("acegikmoqsuwy")
    assert EMNIST().tasks(Part("test"), "cpu").names == tuple("bdfhjlnprtvxz")


@pytest.mark.parametrize("file", ["images-idx3-ubyte", "labels-idx1-ubyte"])
@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"<html>", lambda raw: b""])
def test_a_damaged_file_is_named(data, file, damage):
    folder = data / "MNIST" / "raw"
    write_idx_pair(folder, "t10k", np.zeros((20, 28, 28)), np.arange(20) % 10)
    path = folder / f"t10k-{file}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=rf"MNIST: '.*{file}\.gz' is damaged"):
        MNIST().store()


def test_images_and_labels_must_be_as_many(data):
    write_idx_pair(data / "MNIST" / "raw", "t10k", np.zeros((20, 28, 28)), np.arange(19) % 10)
    with pytest.raises(UserError, match="20 images but 19 labels"):
        MNIST().store()


@pytest.mark.parametrize("source", [MNIST, KMNIST, FashionMNIST])
def test_the_real_mnist_family(real_data, source):
    real_data(f"{source.__name__}/raw/t10k-images-idx3-ubyte.gz")
    store = source().tasks(Part(), "cpu")
    assert len(store.images) == 10_000
    assert store.size.min() >= 892


def test_emnist_is_read_from_the_archive_of_all_subsets(data):
    images, labels = np.random.default_rng(0).integers(0, 256, (94, 28, 28)), np.arange(94) % 47
    files = {"images-idx3-ubyte": images, "labels-idx1-ubyte": labels}
    write_zip(
        data / "EMNIST" / "raw" / "gzip.zip",
        {f"gzip/emnist-balanced-test-{name}.gz": gzip.compress(idx(array)) for name, array in files.items()},
    )
    store = EMNIST(subset="balanced").tasks(Part(), "cpu")
    assert store.class_count == 47
    assert torch.equal(store.images[0, 0], torch.from_numpy(images[0].T.astype(np.uint8)))
    with pytest.raises(UserError, match=r"no file 'emnist-letters-test-images-idx3-ubyte\.gz' in '.*gzip\.zip'"):
        EMNIST().store()
