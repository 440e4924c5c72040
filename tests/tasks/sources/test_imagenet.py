"""mini-ImageNet and tieredImageNet: as pickles, which are never run, and as image files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from layouts import by_class, picture, pixels, write_folder, write_zip
from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.sources import MiniImageNet, TieredImageNet
from metagap.tasks.sources.stored import pinned

FILES = {"train": "train", "val": "validation", "test": "test"}


def write_mini(folder: Path, each: int = 2, size: int = 84, protocol: int = 4) -> dict[str, np.ndarray]:
    """The three pickles; classes take turns in them. Returns the images of every class."""
    found = {}
    for part, names in pinned("mini_imagenet").items():
        images = np.random.default_rng(len(names)).integers(0, 256, (each * len(names), size, size, 3), dtype=np.uint8)
        rows = {name: list(range(c, len(images), len(names))) for c, name in enumerate(names)}
        found |= {name: images[rows[name]].transpose(0, 3, 1, 2) for name in names}
        with (folder / f"mini-imagenet-cache-{FILES[part]}.pkl").open("wb") as file:
            pickle.dump({"image_data": images, "class_dict": rows}, file, protocol=protocol)
    return found


def write_tiered(folder: Path, each: int = 2, size: int = 84, protocol: int = 2) -> dict[str, list[bytes]]:
    """The pickles of PNGs and of labels, and the two texts. Returns the images of every class."""
    folder.mkdir()
    found, seed = {}, 0
    for part, names in pinned("tiered_imagenet").items():
        labels, images = [], []
        for c, name in enumerate(names):
            found[name] = [picture(seed + i, size) for i in range(each)]
            images += [np.frombuffer(data, np.uint8)[:, None] for data in found[name]]
            labels += [c] * each
            seed += each
        about = {"label_specific": np.array(labels, np.int32), "label_specific_str": [f"thing {n}" for n in names]}
        for file, value in ((f"{part}_images_png.pkl", images), (f"{part}_labels.pkl", about)):
            with (folder / file).open("wb") as out:
                pickle.dump(value, out, protocol=protocol)
    (folder / "synsets.txt").write_text("\n".join(found))
    (folder / "class_names.txt").write_text("\n".join(f"thing {name}" for name in found))
    return found


def same(source, found: dict) -> None:
    store = source.tasks(Part(), "cpu")
    assert set(store.names) == set(found)
    for name, start, size in zip(store.names, store.start.tolist(), store.size.tolist(), strict=True):
        assert np.array_equal(store.images[start : start + size].numpy(), found[name]), name


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_mini_imagenet_from_pickles(data, protocol):
    found = write_mini(data, size=6, protocol=protocol)
    source = MiniImageNet(image_size=6)
    same(source, found)
    counts = {part: source.tasks(Part(part), "cpu").class_count for part in ("train", "val", "test")}
    assert counts == {"train": 64, "val": 16, "test": 20}
    assert set(source.tasks(Part("val"), "cpu").names) == set(pinned("mini_imagenet")["val"])
    assert source.remark() == ""


@pytest.mark.parametrize("pattern", ["mini-imagenet/{name}/{name}_{i}.jpg", "mini-imagenet/images/{name}{i:08}.jpg"])
def test_mini_imagenet_from_image_files(data, pattern):
    names = sorted(name for part in pinned("mini_imagenet").values() for name in part)
    files = by_class(names, pattern=pattern)
    write_folder(data, files)
    source = MiniImageNet(image_size=8)
    found = [pixels(data) for file, data in sorted(files.items())]
    same(source, {name: np.stack(found[2 * i : 2 * i + 2]) for i, name in enumerate(names)})
    assert source.remark() == "mini-ImageNet here is a part: 2 of 600 images a class"


def test_tiered_imagenet_from_pickles(data):
    found = write_tiered(data / "tiered-imagenet", size=6)
    source = TieredImageNet(image_size=6)
    same(source, {name: np.stack([pixels(image) for image in images]) for name, images in found.items()})
    counts = {part: source.tasks(Part(part), "cpu").class_count for part in ("train", "val", "test")}
    assert counts == {"train": 351, "val": 97, "test": 160}


def test_tiered_imagenet_from_an_archive(data):
    names = sorted(name for part in pinned("tiered_imagenet").values() for name in part)
    write_zip(data / "tiered-imagenet.zip", by_class(names, 1, "tiered/any/{name}/{i}.png"))
    source = TieredImageNet(image_size=8)
    assert source.tasks(Part("test"), "cpu").class_count == 160
    assert source.remark() == "tiered-ImageNet here is a part: 608 of 779,165 images"


class Bomb:
    """What a pickle can hold: a call of anything, made by whoever loads it."""

    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("place", ["image_data", "class_dict"])
def test_a_pickle_that_would_run_something_is_refused(data, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    write_mini(data, size=6)
    content = {"image_data": np.zeros((0, 6, 6, 3), np.uint8), "class_dict": {}, place: Bomb()}
    (data / "mini-imagenet-cache-train.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"cache-train\.pkl' is damaged, or no pickle of plain arrays: it asks for"):
        MiniImageNet().store()
    assert not (tmp_path / "exploded").exists()


def test_a_pickle_in_place_of_images_is_listed_and_not_run(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tiered(data / "tiered-imagenet", each=1, size=6)
    (data / "tiered-imagenet" / "val_images_png.pkl").write_bytes(pickle.dumps([Bomb()]))
    with pytest.raises(UserError, match="511 images, but 608 labels"):
        TieredImageNet(image_size=6).store()
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[: len(raw) // 2], "is damaged, or no pickle"),
        (lambda raw: b"<html>Too many requests</html>", "is damaged, or no pickle"),
        (lambda raw: pickle.dumps({"images": 1}), "is not what it should hold: 'image_data'"),
        (
            lambda raw: pickle.dumps({"image_data": np.zeros((3, 6, 6, 3), np.uint8), "class_dict": {"n1": [0, 1]}}),
            r"is not what it should hold: images uint8 of shape \(3, 6, 6, 3\), with 2 labels",
        ),
    ],
)
def test_a_damaged_pickle_is_named(data, change, message):
    write_mini(data, size=6)
    path = data / "mini-imagenet-cache-validation.pkl"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=rf"cache-validation\.pkl' {message}"):
        MiniImageNet().store()


def test_one_pickle_missing_is_said(data):
    write_mini(data, size=6)
    (data / "mini-imagenet-cache-test.pkl").unlink()
    with pytest.raises(UserError, match=r"no file '.*cache-test\.pkl'; fetch it with `metagap data get mini-imagenet"):
        MiniImageNet().store()


def test_what_is_said_of_the_two_is_true():
    mini, tiered = pinned("mini_imagenet"), pinned("tiered_imagenet")
    assert len({*mini["val"], *mini["test"]} & {*tiered["train"]}) == 14
    assert len({*tiered["val"], *tiered["test"]} & {*mini["train"]}) == 19
