"""Data sets of images: what they are, how they are fetched, and how they are read.

The files lie under `data_folder()` (`--data` or $METAGAP_DATA) as torchvision downloads them. They are read in that
packed form, so the folder may be read-only.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from abc import abstractmethod
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from benchmark.errors import UserError
from benchmark.tasks.folders import data_folder
from benchmark.tasks.images import ImageBank
from benchmark.tasks.source import ImageSource


class StoredSource(ImageSource):
    """An image source whose files must be on this machine."""

    title: ClassVar[str]
    download_size: ClassVar[str] = ""
    """For people; empty where there is nothing to download."""

    @classmethod
    def download(cls, folder: Path) -> None:
        """Fetch the files into `folder`."""
        raise UserError(f"{cls.title} has nothing to download")

    @abstractmethod
    def paths(self) -> list[Path]:
        """The files that are read; raises UserError for the first that is missing."""

    def checksums(self) -> dict[str, str]:
        """The publisher's md5 of each file, by file name, where it is known."""
        return {}

    def find(self, *candidates: str) -> Path:
        """The first of these files of the data folder that is there."""
        folder = data_folder()
        for candidate in candidates:
            if (folder / candidate).exists():
                return folder / candidate
        raise UserError(
            f"{self.title}: no file '{folder / candidates[0]}'; fetch it with "
            f"`metagap data get {self.title.lower()} --data {folder}`, or name the folder that holds it with --data"
        )

    def stamp(self) -> Any:
        """Path, size and time of every file."""
        return [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in self.paths()]

    def parts(self, bank: ImageBank) -> dict[str, list[int]]:
        """No parts but `all`, unless a subclass knows of some."""
        return {}


class Omniglot(StoredSource):
    """1,623 handwritten characters of 50 alphabets, 20 drawings each.

    `split = "vinyals"` has the 1,028 / 172 / 423 training, validation and test characters of Vinyals et al. (2016);
    `split = "random"` shuffles all characters into 1,100 / 100 / 423 as the MAML code does; `split = "no-latin"` keeps
    the 26 of the Latin alphabet for testing, for what is tested on EMNIST (Chen et al. 2019). With `rotations` every
    character counts four times. Strokes are white on black.
    """

    title = "Omniglot"
    licence = "MIT"
    citation = (
        "Lake, Salakhutdinov, Tenenbaum (2015), Human-level concept learning through probabilistic program induction"
    )
    download_size = "15 MB"

    split: Literal["vinyals", "random", "no-latin"] = Field("vinyals", description="which characters are for training")
    split_seed: int = Field(0, description="seed of the random split")

    @classmethod
    def download(cls, folder: Path) -> None:
        """Fetch both halves through torchvision."""
        from torchvision.datasets import Omniglot as Download

        for background in (True, False):
            Download(str(folder), background=background, download=True)

    def paths(self) -> list[Path]:
        """The archives of both halves."""
        return [self.find(f"omniglot-py/{half}.zip", half) for half in ("images_background", "images_evaluation")]

    def checksums(self) -> dict[str, str]:
        """As torchvision has them."""
        from torchvision.datasets import Omniglot as Download

        return {f"{half}.zip": md5 for half, md5 in Download.zips_md5.items()}

    def read(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Both halves, character by character."""
        images, classes = [], []
        for path in self.paths():
            with _opened(path, self.title) as archive:
                for member in sorted(name for name in archive.namelist() if name.endswith(".png")):
                    try:
                        paper = np.asarray(Image.open(io.BytesIO(archive.read(member))).convert("1"), np.uint8)
                    except (OSError, zipfile.BadZipFile, zlib.error) as error:
                        raise UserError(f"{self.title}: '{member}' in '{path}' is damaged: {error}") from None
                    images.append(255 * (1 - paper))
                    classes.append("/".join(Path(member).parts[-3:-1]))
        names, labels, counts = np.unique(classes, return_inverse=True, return_counts=True)
        if len(names) != 1623 or set(counts) != {20}:
            raise UserError(
                f"Omniglot: {len(names)} characters with {counts.min()} to {counts.max()} drawings in "
                f"'{self.paths()[0].parent}'; complete are 1623 characters with 20"
            )
        return np.stack(images), labels, names.tolist()

    def parts(self, bank: ImageBank) -> dict[str, list[int]]:
        """Characters of the chosen split."""
        if self.split == "vinyals":
            table = json.loads(resources.files("benchmark.tasks").joinpath("splits/omniglot_vinyals.json").read_text())
            index = {name: i for i, name in enumerate(bank.names)}
            return {
                part: [index[f"{alphabet}/character{n:02}"] for alphabet, numbers in alphabets.items() for n in numbers]
                for part, alphabets in table.items()
            }
        if self.split == "no-latin":
            latin = [name.startswith("Latin/") for name in bank.names]
            return {"train": np.flatnonzero(~np.array(latin)).tolist(), "test": np.flatnonzero(latin).tolist()}
        order = np.random.default_rng(self.split_seed).permutation(bank.class_count).tolist()
        return {"train": order[:1100], "val": order[1100:1200], "test": order[1200:]}


class MNIST(StoredSource):
    """Handwritten digits: the 10,000 test images."""

    title = "MNIST"
    licence = "CC BY-SA 3.0"
    citation = "LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition"
    download_size = "12 MB"
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")

    @classmethod
    def download(cls, folder: Path) -> None:
        """Fetch it through torchvision."""
        import torchvision.datasets

        getattr(torchvision.datasets, cls.__name__)(str(folder), download=True)

    def paths(self) -> list[Path]:
        """The images and the labels, packed or not."""
        raw = f"{type(self).__name__}/raw/t10k"
        return [self.find(f"{raw}-{file}.gz", f"{raw}-{file}") for file in ("images-idx3-ubyte", "labels-idx1-ubyte")]

    def checksums(self) -> dict[str, str]:
        """As torchvision has them."""
        import torchvision.datasets

        return dict(getattr(torchvision.datasets, type(self).__name__).resources)

    def read(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """All test images."""
        images, labels = (_idx(path, self.title) for path in self.paths())
        if len(images) != len(labels):
            raise UserError(
                f"{self.title}: {len(images)} images but {len(labels)} labels in '{self.paths()[0].parent}'"
            )
        return images, labels, list(self.class_names)


class KMNIST(MNIST):
    """Ten cursive Japanese characters (Kuzushiji): the 10,000 test images."""

    title = "KMNIST"
    licence = "CC BY-SA 4.0"
    citation = "Clanuwat et al. (2018), Deep Learning for Classical Japanese Literature"
    download_size = "21 MB"
    class_names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


class FashionMNIST(MNIST):
    """Ten kinds of clothing, photographed: the 10,000 test images."""

    title = "Fashion-MNIST"
    licence = "MIT"
    citation = "Xiao, Rasul, Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset for Benchmarking"
    download_size = "31 MB"
    class_names = (
        "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    )  # fmt: skip


class EMNIST(StoredSource):
    """Handwritten letters and digits: the test images of a subset.

    Every other class, from the first on, is for validation and the others for testing (Chen et al. 2019, who have
    `subset = "byclass"`).
    """

    title = "EMNIST"
    licence = "public domain"
    citation = "Cohen, Afshar, Tapson, van Schaik (2017), EMNIST: an extension of MNIST to handwritten letters"
    download_size = "536 MB"

    subset: Literal["letters", "balanced", "digits", "byclass", "bymerge", "mnist"] = Field(
        "letters", description="which of the publishers' subsets"
    )

    @classmethod
    def download(cls, folder: Path) -> None:
        """Fetch it through torchvision."""
        from torchvision.datasets import EMNIST as Download

        Download(str(folder), split="letters", download=True)

    def paths(self) -> list[Path]:
        """The images and the labels of the subset's test set, packed or not."""
        raw = f"EMNIST/raw/emnist-{self.subset}-test"
        return [self.find(f"{raw}-{file}", f"{raw}-{file}.gz") for file in ("images-idx3-ubyte", "labels-idx1-ubyte")]

    def read(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """All test images of the subset, turned upright: the files hold them transposed."""
        from torchvision.datasets import EMNIST as Download

        images, labels = (_idx(path, self.title) for path in self.paths())
        names = [name for name in Download.classes_split_dict[self.subset] if name != "N/A"]
        first = 1 if self.subset == "letters" else 0
        return images.transpose(0, 2, 1), labels - first, names

    def parts(self, bank: ImageBank) -> dict[str, list[int]]:
        """Even and odd classes."""
        return {"val": list(range(0, bank.class_count, 2)), "test": list(range(1, bank.class_count, 2))}


class Digits(StoredSource):
    """The 1,797 handwritten digits that ship with scikit-learn: real images of 8x8 pixels, nothing to download."""

    title = "Digits"
    licence = "CC BY 4.0"
    citation = "Alpaydin, Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository"

    def paths(self) -> list[Path]:
        """None: they come with scikit-learn."""
        return []

    def read(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """All images, 0..16 stretched to 0..255."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        return (digits.images * (255 / 16)).round().astype(np.uint8), digits.target, list("0123456789")


class UserImages(StoredSource):
    """Your own images, as `path:FOLDER` with a folder per class, or `path:FILE.npz`.

    A folder may have sub-folders train, val and test with the classes of each part. An .npz file holds `images` (n, H,
    W) or (n, H, W, 3) uint8 with `labels` (n,), or `images` (classes, n, H, W); `class_names` may stand beside them.
    Where there are no parts, the classes are shuffled into them by `shares`. A relative path is looked up here, then in
    the data folder.
    """

    title = "path:"
    licence = "yours"
    citation = "yours"

    path: str = Field(description="folder or .npz file")
    invert: bool = Field(False, description="turn dark on light into light on dark")
    shares: tuple[float, float, float] = Field((0.6, 0.2, 0.2), description="shares of train, val and test classes")
    split_seed: int = Field(0, description="seed of the shuffle into parts")

    def paths(self) -> list[Path]:
        """The file, or every image of the folder."""
        for path in (Path(self.path).expanduser(), data_folder() / self.path):
            if path.is_file() and path.suffix == ".npz":
                return [path]
            if path.is_dir():
                if images := sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
                    return images
                raise UserError(
                    f"path:{self.path}: no images in '{path}'; allowed: {', '.join(sorted(IMAGE_SUFFIXES))}"
                )
        raise UserError(
            f"path:{self.path}: neither a folder of images nor an .npz file, here or in '{data_folder()}' (--data)"
        )

    def read(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """All images, from the file or the folder."""
        paths = self.paths()
        images, labels, names = self._from_npz(paths[0]) if paths[0].suffix == ".npz" else self._from_folder(paths)
        return 255 - images if self.invert else images, labels, names

    def parts(self, bank: ImageBank) -> dict[str, list[int]]:
        """The sub-folders train, val and test, or the shuffled shares."""
        if any("/" in name for name in bank.names):
            return {
                part: [i for i, name in enumerate(bank.names) if name.startswith(f"{part}/")]
                for part in ("train", "val", "test")
            }
        order = np.random.default_rng(self.split_seed).permutation(bank.class_count).tolist()
        train, val, _ = (round(share / sum(self.shares) * len(order)) for share in self.shares)
        return {"train": order[:train], "val": order[train : train + val], "test": order[train + val :]}

    def _from_npz(self, path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = dict(stored)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(f"'{path}' is not a readable .npz file: {error}") from None
        images = arrays.get("images")
        if images is None or images.dtype != np.uint8 or images.ndim not in (3, 4):
            found = "missing" if images is None else f"{images.dtype} of shape {images.shape}"
            raise UserError(f"'{path}': `images` is {found}; allowed: uint8 of 3 or 4 dimensions")
        if "labels" in arrays:
            labels = arrays["labels"].astype(np.int64)
        elif images.ndim == 4:
            labels = np.repeat(np.arange(len(images)), images.shape[1])
            images = images.reshape(-1, *images.shape[2:])
        else:
            raise UserError(f"'{path}': `labels` is missing beside `images` of shape {images.shape}")
        if labels.shape != (len(images),) or labels.min() < 0:
            raise UserError(f"'{path}': `labels` has shape {labels.shape}, needed are {len(images)} numbers from 0")
        names = arrays.get("class_names", np.arange(labels.max() + 1)).astype(str).tolist()
        if len(names) <= labels.max():
            raise UserError(f"'{path}': {len(names)} `class_names` for labels up to {labels.max()}")
        return images, labels, names

    def _from_folder(self, paths: list[Path]) -> tuple[np.ndarray, np.ndarray, list[str]]:
        images, classes = [], []
        for path in paths:
            try:
                with Image.open(path) as file:
                    image = file.convert("L" if self.channels == 1 else "RGB")
                    images.append(
                        np.asarray(image.resize((self.image_size, self.image_size), Image.Resampling.BILINEAR))
                    )
            except OSError as error:
                raise UserError(f"'{path}' is not a readable image: {error}") from None
            part = path.parent.parent.name
            classes.append(f"{part}/{path.parent.name}" if part in ("train", "val", "test") else path.parent.name)
        names, labels = np.unique(classes, return_inverse=True)
        return np.stack(images), labels, names.tolist()


IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


class _Folder:
    """An unpacked archive, read like a packed one."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None: ...

    def namelist(self) -> list[str]:
        return [str(path.relative_to(self.path)) for path in self.path.rglob("*")]

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


def _opened(path: Path, title: str) -> zipfile.ZipFile | _Folder:
    if path.is_dir():
        return _Folder(path)
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{title}: '{path}' is not a readable zip archive: {error}") from None


def _idx(path: Path, title: str) -> np.ndarray:
    """Read an IDX file of bytes (LeCun et al.), packed by gzip or not."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        dimensions = data[3]
        shape = np.frombuffer(data, ">u4", dimensions, 4)
        return np.frombuffer(data, np.uint8, int(shape.prod()), 4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise UserError(f"{title}: '{path}' is damaged: {error}") from None
