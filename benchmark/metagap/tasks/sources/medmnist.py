"""MedMNIST: small medical images of many kinds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from metagap import registry
from metagap.errors import UserError
from metagap.tasks.image_store import Reading
from metagap.tasks.images import ImageStore
from metagap.tasks.source import Seed
from metagap.tasks.sources.arrays import load_npz
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.layout import shuffled
from metagap.tasks.sources.stored import StoredSource, pinned

RECORD = "https://zenodo.org/records/10519652/files"
PARTS = ("train", "val", "test")
SIZES = ("", "_64", "_128", "_224")
"""What follows the name of a set whose images are not of 28 pixels."""


def _known() -> dict[str, Any]:
    """The sets by name: the md5 of their files, by size, and their classes."""
    return pinned("medmnist")


def _dataset(value: str) -> str:
    allowed = [f"{name}{size}" for name in _known() for size in SIZES]
    if value not in allowed:
        raise ValueError(f"is no set of MedMNIST{registry.suggest(value, allowed)}")
    return value


class MedMNIST(StoredSource):
    """MedMNIST v2: eleven sets of medical images of 28, 64, 128 or 224 pixels a side, as `medmnist:pathmnist_64`.

    The classes of one set, which are shuffled into parts by `shares`; several sets make several domains, such as the
    organs in `organamnist`, `organcmnist` and `organsmnist`, cut in three planes. The publishers' own parts hold the
    same classes, and are joined; `subset` chooses one, which in `pathmnist` is from other clinics. The set of chests,
    whose images have several classes each, and those of volumes are not among them.
    """

    title = "MedMNIST"
    licence = "CC BY 4.0; dermamnist: CC BY-NC 4.0"
    citation = (
        "Yang, Shi, Wei, Liu, Zhao, Ke, Pfister, Ni (2023), MedMNIST v2: A large-scale lightweight benchmark for 2D "
        "and 3D biomedical image classification, Scientific Data"
    )
    download_size = "some MB to some GB each"
    named_by = "dataset"
    about_parts = StoredSource.about_parts | {"shares", "split_seed"}
    related = {"isic": "dermamnist is made of HAM10000, as ISIC's task is"}

    dataset: Annotated[str, AfterValidator(_dataset)] = Field(
        default="pathmnist",
        description=f"{', '.join(_known())}; with {', '.join(SIZES[1:])} appended for images of that size",
    )
    subset: Literal["all", "train", "val", "test"] = Field(
        default="all", description="which of the publishers' parts is used"
    )
    shares: tuple[float, float, float] = Field(
        default=(0.6, 0.2, 0.2), description="shares of train, val and test classes"
    )
    split_seed: Seed = Field(default=0, description="seed of the shuffle into parts")

    def addresses(self) -> Sequence[Remote]:
        """The file of the set."""
        name, _, size = self.dataset.partition("_")
        md5 = _known()[name]["md5"][SIZES.index(f"_{size}" if size else "")]
        return [Remote(f"medmnist/{self.dataset}.npz", f"{RECORD}/{self.dataset}.npz", md5)]

    def paths(self) -> list[Path]:
        """The file, in a folder `medmnist` or not."""
        return [self.find(f"medmnist/{self.dataset}.npz", f"{self.dataset}.npz")]

    def read(self) -> Reading:
        """The images of the subset."""
        (path,) = self.paths()
        arrays = load_npz(path)
        names = _known()[self.dataset.partition("_")[0]]["classes"]
        try:
            chosen = PARTS if self.subset == "all" else (self.subset,)
            images = np.concatenate([arrays[f"{part}_images"] for part in chosen])
            labels = np.concatenate([arrays[f"{part}_labels"] for part in chosen]).astype(np.int64).reshape(-1)
            if images.dtype != np.uint8 or len(images) != len(labels) or labels.max() >= len(names):
                raise ValueError(f"images {images.dtype} {images.shape}, with {len(labels)} labels to {labels.max()}")
        except (KeyError, ValueError) as error:
            raise UserError(f"{self.title}: '{path}' is not what it should hold: {error}") from None
        return Reading(images, labels, list(names))

    def parts(self, store: ImageStore) -> dict[str, list[int]]:
        """The shuffled shares."""
        return shuffled(store.class_count, self.shares, self.split_seed)
