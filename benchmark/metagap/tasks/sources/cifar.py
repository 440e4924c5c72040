"""The two few-shot benchmarks made of CIFAR-100: CIFAR-FS and FC100. They differ in their classes' split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import ClassVar

import numpy as np
from pydantic import Field

from metagap.errors import UserError
from metagap.tasks.image_store import Reading
from metagap.tasks.source import ImageSize
from metagap.tasks.sources import pickles
from metagap.tasks.sources.archives import opened
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.pictures import Pictures, alphabetical

PACKED, FILES = "cifar-100-python", ("meta", "train", "test")


class CIFARFS(Pictures):
    """CIFAR-FS: the 100 classes of CIFAR-100 with 600 images each, 64 for training, 16 for validation, 20 for testing.

    Read from CIFAR-100 as its publishers pack it, or from images laid out by class as CIFAR-FS comes.
    """

    title = "CIFAR-FS"
    licence = "not stated"
    citation = (
        "Bertinetto, Henriques, Torr, Vedaldi (2019), Meta-learning with differentiable closed-form solvers; images: "
        "Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images"
    )
    download_size = "169 MB"
    places = ((f"{PACKED}.tar.gz", PACKED, "cifarfs/cifar100", "cifarfs/*.zip"),)
    split_file = "cifar_fs"
    per_class = 600
    related: ClassVar[dict[str, str]] = {"fc100": "the same images of the same classes, split otherwise"}

    image_size: ImageSize = Field(default=32, description="images are squeezed to this many pixels a side")

    def addresses(self) -> Sequence[Remote]:
        """CIFAR-100, as torchvision has it."""
        from torchvision.datasets import CIFAR100 as Known

        return [Remote(Known.filename, Known.url, Known.tgz_md5)]

    def read(self) -> Reading:
        """All images, by class and file name, so that both forms of the set give the same."""
        path = self.paths()[0]
        if not path.name.startswith(PACKED):
            return super().read()
        pickled = zip(FILES, opened(path, self.title).several(*FILES), strict=True)
        meta, *halves = (pickles.from_bytes(data, f"{path}: {file}") for file, data in pickled)
        try:
            labels = np.concatenate([half["fine_labels"] for half in halves])
            files = [file for half in halves for file in half["filenames"]]
            images = np.concatenate([half["data"] for half in halves]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            labels, names = alphabetical(labels, meta["fine_label_names"])
            order = np.lexsort((files, labels))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(f"{self.title}: '{path}' is not what it should hold: {error!r}") from None
        self.check_classes(names)
        return Reading(images[order], labels[order], names)

    def label(self, name: str) -> str:
        """The folder, but for those of the copies that learn2learn makes for each part."""
        return "" if "processed" in PurePosixPath(name).parts else super().label(name)


class FC100(CIFARFS):
    """FC100: the same images as CIFAR-FS, split so that no superclass is in two parts (60 / 20 / 20 classes)."""

    title = "FC100"
    citation = (
        "Oreshkin, Rodriguez, Lacoste (2018), TADAM: Task dependent adaptive metric for improved few-shot learning; "
        "images: Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images"
    )
    split_file = "fc100"
    related: ClassVar[dict[str, str]] = {"cifar-fs": "the same images of the same classes, split otherwise"}
