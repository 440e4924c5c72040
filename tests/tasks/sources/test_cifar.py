"""CIFAR-FS and FC100: both forms of CIFAR-100, and the real part of it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from layouts import encoded, write_folder, write_tar, write_zip
from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.sources import CIFARFS, FC100
from metagap.tasks.sources.stored import pinned

CLASSES = sorted(name for part in pinned("cifar_fs").values() for name in part)


def cifar(each: int = 3) -> dict[tuple[str, str], np.ndarray]:
    """Images by class and file name."""
    rng = np.random.default_rng(0)
    names = [(c, f"{c}_s_{i:06}.png") for c in CLASSES for i in rng.permutation(1000)[:each]]
    return {name: rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for name in names}


def as_files(images: dict) -> dict[str, bytes]:
    return {f"cifar100/data/{name}/{file}": encoded(image) for (name, file), image in images.items()}


def as_published(images: dict, classes: list[str] = CLASSES) -> dict[str, bytes]:
    """CIFAR-100's two pickles, shuffled, as Python 2 wrote them; and the one of the names."""
    items = list(images.items())
    np.random.default_rng(1).shuffle(items)
    files = {"cifar-100-python/meta": pickle.dumps({"fine_label_names": classes}, 2)}
    for half, some in (("train", items[:200]), ("test", items[200:])):
        content = {
            "data": np.stack([image.transpose(2, 0, 1).ravel() for _, image in some]),
            "fine_labels": [classes.index(name) for (name, _), _ in some],
            "filenames": [file for (_, file), _ in some],
        }
        files[f"cifar-100-python/{half}"] = pickle.dumps(content, 2)
    return files


def test_all_forms_are_the_same(data):
    images, stores = cifar(), []
    write_zip(data / "cifarfs" / "mine.zip", as_files(images))
    stores.append(CIFARFS().tasks(Part(), "cpu"))
    copy = {"processed/train/apple/copy.png": encoded(np.zeros((9, 9, 3), np.uint8))}
    write_folder(data / "cifarfs", as_files(images) | copy)
    stores.append(CIFARFS().tasks(Part(), "cpu"))
    write_folder(data, as_published(images))
    stores.append(CIFARFS().tasks(Part(), "cpu"))
    write_tar(data / "cifar-100-python.tar.gz", as_published(images))
    stores.append(CIFARFS().tasks(Part(), "cpu"))
    write_tar(data / "cifar-100-python.tar.gz", as_published(images, CLASSES[::-1]))
    stores.append(FC100().tasks(Part(), "cpu"))
    expected = np.stack([images[name].transpose(2, 0, 1) for name in sorted(images)])
    for store in stores:
        assert store.names == tuple(CLASSES)
        assert np.array_equal(store.images.numpy(), expected)


def test_the_splits_differ(data):
    write_zip(data / "cifarfs" / "mine.zip", as_files(cifar(1)))
    counts = [
        [s.tasks(Part(part), "cpu").class_count for part in ("train", "val", "test")] for s in (CIFARFS(), FC100())
    ]
    assert counts == [[64, 16, 20], [60, 20, 20]]
    assert CIFARFS().tasks(Part("test"), "cpu").names != FC100().tasks(Part("test"), "cpu").names


def test_a_missing_class_is_named(data):
    few = {name: image for name, image in cifar(1).items() if name[0] != "wolf"}
    write_zip(data / "cifarfs" / "mine.zip", as_files(few))
    with pytest.raises(UserError, match=r"CIFAR-FS: 1 of 100 classes are missing in '.*mine\.zip': 'wolf'"):
        CIFARFS().store()


def test_the_real_part(real_data):
    real_data("cifarfs/cifarfs_100x100.zip")
    source = CIFARFS()
    assert source.remark() == "CIFAR-FS here is a part: 100 of 600 images a class"
    store = source.tasks(Part("train"), "cpu")
    assert store.class_count == 64
    assert store.size.unique().tolist() == [100]
    assert store.x_shape == (3, 32, 32)
    assert FC100().remark() == "FC100 here is a part: 100 of 600 images a class"
