"""Folders that torchmeta has made: HDF5 files of images with lists of classes in JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from pydantic import Field

from metagap.errors import UserError
from metagap.tasks.folders import data_folder, stamp
from metagap.tasks.image_store import Reading
from metagap.tasks.images import ImageStore
from metagap.tasks.source import ImageSource
from metagap.tasks.sources.layout import PARTS, few
from metagap.tasks.sources.pictures import ahead, fault_of

LAYOUT = "PART_data.hdf5 or data.hdf5, with PART_labels.json, where PART is train, val or test"


class Files(NamedTuple):
    """What a part is read from."""

    images: Path
    labels: Path


class TorchmetaFolder(ImageSource):
    """A data set as torchmeta has laid it on the disk, as `torchmeta:FOLDER`, such as `torchmeta:data/miniimagenet`.

    The folders are omniglot, miniimagenet, tieredimagenet, cub, doublemnist and triplemnist, and in the folder cifar100
    those of its splits, cifar-fs and fc100. Parts are torchmeta's. A relative path is looked up here, then in the data
    folder. Omniglot has white strokes on black.
    """

    licence = "that of the data set"
    citation = (
        "Deleu, Würfl, Samiei, Cohen, Bengio (2019), Torchmeta: A Meta-Learning library for PyTorch; the data set's"
    )
    named_by = "folder"
    about_parts = ImageSource.about_parts

    folder: str = Field(description=f"a folder that holds {LAYOUT}")
    vinyals: bool = Field(
        default=True, description="of Omniglot, the split of Vinyals et al.; else background and evaluation set"
    )

    @property
    def called(self) -> str:
        """As in a suite."""
        return f"torchmeta:{self.folder}"

    def stamp(self) -> Any:
        """That of all files."""
        return [stamp(path) for files in self._files().values() for path in files]

    def read(self) -> Reading:
        """All images, decoded one by one."""
        files, names, counts, parts = self._files(), [], [], []
        for part, (path, listed) in files.items():
            with self._opened(path) as data:
                for name in self._names(listed):
                    if (stored := _found(data, name)) is None:
                        raise UserError(f"{self.called}: '{listed}' names the class '{name}', which '{path}' lacks")
                    names.append(name)
                    counts.append(len(stored))
                    parts.append(part)
        if twice := {name for name in names if names.count(name) > 1}:
            raise UserError(f"{self.called}: {few(twice)} are in more than one of the parts {few(files)}; allowed: one")
        return Reading(self._images(files), np.repeat(np.arange(len(names)), counts), names, parts=parts)

    def parts(self, store: ImageStore) -> dict[str, list[int]]:
        """Those of the lists."""
        return {part: [i for i, own in enumerate(store.parts) if own == part] for part in PARTS if part in store.parts}

    def _images(self, files: dict[str, Files]) -> Iterator[np.ndarray]:
        for path, listed in files.values():
            with self._opened(path) as data:
                for name in self._names(listed):
                    try:
                        yield from ahead(_decoded, _found(data, name)[:])
                    except Exception as error:  # whatever the decoders think of
                        fault = f"an image of '{name}' in '{path}' cannot be read: {fault_of(error)}"
                        raise UserError(f"{self.called}: {fault}") from None

    def _names(self, listed: Path) -> list[str]:
        """The classes in a list, each a name or the parts of a path."""
        try:
            found = json.loads(listed.read_text(encoding="utf-8"))
            return ["/".join(one) if isinstance(one, list) else str(one) for one in found]
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{self.called}: '{listed}' is no list of classes: {error}") from None

    def _opened(self, path: Path) -> Any:
        try:
            import h5py  # pyright: ignore[reportMissingImports] - an extra
        except ImportError:
            raise UserError(f"{self.called}: '{path}' needs h5py: pip install 'metagap[hdf5]'") from None
        try:
            return h5py.File(path)
        except OSError as error:
            raise UserError(f"{self.called}: '{path}' is no readable HDF5 file: {error}") from None

    def _files(self) -> dict[str, Files]:
        """The files of each part that is there. Raises UserError where there is none."""
        for folder in (Path(self.folder).expanduser(), data_folder() / self.folder):
            if not (self.folder.strip() and folder.is_dir()):
                continue
            vinyals = "vinyals_" if self.vinyals and (folder / "vinyals_train_labels.json").is_file() else ""
            found = {}
            for part in PARTS:
                listed = folder / f"{vinyals}{part}_labels.json"
                places = (folder / f"{part}_data.hdf5", folder / "data.hdf5", folder.parent / "data.hdf5")
                if images := next((place for place in places if place.is_file() and listed.is_file()), None):
                    found[part] = Files(images, listed)
            if found:
                return found
            raise UserError(f"{self.called}: '{folder}' is not as torchmeta lays it; allowed: {LAYOUT}")
        raise UserError(f"{self.called}: there is no such folder, here or in '{data_folder()}' (--data)")


def _decoded(stored: np.ndarray) -> np.ndarray:
    """An image (H, W) or (H, W, 3): as it is stored, or decoded from the bytes of its file."""
    if stored.ndim > 1:
        return stored
    with Image.open(io.BytesIO(stored.tobytes())) as image:
        return np.asarray(image.convert("RGB"))


def _found(data: Any, name: str) -> Any:
    """The images of a class; None where there are none."""
    return data.get(f"datasets/{name}", data.get(name))
