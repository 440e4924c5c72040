"""Quick, Draw!: a file of bitmaps for each class."""

from __future__ import annotations

import numpy as np
import pytest

from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.sources import QuickDraw


@pytest.fixture
def drawings(data):
    folder, rng = data / "quickdraw", np.random.default_rng(0)
    folder.mkdir()
    names = [remote.path.removeprefix("quickdraw/").removesuffix(".npy") for remote in QuickDraw().addresses()]
    found = {name: rng.integers(0, 256, (3, 784), dtype=np.uint8) for name in names}
    for name, array in found.items():
        np.save(folder / f"{name}.npy", array)
    return found


def test_the_first_drawings_of_every_class(data, drawings):
    source = QuickDraw(images_per_class=2)
    store = source.tasks(Part(), "cpu")
    assert store.names == tuple(sorted(drawings))
    assert np.array_equal(store.images.numpy().reshape(345, 2, 784), np.stack([drawings[n][:2] for n in store.names]))
    assert [source.tasks(Part(part), "cpu").class_count for part in ("train", "val", "test")] == [241, 52, 52]


def test_addresses_are_quoted():
    urls = {remote.path: remote.url for remote in QuickDraw().addresses()}
    assert urls["quickdraw/animal migration.npy"].endswith("/numpy_bitmap/animal%20migration.npy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no file '.*/zebra\.npy'"),
        (b"\x93NUMPY and no more", r"zebra\.npy' is damaged"),
        (np.zeros((2, 28, 28)), r"zebra\.npy' holds float64 of shape \(2, 28, 28\); needed is uint8"),
    ],
)
def test_an_unfit_file_is_named(data, drawings, content, message):
    path = data / "quickdraw" / "zebra.npy"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(UserError, match=message):
        QuickDraw().store()
