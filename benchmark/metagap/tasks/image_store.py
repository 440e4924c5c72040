"""Decoded images kept between runs: a .npy file that is mapped into memory, next to a small JSON file of its classes.

Decoding goes image by image, so that a set larger than memory can be read; processes share the pages of the file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from rich.filesize import decimal

from metagap.errors import UserError
from metagap.progress import progress
from metagap.tasks.folders import cache_folder
from metagap.tasks.images import ImageStore, resize

FORMAT = 3
"""Changes when other pixels come of the same files, or another file is written of them."""
CHUNK = 256
"""Images that are resized together."""
HASH = 16
"""Bytes of the hash of an image."""
IN_MEMORY = 2**30
"""Bytes of decoded images that are kept in memory where the cache folder cannot take them."""


class Reading(NamedTuple):
    """What the files of a source hold. An array serves as `images` too, and a plain tuple as a Reading."""

    images: Iterable[np.ndarray]
    """n of (H, W) or (H, W, 3) uint8, decoded as they are asked for."""
    labels: np.ndarray
    """(n,) the class of each image, 0..len(names)-1."""
    names: list[str]
    """The classes."""
    order: np.ndarray | None = None
    """(n,) which image, by its place in `labels`, comes 1st, 2nd, ... out of `images`; None: in the order of labels."""
    parts: Sequence[str] = ()
    """(classes,) the part that each class is in; empty where the files do not say."""
    notes: Sequence[str] = ()
    """What a reader of results should know of these images. It is complete when all images are decoded."""


def load(key: str, title: str, read: Callable[[], Reading], size: int, channels: int) -> ImageStore:
    """The images of a source at `size` pixels a side, decoded once.

    key: names everything that the pixels depend on. Where another process decodes the same, this one waits for it. A
    cache folder that cannot be written to only costs time, as long as the images fit into `IN_MEMORY`; beyond that a
    UserError says how much room is needed.
    """
    path = cache_folder() / "banks" / f"{key}.npy"
    found = _opened(path)
    try:
        if found is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                found = _opened(path)  # by another process, meanwhile
                if found is None:
                    _write(path, title, Reading(*read()), size, channels)
                    found = _opened(path)
    except OSError as error:
        return _in_memory(path, title, Reading(*read()), size, channels, error)
    assert found is not None
    return found


def _opened(path: Path) -> ImageStore | None:
    """The store in this file, mapped; None where it is missing or damaged."""
    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return _store(np.load(path, mmap_mode="r"), about)
    except (OSError, EOFError, ValueError, KeyError):
        return None


def _store(images: np.ndarray, about: dict[str, Any]) -> ImageStore:
    size = torch.tensor(about["sizes"], dtype=torch.long)
    names, digests, parts, notes = (tuple(about[key]) for key in ("names", "digests", "parts", "notes"))
    with warnings.catch_warnings():  # nobody writes into a store, and the map would not let them
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        pixels = torch.from_numpy(images)
    start, turns = size.cumsum(0) - size, torch.zeros_like(size)
    return ImageStore(pixels, start, size, turns, names, digests=digests, parts=parts, notes=notes)


def _about(reading: Reading, hashes: np.ndarray) -> dict[str, Any]:
    """What is to be known of the images of a store besides their pixels, once they are decoded."""
    sizes = np.bincount(reading.labels, minlength=len(reading.names)).tolist()
    notes = [*reading.notes, *_duplicates(reading, hashes, sizes)]
    facts = {"names": reading.names, "parts": reading.parts, "notes": notes}
    return {"sizes": sizes, "digests": _digests(hashes, sizes)} | {key: list(value) for key, value in facts.items()}


def _duplicates(reading: Reading, hashes: np.ndarray, sizes: list[int]) -> list[str]:
    """A sentence on images that are in several parts, or where there are none, in several classes."""
    what, of = ("part", reading.parts) if len(reading.parts) else ("class", reading.names)
    order = np.unique(hashes.view(f"V{HASH}").ravel(), return_inverse=True)[1].ravel()
    classes = np.repeat(np.arange(len(sizes)), sizes)
    groups = np.unique(np.array(of, dtype=str), return_inverse=True)[1][classes]
    pairs = np.unique(np.stack([order, groups], 1), axis=0)
    several = np.flatnonzero(np.bincount(pairs[:, 0], minlength=1) > 1)
    if not len(several):
        return []
    first = [reading.names[c] for c in np.unique(classes[order == several[0]])[:2]]
    count = f"{len(several):,} exact image{'s' * (len(several) != 1)}"
    where = f"in more than one {what}, such as in {' and '.join(map(repr, first))}"
    return [f"{count} {'is' if len(several) == 1 else 'are'} {where}"]


def _write(path: Path, title: str, reading: Reading, size: int, channels: int) -> None:
    """Decode into a file next to `path`, which is renamed when it is whole. The JSON comes last: it says `finished`."""
    shape = (len(reading.labels), channels, size, size)
    part, index = path.with_suffix(".npy.part"), path.with_suffix(".json")
    try:
        with part.open("wb") as file:
            _refuse_full(path.parent, int(np.prod(shape)))
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            start, each = file.tell(), channels * size * size
            hashes = np.empty((shape[0], HASH), np.uint8)
            for rows, images in _decoded(title, reading, size, channels, hashes):
                _put(file, start + rows * each, images)
        part.replace(path)
        part.write_text(json.dumps(_about(reading, hashes), ensure_ascii=False), encoding="utf-8")
        part.replace(index)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _put(file: IO[bytes], offsets: np.ndarray, images: np.ndarray) -> None:
    """Write images to their places in the file; neighbours at once."""
    apart = np.flatnonzero(np.diff(offsets) != images[0].nbytes) + 1
    for first, run in zip(offsets[[0, *apart]], np.split(images, apart), strict=True):
        file.seek(first)
        file.write(run.tobytes())


def _in_memory(path: Path, title: str, reading: Reading, size: int, channels: int, error: OSError) -> ImageStore:
    shape = (len(reading.labels), channels, size, size)
    if (needed := int(np.prod(shape))) > IN_MEMORY:
        raise UserError(
            f"{title}: its decoded images take {decimal(needed)}, which '{path.parent}' cannot take "
            f"({error.strerror or error}); make room there, or name another cache folder in $XDG_CACHE_HOME"
        ) from None
    pixels = np.empty(shape, np.uint8)
    hashes = np.empty((shape[0], HASH), np.uint8)
    for rows, images in _decoded(title, reading, size, channels, hashes):
        pixels[rows] = images
    return _store(pixels, _about(reading, hashes))


def _digests(hashes: np.ndarray, sizes: list[int]) -> list[str]:
    """One for each class, of the hashes of its images in their order."""
    ends = np.cumsum(sizes)
    return [
        hashlib.blake2b(hashes[end - size : end].tobytes(), digest_size=HASH).hexdigest()
        for end, size in zip(ends, sizes, strict=True)
    ]


def _decoded(
    title: str, reading: Reading, size: int, channels: int, hashes: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Chunks of images (n, channels, size, size) uint8, with their rows (n,) in a store that is grouped by class.

    hashes (n, HASH): filled with that of each image as it is read. Resizing rounds otherwise on other processors, so it
    is no part of what the data are.
    """
    total, done = len(reading.labels), 0
    row = np.empty(total, np.int64)
    row[np.argsort(reading.labels, kind="stable")] = np.arange(total)
    if reading.order is not None:
        row = row[reading.order]
    with progress(f"decoding {title}", total) as advance:
        for _, alike in groupby(reading.images, key=np.shape):
            while chunk := list(islice(alike, CHUNK)):
                rows = row[done : done + len(chunk)]
                if len(rows) < len(chunk):
                    raise UserError(f"{title}: more images than its {total} labels")
                for at, image in zip(rows, chunk, strict=True):
                    shaped = hashlib.blake2b(repr(image.shape).encode(), digest_size=HASH)
                    shaped.update(np.ascontiguousarray(image).data)
                    hashes[at] = np.frombuffer(shaped.digest(), np.uint8)
                yield rows, resize(torch.from_numpy(np.stack(chunk)), size, channels).numpy()
                done += len(chunk)
                advance(len(chunk))
    if done < total:
        raise UserError(f"{title}: {done} images, but {total} labels")


def _refuse_full(folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, "no space left on device")
