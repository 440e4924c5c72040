"""Arrays in IDX files (LeCun et al.), packed by gzip or not, and the user's own pairs of images and labels in them."""

from __future__ import annotations

import re
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from metagap.errors import UserError
from metagap.tasks.sources.archives import Archive, gunzipped
from metagap.tasks.sources.arrays import Labelled, labelled, split
from metagap.tasks.sources.layout import few

TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""Of an array, by the number that a file has for it."""

IMAGES = re.compile(r"(?:^|(.*)[-_.])images[-_.]idx[34][-_.]ubyte(\.gz)?", re.IGNORECASE)
"""The name of a file of images, and what comes before."""


def read_idx(name: str, data: bytes, called: str) -> np.ndarray:
    """The array in a file. Raises UserError where it is damaged."""
    try:
        data = gunzipped(data, f"{called}: '{name}'") if name.lower().endswith(".gz") else data
        if data[:2] != bytes(2) or data[2] not in TYPES:
            raise ValueError("it does not begin as IDX files do")
        shape, head = np.frombuffer(data, ">u4", data[3], 4), 4 + 4 * data[3]
        found = np.frombuffer(data, TYPES[data[2]], offset=head).reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise UserError(f"{called}: '{name}' is damaged: {error}") from None
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def stems(names: list[str]) -> dict[str, str]:
    """The files of images, by what tells them apart; of a packed and an unpacked one, the unpacked."""
    found = {}
    for name in sorted(names, reverse=True):  # a.gz comes before a
        if about := IMAGES.fullmatch(PurePosixPath(name).name):
            found[about[1] or ""] = name
    return found


def beside(path: Path) -> list[Path]:
    """The file of labels next to one of images, where there is one; none for any other file."""
    names = [other.name for other in path.parent.iterdir()] if stems([path.name]) else []
    label = _labels(path.name, names)
    return [path.with_name(label)] if label else []


def read_pairs(archive: Archive, images: dict[str, str]) -> dict[str, Labelled]:
    """The images of these files, by part: "train" and "test" (or t10k) in their names are parts."""
    where = f"{archive.title}: '{archive.path}'"
    by_rest: dict[str, dict[str, str]] = {}
    for stem, file in images.items():
        part, rest = split(f"{stem}-images".replace("t10k", "test"))
        by_rest.setdefault(rest, {})[part] = file
    if len(by_rest) > 1:
        raise UserError(f"{where}: {few(images.values())} are of several data sets; allowed: name one file of images")
    pieces = {}
    for part, file in next(iter(by_rest.values())).items():
        label = _labels(file, archive.names)
        if label is None:
            raise UserError(f"{where}: next to '{file}' is no file of labels, such as '{_label(file)}'")
        data = dict(archive.read({file, label}))
        arrays = {key: read_idx(name, data[name], archive.title) for key, name in (("images", file), ("labels", label))}
        pieces[part] = labelled(arrays, f"{where}: '{file}'")
    return pieces


def _label(file: str) -> str:
    folder, _, name = file.rpartition("/")
    name = re.sub("idx[34]", "idx1", name.replace("images", "labels"))
    return f"{folder}/{name}" if folder else name


def _labels(file: str, names: list[str]) -> str | None:
    """The file of labels next to one of images, packed or not."""
    wanted = _label(file).removesuffix(".gz")
    return next((name for name in (wanted, f"{wanted}.gz") if name in names), None)
