"""MedMNIST's files, with the names and arrays that its publishers give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from metagap.errors import UserError
from metagap.tasks import catalogue
from metagap.tasks.source import Part
from metagap.tasks.sources.medmnist import MedMNIST


def write(path: Path, classes: int, shape: tuple[int, ...], **changes: np.ndarray) -> dict[str, np.ndarray]:
    """Two images of each class in each part, with labels (n, 1)."""
    rng, arrays = np.random.default_rng(0), {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (2 * classes, *shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(2 * classes) % classes)[:, None].astype(np.uint8)
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays | changes)
    return arrays


def test_all_parts_of_the_publishers_are_joined_or_one_is_chosen(data):
    arrays = write(data / "medmnist" / "pathmnist.npz", 9, (28, 28, 3))
    store = MedMNIST(channels=3).store()
    assert store.names[:2] == ("adipose", "background") and store.size.tolist() == [6] * 9
    assert np.array_equal(store.images[6 * 1 + 3].permute(1, 2, 0), arrays["val_images"][9 + 1])
    test = MedMNIST(channels=3, subset="test").store()
    assert np.array_equal(test.images[0].permute(1, 2, 0), arrays["test_images"][0]) and len(test.images) == 18


def test_larger_images_and_classes_in_parts(data):
    write(data / "organcmnist_64.npz", 11, (64, 64))
    source = MedMNIST(dataset="organcmnist_64", image_size=64)
    parts = [source.tasks(Part(part), "cpu") for part in ("train", "val", "test")]
    assert [part.class_count for part in parts] == [7, 2, 2] and parts[0].x_shape == (1, 64, 64)
    assert len({name for part in parts for name in part.names}) == 11


def test_every_set_has_an_address_and_a_checksum():
    chosen = ("breastmnist", "breastmnist_224", "octmnist", "octmnist_224")
    found = [MedMNIST(dataset=name).addresses()[0] for name in chosen]
    assert [remote.url.rpartition("/")[2] for remote in found] == [f"{name}.npz" for name in chosen]
    assert len({remote.md5 for remote in found}) == 4 and all(len(remote.md5) == 32 for remote in found)


def test_the_set_that_is_named_is_fetched(data, monkeypatch):
    monkeypatch.setattr(
        "metagap.tasks.sources.published.fetch", lambda remote, folder, _: write(folder / remote.path, 2, (28, 28))
    )
    with pytest.raises(UserError, match=r"no file '.*breastmnist\.npz'; fetch it with `metagap data get medmnist:b"):
        MedMNIST(dataset="breastmnist").store()
    catalogue.get("medmnist:breastmnist", Console())
    assert MedMNIST(dataset="breastmnist").store().size.tolist() == [6, 6]
    (row,) = catalogue.verify(["medmnist:breastmnist"])
    assert (row["state"], row["found"]) == ("ok", "12 images of 2 classes; repacked files")
    with pytest.raises(UserError, match="'digits:x': nothing may follow the name 'digits'"):
        catalogue.get("digits:x", Console())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_labels": np.zeros((3, 1), np.uint8)}, "is not what it should hold: images uint8 .* with 11 labels"),
        ({"val_labels": np.full((4, 1), 7, np.uint8)}, "with 12 labels to 7"),
        ({"val_images": np.zeros((4, 28, 28))}, "images float64"),
    ],
)
def test_another_file_is_refused(data, changes, message):
    write(data / "breastmnist.npz", 2, (28, 28), **changes)
    with pytest.raises(UserError, match=rf"MedMNIST: '.*breastmnist\.npz' .*{message}"):
        MedMNIST(dataset="breastmnist").store()


@pytest.mark.parametrize("name", ["chestmnist", "pathmnist_28", "pathmnst"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="is no set of MedMNIST"):
        MedMNIST(dataset=name)
