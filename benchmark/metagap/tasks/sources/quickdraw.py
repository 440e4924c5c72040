"""QuickDraw: doodles of things, drawn within seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
from pydantic import Field, PositiveInt

from metagap.errors import UserError
from metagap.tasks.image_store import Reading
from metagap.tasks.source import ImageSize
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.stored import StoredSource, pinned

STORE = "https://storage.googleapis.com/quickdraw_dataset/full/numpy_bitmap"


class QuickDraw(StoredSource):
    """Quick, Draw!: 50 million doodles of 345 things, white on black, in the split of Meta-Dataset (241/52/52).

    The first `images_per_class` of each class are used. Whoever wants only these still has to fetch all.
    """

    title = "QuickDraw"
    licence = "CC BY 4.0"
    citation = (
        "Ha, Eck (2017), A Neural Representation of Sketch Drawings; split: Triantafillou et al. (2020), Meta-Dataset"
    )
    download_size = "about 40 GB"
    split_file = "quickdraw"

    image_size: ImageSize = Field(default=28, description="images are resized to this many pixels a side")
    channels: Literal[1, 3] = Field(default=1, description="1 for grey, 3 for colour")
    images_per_class: PositiveInt = Field(default=1000, description="how many drawings of each class are used")

    def addresses(self) -> Sequence[Remote]:
        """A file for each class."""
        return [Remote(f"quickdraw/{name}.npy", f"{STORE}/{quote(name)}.npy") for name in _classes()]

    def paths(self) -> list[Path]:
        """A file for each class."""
        return [self.find(f"quickdraw/{name}.npy") for name in _classes()]

    def read(self) -> Reading:
        """The first drawings of every class."""
        arrays = [self._array(path)[: self.images_per_class] for path in self.paths()]
        images: Iterator[np.ndarray] = (image.reshape(28, 28) for array in arrays for image in array)
        return Reading(images, np.repeat(np.arange(len(arrays)), [len(array) for array in arrays]), _classes())

    def _array(self, path: Path) -> np.ndarray:
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{self.title}: '{path}' is damaged: {error}") from None
        if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != 784:
            found = f"{array.dtype} of shape {array.shape}"
            raise UserError(f"{self.title}: '{path}' holds {found}; needed is uint8 of shape (n, 784)")
        return array


def _classes() -> list[str]:
    return sorted(name for part in pinned(QuickDraw.split_file).values() for name in part)
