"""Stores on disk: decoded once, image by image, whole or not at all."""

from __future__ import annotations

import errno
import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from metagap.errors import UserError
from metagap.tasks import image_store
from metagap.tasks.image_store import Reading
from metagap.tasks.images import ImageStore, resize


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "metagap" / "banks"


def reading(count: int = 30, size: int = 9) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8), rng.integers(0, 4, count)
    return images, labels, ["d", "c", "b", "a"]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*")} - {"key.lock"}


def test_what_is_decoded_is_what_is_read(cache, monkeypatch):
    monkeypatch.setattr(image_store, "CHUNK", 4)
    images, labels, names = reading()
    store = image_store.load("key", "Set", reading, 5, 3)
    expected = ImageStore.from_labels(resize(torch.from_numpy(images), 5, 3), torch.from_numpy(labels), names)
    for field in ("images", "start", "size", "turns"):
        assert torch.equal(getattr(store, field), getattr(expected, field))
    assert store.names == tuple(names)
    assert files(cache) == {"key.npy", "key.json"}


def test_it_is_decoded_once(cache):
    first = image_store.load("key", "Set", reading, 5, 3)
    again = image_store.load("key", "Set", None, 5, 3)
    assert torch.equal(first.images, again.images)
    assert isinstance(np.load(cache / "key.npy", mmap_mode="r"), np.memmap)


def test_images_may_come_lazily_in_any_order_and_shape():
    images, labels, names = reading()
    order = np.random.default_rng(1).permutation(30)
    asked = []

    def lazily():
        for i in order:
            asked.append(i)
            yield np.repeat(images[i], 1 + i % 3, axis=0)

    store = image_store.load("key", "Set", lambda: Reading(lazily(), labels, names, order), 9, 3)
    assert asked == order.tolist()
    tall = [resize(torch.from_numpy(np.repeat(images[i], 1 + i % 3, axis=0)[None]), 9, 3)[0] for i in range(30)]
    expected = ImageStore.from_labels(torch.stack(tall), torch.from_numpy(labels), names)
    assert torch.equal(store.images, expected.images)


def test_only_a_chunk_is_in_memory_at_a_time(monkeypatch):
    monkeypatch.setattr(image_store, "CHUNK", 4)
    alive, most = 0, 0

    class Counted(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= self.base is None

    def lazily():
        nonlocal alive, most
        for i in range(100):
            alive += 1
            most = max(most, alive)
            image = Counted((3, 3), np.uint8)
            image[:] = i
            yield image

    store = image_store.load("key", "Set", lambda: Reading(lazily(), np.zeros(100, int), ["a"]), 3, 1)
    assert store.images[:, 0, 0, 0].tolist() == list(range(100))
    assert most <= 8


@pytest.mark.parametrize("file", ["key.npy", "key.json"])
@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b""])
def test_a_damaged_store_is_made_again(cache, file, damage):
    images = image_store.load("key", "Set", reading, 5, 3).images.clone()
    (cache / file).write_bytes(damage((cache / file).read_bytes()))
    assert torch.equal(image_store.load("key", "Set", reading, 5, 3).images, images)


def test_nothing_is_left_of_what_breaks_off(cache):
    def breaking():
        images, labels, names = reading()

        def lazily():
            yield from images[:20]
            raise UserError("Set: an image is damaged")

        return Reading(lazily(), labels, names)

    with pytest.raises(UserError, match="Set: an image is damaged"):
        image_store.load("key", "Set", breaking, 5, 3)
    assert files(cache) == set()
    assert len(image_store.load("key", "Set", reading, 5, 3).images) == 30


@pytest.mark.parametrize(("change", "message"), [(slice(25), "25 images, but 30 labels"), (None, "more images than")])
def test_images_and_labels_must_be_as_many(cache, change, message):
    images, labels, names = reading()
    images = images[change] if change else np.concatenate([images, images])
    with pytest.raises(UserError, match=message):
        image_store.load("key", "Set", lambda: Reading(images, labels, names), 5, 3)
    assert files(cache) == set()


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_time_or_is_said(cache, monkeypatch):
    expected = image_store.load("other", "Set", reading, 5, 3).images
    monkeypatch.setattr(image_store, "_put", full)
    assert torch.equal(image_store.load("key", "Set", reading, 5, 3).images, expected)
    assert files(cache) == {"other.npy", "other.json", "other.lock"}
    monkeypatch.setattr(image_store, "IN_MEMORY", 1000)
    with pytest.raises(
        UserError, match=r"Set: its decoded images take 2\.2 kB, which '.*banks' cannot take \(No space"
    ):
        image_store.load("key", "Set", reading, 5, 3)
    assert files(cache) == {"other.npy", "other.json", "other.lock"}


def test_room_is_asked_for_before_decoding(cache, monkeypatch):
    monkeypatch.setattr(image_store.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 2249}))
    monkeypatch.setattr(image_store, "IN_MEMORY", 1000)
    with pytest.raises(UserError, match="its decoded images take 2"):
        image_store.load("key", "Set", lambda: Reading(iter(()), *reading()[1:]), 5, 3)


def test_a_cache_that_cannot_be_written_only_costs_time(cache, monkeypatch):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    images = image_store.load("key", "Set", reading, 5, 3).images
    assert images.shape == (30, 3, 5, 5)


def _decode(started, results) -> None:
    def slowly():
        results.put("decoded")
        images, labels, names = reading()

        def lazily():
            for image in images:
                time.sleep(0.01)
                yield image

        return Reading(lazily(), labels, names)

    started.wait()
    store = image_store.load("key", "Set", slowly, 5, 3)
    results.put(int(store.images.sum()))


def test_processes_do_not_decode_the_same_twice(cache):
    context = multiprocessing.get_context("fork")
    started, results = context.Event(), context.Queue()
    workers = [context.Process(target=_decode, args=(started, results)) for _ in range(3)]
    for worker in workers:
        worker.start()
    started.set()
    found = [results.get(timeout=30) for _ in range(4)]
    for worker in workers:
        worker.join()
    assert found.count("decoded") == 1
    assert len({value for value in found if value != "decoded"}) == 1


def test_the_index_is_readable(cache):
    image_store.load("key", "Set", reading, 5, 3)
    about = json.loads((cache / "key.json").read_text())
    assert about.pop("digests") == list(image_store.load("other", "Set", reading, 9, 1).digests)
    sizes = np.bincount(reading()[1]).tolist()
    assert about == {"names": ["d", "c", "b", "a"], "sizes": sizes, "parts": [], "notes": []}


def test_parts_and_notes_are_kept():
    notes = []

    def lazily():
        yield from reading()[0]
        notes.append("two of them are upside down")

    found = Reading(lazily(), reading()[1], ["d", "c", "b", "a"], parts=["train", "train", "test", "val"], notes=notes)
    image_store.load("key", "Set", lambda: found, 5, 3)
    store = image_store.load("key", "Set", None, 5, 3)
    assert store.parts == ("train", "train", "test", "val")
    assert store.notes == ("two of them are upside down",)
    assert store.subset([2, 0]).parts == ("test", "train")
    assert len(store.rotated().parts) == 16
