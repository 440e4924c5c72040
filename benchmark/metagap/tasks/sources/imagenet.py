"""The two few-shot benchmarks made of ImageNet: mini-ImageNet and tieredImageNet."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from metagap.errors import UserError
from metagap.tasks.folders import data_folder
from metagap.tasks.image_store import Reading
from metagap.tasks.sources import pickles
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Pictures, ahead, alphabetical

RECORD = "https://zenodo.org/record/7978538/files"
"""Where the authors of learn2learn publish the pickles of both."""

PARTS = ("train", "val", "test")

SIBLINGS = (
    "both are parts of ImageNet: 14 classes that mini-ImageNet validates or tests with are training classes of "
    "tieredImageNet, and 19 the other way round"
)


class ImageNetPart(Pictures):
    """Classes of ImageNet, called by their WordNet ids: in pickles of each part, or in image files by class."""

    licence = "ImageNet's terms: non-commercial research and education"

    def paths(self) -> list[Path]:
        """The pickles if one of them is here, else the archive or folder of image files."""
        pickled = [remote.path for remote in self.remotes]
        if any((data_folder() / path).exists() for path in pickled):
            return [self.find(path) for path in pickled]
        return super().paths()

    def read(self) -> Reading:
        """All images."""
        paths = self.paths()
        if paths[0].suffix != ".pkl":
            return super().read()
        labels, names = alphabetical(*self.pickled_labels(paths))
        self.check_classes(names)
        return Reading(self.pickled_images(paths), labels, names)

    @abstractmethod
    def pickled_labels(self, paths: list[Path]) -> tuple[np.ndarray, list[str]]:
        """The class of each image in the pickles, and the classes."""

    @abstractmethod
    def pickled_images(self, paths: list[Path]) -> Iterator[np.ndarray]:
        """The images in the pickles, in the same order."""

    def label(self, name: str) -> str:
        """The last WordNet id in the file's folders, or in its own name."""
        return (re.findall(r"n\d{8}", name.rpartition("/")[0]) or re.findall(r"n\d{8}", name) or [""])[-1]

    def remark(self) -> str:
        """Of image files; the pickles are all, or damaged."""
        return "" if self.paths()[0].suffix == ".pkl" else super().remark()


class MiniImageNet(ImageNetPart):
    """mini-ImageNet: 100 classes of ImageNet with 600 images each, in the split of Ravi and Larochelle (64/16/20).

    Read from the three pickles of 84x84 images that learn2learn uses, or from image files by class at any depth of a
    folder or archive `mini-imagenet`.
    """

    title = "mini-ImageNet"
    citation = (
        "Vinyals et al. (2016), Matching Networks for One Shot Learning; split: Ravi, Larochelle (2017), Optimization "
        "as a Model for Few-Shot Learning"
    )
    download_size = "1.3 GB"
    places = (("mini-imagenet", "mini-imagenet.zip", "mini-imagenet.tar*", "mini-imagenet.tgz"),)
    split_file = "mini_imagenet"
    per_class = 600
    related = {"tiered-imagenet": SIBLINGS}
    remotes = tuple(
        Remote(f"mini-imagenet-cache-{part}.pkl", f"{RECORD}/mini-imagenet-cache-{part}.pkl")
        for part in ("train", "validation", "test")
    )

    def pickled_labels(self, paths: list[Path]) -> tuple[np.ndarray, list[str]]:
        """By the lists of rows that every pickle has for its classes."""
        names: list[str] = []
        labels = []
        for path in paths:
            _, rows = self._part(path)
            part = np.full(sum(map(len, rows.values())), -1)
            for name, places in rows.items():
                part[places] = len(names)
                names.append(name)
            labels.append(part)
        return np.concatenate(labels), names

    def pickled_images(self, paths: list[Path]) -> Iterator[np.ndarray]:
        """Part by part: the largest takes 0.8 GB of memory, for it is one array."""
        for path in paths:
            yield from self._part(path)[0]

    def _part(self, path: Path) -> tuple[np.ndarray, dict[str, list[int]]]:
        with path.open("rb") as file:
            found = pickles.load(file, str(path))
        try:
            images, rows = found["image_data"], found["class_dict"]
            listed = sorted(row for places in rows.values() for row in places)
            if images.dtype != np.uint8 or images.ndim != 4 or listed != list(range(len(images))):
                raise ValueError(f"images {images.dtype} of shape {images.shape}, with {len(listed)} labels")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(f"{self.title}: '{path}' is not what it should hold: {error}") from None
        return images, rows


class TieredImageNet(ImageNetPart):
    """tieredImageNet: 608 classes of ImageNet in 34 categories, split by category (351/97/160), 779,165 images.

    Read from the pickles of 84x84 images that its authors made, or from image files by class at any depth of a folder
    or archive `tiered-imagenet`. Decoded it takes 16.5 GB of the cache folder, and of memory what a meta-batch does.
    """

    title = "tiered-ImageNet"
    citation = "Ren et al. (2018), Meta-Learning for Semi-Supervised Few-Shot Classification"
    download_size = "12 GB"
    places = (("tiered-imagenet", "tiered-imagenet.zip", "tiered-imagenet.tar*", "tiered-imagenet.tgz"),)
    split_file = "tiered_imagenet"
    complete = 779165
    related = {"mini-imagenet": SIBLINGS}
    remotes = tuple(
        Remote(f"tiered-imagenet/{file}", f"{RECORD}/tiered-imagenet-{file}")
        for part in PARTS
        for file in (f"{part}_images_png.pkl", f"{part}_labels.pkl")
    ) + tuple(
        Remote(f"tiered-imagenet/{file}", f"{RECORD}/tiered-imagenet-{file}")
        for file in ("class_names.txt", "synsets.txt")
    )

    def pickled_labels(self, paths: list[Path]) -> tuple[np.ndarray, list[str]]:
        """By the pickles of labels, whose class names are English; the two texts have their WordNet ids."""
        *pickled, english, ids = paths
        translations: dict[str, list[str]] = {}
        for name, wnid in zip(_lines(english), _lines(ids), strict=False):
            translations.setdefault(name, []).append(wnid)
        names: list[str] = []
        labels = []
        for part, path in zip(PARTS, pickled[1::2], strict=True):
            with path.open("rb") as file:
                found = pickles.load(file, str(path))
            try:
                labels.append(np.asarray(found["label_specific"], np.int64) + len(names))
                called = found["label_specific_str"]
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{self.title}: '{path}' is not what it should hold: {error!r}") from None
            own = self.pinned()[part]
            for name in called:  # a few English names stand for two classes of ImageNet: the part tells which
                names.append(next((wnid for wnid in translations.get(name.strip(), []) if wnid in own), name))
        return np.concatenate(labels), names

    def pickled_images(self, paths: list[Path]) -> Iterator[np.ndarray]:
        """Decoded one by one."""
        for path in paths[:6:2]:
            for one in ahead(self._image, pickles.images(path)):
                yield from one

    def _image(self, data: bytes) -> list[np.ndarray]:
        return self.crops(data, [None], f"{self.title}: an image in '{self.paths()[0].parent}'")


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
