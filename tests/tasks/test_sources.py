"""Readers of data sets: tiny files in the publishers' layout, damaged ones, and the real ones where they are."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.errors import UserError
from benchmark.tasks.episode import TaskSpec
from benchmark.tasks.glyphs import Glyphs
from benchmark.tasks.images import resize
from benchmark.tasks.source import Part
from benchmark.tasks.sources import EMNIST, KMNIST, MNIST, Digits, FashionMNIST, Omniglot, UserImages


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METAGAP_DATA", str(tmp_path))
    return tmp_path


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def write_idx_pair(folder: Path, stem: str, images: np.ndarray, labels: np.ndarray, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in ((f"{stem}-images-idx3-ubyte", images), (f"{stem}-labels-idx1-ubyte", labels)):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("source", [MNIST, KMNIST, FashionMNIST])
@pytest.mark.parametrize("packed", [True, False])
def test_mnist_layout(data, source, packed):
    images = np.arange(20 * 28 * 28).reshape(20, 28, 28).astype(np.uint8)
    labels = np.arange(20) % 10
    write_idx_pair(data / source.__name__ / "raw", "t10k", images, labels, packed)
    bank = source().tasks(Part(), "cpu")
    assert bank.class_count == 10
    assert bank.size.tolist() == [2] * 10
    assert torch.equal(bank.images[2 * 3 + 1, 0], torch.from_numpy(images[13]))


def test_emnist_letters_are_turned_upright_and_count_from_a(data):
    images = np.zeros((52, 28, 28), np.uint8)
    images[:, 3, 20] = 255  # transposed: the file's row is the picture's column
    write_idx_pair(data / "EMNIST" / "raw", "emnist-letters-test", images, np.arange(52) % 26 + 1)
    bank = EMNIST().tasks(Part(), "cpu")
    assert bank.names == tuple("abcdefghijklmnopqrstuvwxyz")
    assert bank.size.tolist() == [2] * 26
    assert bank.images[0, 0, 20, 3] == 255
    assert EMNIST().tasks(Part("val"), "cpu").names == tuple("acegikmoqsuwy")
    assert EMNIST().tasks(Part("test"), "cpu").names == tuple("bdfhjlnprtvxz")


def test_omniglot_must_be_complete(data):
    folder = data / "omniglot-py"
    folder.mkdir()
    for half in ("images_background", "images_evaluation"):
        with zipfile.ZipFile(folder / f"{half}.zip", "w") as archive:
            for i in range(3):
                archive.writestr(f"{half}/Greek/character01/0001_{i:02}.png", png(np.zeros((105, 105), np.uint8)))
    with pytest.raises(UserError, match=r"1 characters with 6 to 6 drawings.*1623 characters with 20"):
        Omniglot().bank()


@pytest.mark.parametrize("file", ["images-idx3-ubyte", "labels-idx1-ubyte"])
@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"<html>", lambda raw: b""])
def test_a_damaged_file_is_named(data, file, damage):
    folder = data / "MNIST" / "raw"
    write_idx_pair(folder, "t10k", np.zeros((20, 28, 28)), np.arange(20) % 10)
    path = folder / f"t10k-{file}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=rf"MNIST: '.*{file}\.gz' is damaged"):
        MNIST().bank()


def test_images_and_labels_must_be_as_many(data):
    write_idx_pair(data / "MNIST" / "raw", "t10k", np.zeros((20, 28, 28)), np.arange(19) % 10)
    with pytest.raises(UserError, match="20 images but 19 labels"):
        MNIST().bank()


def test_a_damaged_archive_is_named(data):
    (data / "omniglot-py").mkdir()
    for half in ("images_background", "images_evaluation"):
        (data / "omniglot-py" / f"{half}.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=r"images_background\.zip' is not a readable zip"):
        Omniglot().bank()


def test_missing_data_say_how_to_get_them(data):
    with pytest.raises(UserError, match=r"no file '.*/images_background\.zip'.*metagap data get omniglot.*--data"):
        Omniglot().tasks(Part("train"), "cpu")


def test_digits_need_no_download():
    bank = Digits(image_size=16).tasks(Part(), "cpu")
    assert bank.class_count == 10
    assert len(bank.images) == 1797
    assert bank.images.max() == 255
    with pytest.raises(UserError, match="no classes 'test' in Digits; allowed: all"):
        Digits().tasks(Part("test"), "cpu")


def test_glyphs_part_by_alphabet():
    source = Glyphs(alphabets=10, characters=3, instances=4, image_size=16, held_out_images=1)
    parts = [source.tasks(Part(part), "cpu") for part in ("train", "val", "test")]
    assert [bank.class_count for bank in parts] == [18, 6, 6]
    alphabets = [{name.split("/")[0] for name in bank.names} for bank in parts]
    assert not set.intersection(*alphabets)
    assert source.tasks(Part("train", "train"), "cpu").size.unique().tolist() == [3]
    assert source.tasks(Part("train", "held-out"), "cpu").size.unique().tolist() == [1]
    with pytest.raises(UserError, match="needs held_out_images"):
        Glyphs(alphabets=5).tasks(Part("train", "held-out"), "cpu")


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
                (folder / f"{i}.png").write_bytes(png(rng.integers(0, 256, (12, 9, 3), dtype=np.uint8)))
    parted = UserImages(path="parted", image_size=8, channels=3)
    assert parted.tasks(Part("train"), "cpu").names == ("train/cat", "train/dog")
    assert parted.tasks(Part("test"), "cpu").names == ("test/bird",)
    plain = UserImages(path="plain", image_size=8).tasks(Part(), "cpu")
    assert plain.names == ("bird", "cat", "dog")
    assert plain.x_shape == (1, 8, 8)
    (data / "plain" / "cat" / "broken.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"broken\.png' is not a readable image"):
        UserImages(path="plain", image_size=8).bank()
    with pytest.raises(UserError, match=r"neither a folder of images nor an \.npz"):
        UserImages(path="nowhere").bank()


def test_resizing_keeps_brightness_and_colour():
    images = torch.zeros(2, 20, 20, 3, dtype=torch.uint8)
    images[0, ..., 0], images[1] = 200, 90
    small = resize(images, 5, 3)
    assert small.shape == (2, 3, 5, 5)
    assert small[0, 0].unique().tolist() == [200]
    assert resize(images, 5, 1)[:, 0, 0, 0].tolist() == [round(0.299 * 200), 90]
    assert resize(images[..., 0], 5, 3).shape == (2, 3, 5, 5)


def test_the_real_omniglot(real_data):
    real_data("omniglot-py/images_background.zip")
    source = Omniglot(rotations=True)
    counts = {part: source.tasks(Part(part), "cpu").class_count for part in ("train", "val", "test", "all")}
    assert counts == {"train": 4112, "val": 688, "test": 1692, "all": 6492}
    names = [set(Omniglot(split=split).tasks(Part(part), "cpu").names) for split in ("vinyals", "random") for part in
             ("train", "val", "test")]  # fmt: skip
    assert [len(n) for n in names] == [1028, 172, 423, 1100, 100, 423]
    assert all(not a & b for trio in (names[:3], names[3:]) for i, a in enumerate(trio) for b in trio[:i])
    latin = Omniglot(split="no-latin")
    assert latin.tasks(Part("train"), "cpu").class_count == 1597
    assert all(name.startswith("Latin/") for name in latin.tasks(Part("test"), "cpu").names)
    with pytest.raises(UserError, match="no classes 'val'"):
        latin.tasks(Part("val"), "cpu")
    bank = source.tasks(Part(), "cpu")
    assert 0.02 < bank.images.float().mean() / 255 < 0.2  # light strokes on dark
    draw = bank.draw(200, TaskSpec("classification", 20, 1, 5), torch.Generator().manual_seed(0))
    assert len(draw) == 200


@pytest.mark.parametrize("source", [MNIST, KMNIST, FashionMNIST])
def test_the_real_mnist_family(real_data, source):
    real_data(f"{source.__name__}/raw/t10k-images-idx3-ubyte.gz")
    bank = source().tasks(Part(), "cpu")
    assert len(bank.images) == 10_000
    assert bank.size.min() >= 892
