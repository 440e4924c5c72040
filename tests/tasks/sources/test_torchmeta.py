"""Folders as torchmeta lays them: arrays or encoded images in HDF5, and lists of classes in JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from layouts import encoded, picture, pixels
from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.sources.torchmeta import TorchmetaFolder

PARTS = {"train": ["n1", "n2"], "val": ["n3"], "test": ["n4", "n5"]}


def names(folder: str, **options) -> list[tuple[str, ...]]:
    source = TorchmetaFolder(folder=folder, **options)
    return [source.tasks(Part(part), "cpu").names for part in PARTS]


def write_lists(folder: Path, lists: dict[str, list], prefix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, listed in lists.items():
        (folder / f"{prefix}{part}_labels.json").write_text(json.dumps(listed))


def write_arrays(folder: Path) -> dict[str, np.ndarray]:
    """As miniimagenet: images (n, H, W, 3) of each class."""
    write_lists(folder, PARTS)
    arrays = {}
    for part, listed in PARTS.items():
        with h5py.File(folder / f"{part}_data.hdf5", "w") as file:
            group = file.create_group("datasets")
            for name in listed:
                arrays[name] = np.random.default_rng(int(name[1])).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
                group.create_dataset(name, data=arrays[name])
    return arrays


def write_encoded(folder: Path, kind: str) -> None:
    """As tieredimagenet, cub, doublemnist and triplemnist: the bytes of image files, of any size."""
    write_lists(folder, PARTS)
    for part, listed in PARTS.items():
        with h5py.File(folder / f"{part}_data.hdf5", "w") as file:
            group = file.create_group("datasets")
            for name in listed:
                stored = group.create_dataset(name, (2,), dtype=h5py.special_dtype(vlen=np.uint8))
                for i in range(2):
                    content = picture(i, 8, kind) if kind == "PNG" else picture(i, 8 + i, kind)
                    stored[i] = np.frombuffer(content, np.uint8)


def test_arrays_by_class(data):
    arrays = write_arrays(data / "miniimagenet")
    assert names("miniimagenet") == [("n1", "n2"), ("n3",), ("n4", "n5")]
    store = TorchmetaFolder(folder=str(data / "miniimagenet"), image_size=8, channels=3).store()
    assert np.array_equal(store.images.permute(0, 2, 3, 1), np.concatenate([arrays[f"n{i}"] for i in range(1, 6)]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_encoded_images(data, kind):
    write_encoded(data / "cub", kind)
    assert names("cub") == [("n1", "n2"), ("n3",), ("n4", "n5")]
    store = TorchmetaFolder(folder="cub", image_size=8, channels=3).store()
    assert store.size.tolist() == [2] * 5
    assert np.array_equal(store.images[0], pixels(picture(0, 8, kind)))


def test_omniglot_has_two_splits(data):
    folder = data / "omniglot"
    characters = [("background", "Greek", "character01"), ("background", "Greek", "character02"),
                  ("evaluation", "Angelic", "character01")]  # fmt: skip
    listed = [[f"images_{half}", alphabet, character] for half, alphabet, character in characters]
    write_lists(folder, {"train": listed[:2], "test": listed[2:]})
    write_lists(folder, {"train": listed[:1], "val": listed[1:2], "test": listed[2:]}, "vinyals_")
    with h5py.File(folder / "data.hdf5", "w") as file:
        for place, one in enumerate(listed):
            file["/".join(one)] = np.full((20, 105, 105), 100 * place, np.uint8)
    every = [("images_background/Greek/character01",), ("images_background/Greek/character02",),
             ("images_evaluation/Angelic/character01",)]  # fmt: skip
    assert names("omniglot") == every
    both = TorchmetaFolder(folder="omniglot", vinyals=False)
    assert both.tasks(Part("train"), "cpu").names == every[0] + every[1]
    assert both.store().images[:, 0, 0, 0].tolist() == [0] * 20 + [100] * 20 + [200] * 20
    with pytest.raises(UserError, match="no classes 'val'"):
        both.tasks(Part("val"), "cpu")


def test_the_splits_of_cifar100_share_their_images(data):
    (data / "cifar100").mkdir()
    with h5py.File(data / "cifar100" / "data.hdf5", "w") as file:
        for name in ("fish/ray", "fish/trout", "trees/oak"):
            file[name] = np.zeros((2, 32, 32, 3), np.uint8)
    write_lists(data / "cifar100" / "cifar-fs", {"train": [["fish", "ray"]], "val": [["trees", "oak"]]})
    write_lists(
        data / "cifar100" / "fc100", {"train": [["fish", "ray"], ["fish", "trout"]], "test": [["trees", "oak"]]}
    )
    assert TorchmetaFolder(folder="cifar100/cifar-fs").tasks(Part("val"), "cpu").names == ("trees/oak",)
    assert TorchmetaFolder(folder="cifar100/fc100").tasks(Part("train"), "cpu").names == ("fish/ray", "fish/trout")


def test_what_is_not_right_is_refused(data):
    def refused(message: str, folder: str = "mine") -> None:
        with pytest.raises(UserError, match=f"^torchmeta:{folder}: {message}"):
            TorchmetaFolder(folder=folder).store()

    refused("there is no such folder, here or in")
    (data / "mine").mkdir()
    refused("'.*mine' is not as torchmeta lays it; allowed: PART_data.hdf5")
    write_arrays(data / "mine")
    (data / "mine" / "val_labels.json").write_text('["n3", "n9"]')
    refused("'.*val_labels.json' names the class 'n9', which '.*val_data.hdf5' lacks")
    (data / "mine" / "val_labels.json").write_text("[")
    refused("'.*val_labels.json' is no list of classes")
    (data / "mine" / "val_data.hdf5").write_bytes(b"no such file")
    write_lists(data / "mine", PARTS)
    refused("'.*val_data.hdf5' is no readable HDF5 file")
    write_encoded(data / "broken", "PNG")
    with h5py.File(data / "broken" / "val_data.hdf5", "a") as file:
        file["datasets/n3"][1] = np.frombuffer(encoded(np.zeros((8, 8), np.uint8))[:40], np.uint8)
    refused("an image of 'n3' in '.*val_data.hdf5' cannot be read", "broken")
    write_lists(data / "broken", {"test": ["n4", "n4"]})
    refused("'n4' are in more than one of the parts", "broken")


def test_without_h5py_its_extra_is_named(data, monkeypatch):
    write_arrays(data / "mine")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"needs h5py: pip install 'metagap\[hdf5\]'"):
        TorchmetaFolder(folder="mine").store()
