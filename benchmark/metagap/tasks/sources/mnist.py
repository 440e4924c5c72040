"""MNIST and the sets made in its image: KMNIST, Fashion-MNIST and EMNIST. Of each, the test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, field_validator

from metagap.errors import UserError
from metagap.tasks.image_store import Reading
from metagap.tasks.images import ImageStore
from metagap.tasks.sources.archives import opened
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.idx import read_idx
from metagap.tasks.sources.layout import shuffled
from metagap.tasks.sources.stored import StoredSource

FILES = ("images-idx3-ubyte", "labels-idx1-ubyte")


class MNIST(StoredSource):
    """Handwritten digits: the 10,000 test images."""

    title = "MNIST"
    licence = "CC BY-SA 3.0"
    citation = "LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition"
    download_size = "1.7 MB"
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    about_parts = StoredSource.about_parts | {"shares"}

    shares: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] | None = Field(
        default=None,
        exclude_if=lambda value: value is None,  # so that cells without it stay what they were
        description="shares of train, val and test among the classes, which are shuffled; default: no parts but all",
    )

    @field_validator("shares")
    @classmethod
    def _some(cls, value: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if value is not None and not sum(value):
            raise ValueError("one share has to be above 0")
        return value

    def addresses(self) -> Sequence[Remote]:
        """As torchvision has them."""
        import torchvision.datasets

        name = type(self).__name__
        known: Any = getattr(torchvision.datasets, name)
        first, *others = known.mirrors
        return [
            Remote(
                f"{type(self).__name__}/raw/{name}",
                f"{first}{name}",
                md5,
                tuple(f"{mirror}{name}" for mirror in others),
            )
            for name, md5 in known.resources
            if name.startswith("t10k")
        ]

    def paths(self) -> list[Path]:
        """The images and the labels, packed or not."""
        raw = f"{type(self).__name__}/raw/t10k"
        return [self.find(f"{raw}-{file}.gz", f"{raw}-{file}") for file in FILES]

    def parts(self, store: ImageStore) -> dict[str, list[int]]:
        """By the shares; without these none but `all`."""
        return {} if self.shares is None else shuffled(store.class_count, self.shares, 0)

    def read(self) -> Reading:
        """All test images."""
        images, labels = (read_idx(str(path), path.read_bytes(), self.title) for path in self.paths())
        if len(images) != len(labels):
            raise UserError(
                f"{self.title}: {len(images)} images but {len(labels)} labels in '{self.paths()[0].parent}'"
            )
        return Reading(images, labels, list(self.class_names))


class KMNIST(MNIST):
    """Ten cursive Japanese characters (Kuzushiji): the 10,000 test images."""

    title = "KMNIST"
    licence = "CC BY-SA 4.0"
    citation = "Clanuwat et al. (2018), Deep Learning for Classical Japanese Literature"
    download_size = "3 MB"
    class_names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


class FashionMNIST(MNIST):
    """Ten kinds of clothing, photographed: the 10,000 test images."""

    title = "Fashion-MNIST"
    licence = "MIT"
    citation = "Xiao, Rasul, Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset for Benchmarking"
    download_size = "4.4 MB"
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
    related = {
        "omniglot": "its letters are those of Omniglot's Latin alphabet",
        "mnist": "both are drawn from NIST Special Database 19, so digits may be the same images",
    }

    subset: Literal["letters", "balanced", "digits", "byclass", "bymerge", "mnist"] = Field(
        default="letters", description="which of the publishers' subsets"
    )

    def addresses(self) -> Sequence[Remote]:
        """As torchvision has it."""
        from torchvision.datasets import EMNIST as Known

        return [Remote("EMNIST/raw/gzip.zip", Known.url, Known.md5)]

    def paths(self) -> list[Path]:
        """The images and the labels of the subset's test set: unpacked as torchvision does, or the archive of all."""
        return [self.find(f"EMNIST/raw/{f}", f"EMNIST/raw/{f}.gz", "EMNIST/raw/gzip.zip") for f in self._files()]

    def read(self) -> Reading:
        """All test images of the subset, turned upright: the files hold them transposed."""
        from torchvision.datasets import EMNIST as Known

        images, labels = (self._array(*pair) for pair in zip(self.paths(), self._files(), strict=True))
        names = [name for name in Known.classes_split_dict[self.subset] if name != "N/A"]
        first = 1 if self.subset == "letters" else 0
        return Reading(images.transpose(0, 2, 1), labels.astype(np.int64) - first, names)

    def parts(self, store: ImageStore) -> dict[str, list[int]]:
        """Even and odd classes."""
        return {"val": list(range(0, store.class_count, 2)), "test": list(range(1, store.class_count, 2))}

    def _files(self) -> list[str]:
        return [f"emnist-{self.subset}-test-{file}" for file in FILES]

    def _array(self, path: Path, file: str) -> np.ndarray:
        if path.suffix != ".zip":
            return read_idx(str(path), path.read_bytes(), self.title)
        return read_idx(f"{file}.gz", opened(path, self.title).one(f"{file}.gz"), self.title)
