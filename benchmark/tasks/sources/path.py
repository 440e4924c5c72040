"""Images of the user's own, from a folder, an archive or an .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from pydantic import Field

from benchmark.errors import UserError
from benchmark.tasks.banks import Reading
from benchmark.tasks.folders import data_folder
from benchmark.tasks.images import ImageBank
from benchmark.tasks.source import ImageSize
from benchmark.tasks.sources.archives import opened
from benchmark.tasks.sources.pictures import SUFFIXES, Pictures, images

PARTS = ("train", "val", "test")
ARCHIVES = (".npz", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


class UserImages(Pictures):
    """Your own images, as `path:FOLDER` with a folder per class, `path:ARCHIVE` of such, or `path:FILE.npz`.

    A folder or archive may have sub-folders train, val and test with the classes of each part. An .npz file holds
    `images` (n, H, W) or (n, H, W, 3) uint8 with `labels` (n,), or `images` (classes, n, H, W); `class_names` may stand
    beside them. Where there are no parts, the classes are shuffled into them by `shares`. A relative path is looked up
    here, then in the data folder.
    """

    title = "path:"
    licence = "yours"
    citation = "yours"
    about_parts = Pictures.about_parts | {"shares", "split_seed"}

    path: str = Field(description="folder, archive (zip or tar) or .npz file")
    image_size: ImageSize = Field(28, description="images are resized to this many pixels a side")
    channels: Literal[1, 3] = Field(1, description="1 for grey, 3 for colour")
    invert: bool = Field(False, description="turn dark on light into light on dark")
    shares: tuple[float, float, float] = Field((0.6, 0.2, 0.2), description="shares of train, val and test classes")
    split_seed: int = Field(0, description="seed of the shuffle into parts")

    def paths(self) -> list[Path]:
        """The file or folder."""
        for path in (Path(self.path).expanduser(), data_folder() / self.path):
            if path.is_file() and path.suffix in ARCHIVES:
                return [path]
            if path.is_dir():
                if images(opened(path, self.called)):
                    return [path]
                raise UserError(f"{self.called}: no images in '{path}'; allowed: {', '.join(sorted(SUFFIXES))}")
        raise UserError(
            f"{self.called}: neither a folder of images nor an .npz file nor an archive, here or in "
            f"'{data_folder()}' (--data)"
        )

    @property
    def called(self) -> str:
        """As in a suite."""
        return f"path:{self.path}"

    def label(self, name: str) -> str:
        """The folder, with the part that it is in."""
        folder = PurePosixPath(name).parent
        label = folder.name or Path(self.path).name
        return f"{folder.parent.name}/{label}" if folder.parent.name in PARTS else label

    def read(self) -> Reading:
        """All images, from the file or the folder."""
        path = self.paths()[0]
        reading = self._from_npz(path) if path.suffix == ".npz" else super().read()
        return reading._replace(images=(255 - image for image in reading.images)) if self.invert else reading

    def parts(self, bank: ImageBank) -> dict[str, list[int]]:
        """The sub-folders train, val and test, or the shuffled shares."""
        if any("/" in name for name in bank.names):
            return {part: [i for i, name in enumerate(bank.names) if name.startswith(f"{part}/")] for part in PARTS}
        order = np.random.default_rng(self.split_seed).permutation(bank.class_count).tolist()
        train, val, _ = (round(share / sum(self.shares) * len(order)) for share in self.shares)
        return {"train": order[:train], "val": order[train : train + val], "test": order[train + val :]}

    def _from_npz(self, path: Path) -> Reading:
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
        return Reading(images, labels, names)
