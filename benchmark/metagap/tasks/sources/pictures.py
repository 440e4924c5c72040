"""Data sets of image files: in archives or folders, by class, or with a table that says their classes."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
from PIL import Image
from pydantic import Field

from metagap.errors import UserError
from metagap.machine import count_cores
from metagap.tasks.image_store import Reading
from metagap.tasks.source import ImageSize
from metagap.tasks.sources.archives import Archive, Faults, opened
from metagap.tasks.sources.stored import StoredSource

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}

AHEAD = 64
"""Files that are read before their turn to be decoded has come."""

SHOWN = 10
"""Damaged files that a message names."""

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

    image_size: ImageSize = Field(default=84, description="images are squeezed to this many pixels a side")
    channels: Literal[1, 3] = Field(default=3, description="1 for grey, 3 for colour")

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
        return gathered(self.called, archives, found, self._crops)

    def crops(self, data: bytes, boxes: Sequence[Box | None], name: str) -> list[np.ndarray]:
        """The small images in an image file; name: the file in messages."""
        try:
            return self._crops(data, "", boxes)
        except Exception as error:
            raise UserError(f"{name} is not a readable image: {fault_of(error)}") from None

    def _crops(self, data: bytes, name: str, boxes: Sequence[Box | None]) -> list[np.ndarray]:
        with Image.open(io.BytesIO(data)) as image:
            return [self.decode(image.crop(box) if box else image) for box in boxes]


Crops = Callable[[bytes, str, Sequence[Box | None]], list[np.ndarray]]
"""Gives the small images in a file, from its content, its name and the boxes. It may raise anything."""


def gathered(title: str, archives: Sequence[Archive], found: Sequence[Picture], crops: Crops) -> Reading:
    """These pictures, decoded in the order of the archives; the classes in alphabetical order.

    Where files cannot be decoded the others still are, and then a UserError names all of them.
    """
    names = sorted({picture.label for picture in found})
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

    def images() -> Iterator[np.ndarray]:
        for archive, files in zip(archives, wanted, strict=True):
            faults: Faults = {}
            if files:  # none in a table of labels, perhaps
                boxes = {name: [found[i].box for i in files[name]] for name in files}
                for several in _decoded(archive, boxes, crops, faults):
                    yield from several
            if faults:
                raise UserError(f"{title}: {_unreadable(faults, len(files), archive.path)}")

    return Reading(images(), labels, names, np.array(order))


def _decoded(
    archive: Archive, boxes: dict[str, list[Box | None]], crops: Crops, faults: Faults
) -> Iterator[list[np.ndarray]]:
    """The images of each file that can be read; what is wrong with the others is put down."""

    def attempt(file: tuple[str, bytes]) -> list[np.ndarray]:
        name, data = file
        try:
            return crops(data, name, boxes[name])
        except UserError:
            raise
        except Exception as error:  # whatever the decoders think of
            faults[name] = fault_of(error)
            return []

    return ahead(attempt, archive.read(boxes, faults))


def fault_of(error: Exception) -> str:
    """What is wrong with a file, in words."""
    return str(error).partition(" <")[0] or type(error).__name__  # what is cut off is an address in memory


def _unreadable(faults: Faults, total: int, path: Path) -> str:
    files = sorted(faults)
    if len(files) == 1:
        return f"'{files[0]}' in '{path}' is not a readable image: {faults[files[0]]}"
    named = "; ".join(f"'{file}' ({faults[file]})" for file in files[:SHOWN])
    more = f"; and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return f"{len(files)} of {total} files in '{path}' are not readable images: {named}{more}"


def alphabetical(labels: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """The same classes in alphabetical order, in which those of image files are."""
    rank = np.argsort(np.argsort(np.array(names)))
    return rank[labels], sorted(names)


def images(archive: Archive) -> list[str]:
    """The names of the image files in it."""
    return [name for name in archive.names if PurePosixPath(name).suffix.lower() in SUFFIXES]


def ahead(function: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """`function` of each item, in order, by as many threads as there are cores: image codecs run side by side."""
    cores = count_cores()
    with ThreadPoolExecutor(cores) as pool:
        waiting: deque[Future[Out]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
