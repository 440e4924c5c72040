"""Decoding a user's image files, which may be of any kind, into small 8-bit images."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from metagap.errors import UserError
from metagap.tasks.sources.archives import Archive
from metagap.tasks.sources.arrays import read_npy
from metagap.tasks.sources.brightness import Levels, Rules, Survey, decoded
from metagap.tasks.sources.pictures import Box, ahead

SUFFIXES = {
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx", ".mpo", ".npy",
    ".pbm", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp",
}  # fmt: skip
"""Of files that are read as images, in lower case: what Pillow can read, and arrays."""


class Decoder:
    """Gives the small images of files, as `gathered` asks for them.

    Images of 8 bits without transparency are decoded one by one. The first other one has all of the set looked at, for
    its levels are those of the whole set.
    """

    def __init__(
        self,
        called: str,
        archive: Archive,
        files: Sequence[str],
        size: int,
        channels: int,
        rules: Rules,
        notes: list[str],
    ):
        self._called, self._archive, self._files, self._rules, self._notes = called, archive, set(files), rules, notes
        self._side, self._mode = (size, size), "L" if channels == 1 else "RGB"
        self._lock = threading.Lock()
        self._levels: Levels | UserError | None = None
        self._framed: list[str] = []

    def __call__(self, data: bytes, name: str, boxes: Sequence[Box | None]) -> list[np.ndarray]:
        """The image in a file, squeezed to a square; boxes are not looked at. Raises anything where it is damaged."""
        array, plain = self._array(data, name)
        if not plain:
            array = self.levels.scaled(array)
        if array.ndim == 3 and array.shape[2] == 4:
            array = self.levels.flattened(array)
        small = Image.fromarray(array).convert(self._mode).resize(self._side, Image.Resampling.BILINEAR)
        return [np.asarray(small)]

    @property
    def levels(self) -> Levels:
        """Those of the whole data set, which is read for it once."""
        with self._lock:
            if self._levels is None:
                try:
                    self._levels = self._look()
                except UserError as error:
                    self._levels = error
        if isinstance(self._levels, UserError):
            raise self._levels
        return self._levels

    def _look(self) -> Levels:
        survey = Survey()
        for array, plain in ahead(self._looked_at, self._archive.read(self._files, {})):
            if array is None:
                continue
            if not plain:
                survey.numbers(array)
            if array.ndim == 3 and array.shape[2] == 4:
                survey.transparency(array)
        levels = survey.levels(self._called, self._rules)
        self._notes += survey.notes(levels)
        return levels

    def _looked_at(self, file: tuple[str, bytes]) -> tuple[np.ndarray | None, bool]:
        name, data = file
        try:
            return self._array(data, name, first=False)
        except Exception:  # it is reported when the file is decoded
            return None, True

    def _array(self, data: bytes, name: str, first: bool = True) -> tuple[np.ndarray, bool]:
        if PurePosixPath(name).suffix.lower() == ".npy":
            return read_npy(data), False
        with Image.open(io.BytesIO(data)) as image:
            if first and image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
                self._note_frames(name)
            return decoded(image)

    def _note_frames(self, name: str) -> None:
        """Of a photograph's file (MPO) the other frames are previews, and nobody misses them."""
        with self._lock:
            if note := self._framed_note():
                self._notes.remove(note)
            self._framed.append(name)
            self._notes.append(self._framed_note())

    def _framed_note(self) -> str:
        count = len(self._framed)
        files = "one file holds" if count == 1 else f"{count} files hold"
        return f"{files} several frames, of which the first counts" if count else ""
