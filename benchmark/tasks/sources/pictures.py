"""Data sets of image files: in archives or folders, by class, or with a table that says their classes."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
from PIL import Image
from pydantic import Field

from benchmark.errors import UserError
from benchmark.tasks.banks import Reading
from benchmark.tasks.source import ImageSize
from benchmark.tasks.sources.archives import Archive, opened
from benchmark.tasks.sources.stored import StoredSource

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}

AHEAD = 64
"""Files that are read before their turn to be decoded has come."""

Box = tuple[int, int, int, int]
"""Left, upper, right and lower edge, in pixels."""

In = TypeVar("In")
Out = TypeVar("Out")


class Picture(NamedTuple):
    """A labelled image in a file."""

    file: str
    """Its name in the archive."""
    label: str
    """The name of its class."""
    archive: int = 0
    """Which of the archives it is in."""
    box: Box | None = None
    """What counts of it; None: all."""


class Pictures(StoredSource):
    """An image source whose images are files. A subclass states facts; by default a class is a folder of images.

    Every image is squeezed to a square of `image_size` (bilinear with antialiasing), as few-shot benchmarks do.
    """

    places: ClassVar[Sequence[Sequence[str]]]
    """For each archive, where in the data folder it may lie, packed or as a folder; the first that is there is read."""

    image_size: ImageSize = Field(84, description="images are squeezed to this many pixels a side")
    channels: Literal[1, 3] = Field(3, description="1 for grey, 3 for colour")

    def paths(self) -> list[Path]:
        """The archives."""
        return [self.find(*candidates) for candidates in self.places]

    def pictures(self, archives: Sequence[Archive]) -> Iterable[Picture]:
        """All labelled images. Raises UserError where something is missing."""
        for i, archive in enumerate(archives):
            for name in images(archive):
                if label := self.label(name):
                    yield Picture(name, label, i)

    def label(self, name: str) -> str:
        """The class of the file of this name; empty for files that do not count."""
        return PurePosixPath(name).parent.name

    def decode(self, image: Image.Image) -> np.ndarray:
        """A small image (image_size, image_size) or (image_size, image_size, 3) uint8."""
        side = (self.image_size, self.image_size)
        return np.asarray(image.convert("L" if self.channels == 1 else "RGB").resize(side, Image.Resampling.BILINEAR))

    def read(self) -> Reading:
        """All images, decoded in the order of the archives, and ordered by class and name."""
        archives = [opened(path, self.called) for path in self.paths()]
        found = sorted(self.pictures(archives), key=lambda p: (p.label, p.archive, p.file, p.box or ()))
        if not found:
            raise UserError(f"{self.called}: no images in '{archives[0].path}'; allowed: {', '.join(sorted(SUFFIXES))}")
        names = sorted({picture.label for picture in found})
        self.check_classes(names)
        index = {name: i for i, name in enumerate(names)}
        wanted: list[dict[str, list[int]]] = [{} for _ in archives]
        for i, picture in enumerate(found):
            wanted[picture.archive].setdefault(picture.file, []).append(i)
        order = [
            i
            for archive, files in zip(archives, wanted, strict=True)
            for name in (archive.names if files else ())
            for i in files.get(name, ())
        ]
        labels = np.array([index[picture.label] for picture in found])
        return Reading(self._decoded(archives, wanted, found), labels, names, np.array(order))

    def _decoded(
        self, archives: list[Archive], wanted: list[dict[str, list[int]]], found: list[Picture]
    ) -> Iterator[np.ndarray]:
        for archive, files in zip(archives, wanted, strict=True):
            if not files:  # a table of labels, perhaps
                continue
            tasks = ((archive, name, data, [found[i].box for i in files[name]]) for name, data in archive.read(files))
            for several in ahead(self._crops, tasks):
                yield from several

    def _crops(self, task: tuple[Archive, str, bytes, list[Box | None]]) -> list[np.ndarray]:
        archive, name, data, boxes = task
        return self.crops(data, boxes, f"{self.called}: '{name}' in '{archive.path}'")

    def crops(self, data: bytes, boxes: Sequence[Box | None], name: str) -> list[np.ndarray]:
        """The small images in an image file; name: the file in messages."""
        try:
            with Image.open(io.BytesIO(data)) as image:
                return [self.decode(image.crop(box) if box else image) for box in boxes]
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            fault = str(error).partition(" <")[0]  # what follows is an address in memory
            raise UserError(f"{name} is not a readable image: {fault}") from None


def alphabetical(labels: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """The same classes in alphabetical order, in which those of image files are."""
    rank = np.argsort(np.argsort(np.array(names)))
    return rank[labels], sorted(names)


def images(archive: Archive) -> list[str]:
    """The names of the image files in it."""
    return [name for name in archive.names if PurePosixPath(name).suffix.lower() in SUFFIXES]


def ahead(function: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """`function` of each item, in order, by as many threads as there are cores: image codecs run side by side."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        waiting: deque[Future[Out]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
