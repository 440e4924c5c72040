"""Tiny data sets in the layouts of their publishers: files by name, and writers that pack them."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

Files = dict[str, bytes]


def picture(seed: int, size: int = 8, kind: str = "PNG", height: int = 0) -> bytes:
    """Noise in colour; the same for the same seed."""
    return encoded(np.random.default_rng(seed).integers(0, 256, (height or size, size, 3), dtype=np.uint8), kind)


def encoded(array: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    """(3, H, W), as a store holds an image that need not be resized."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def by_class(names: list[str], each: int = 2, pattern: str = "{name}/{i}.png", kind: str = "PNG", **form: int) -> Files:
    """`each` pictures for every class, all different."""
    return {
        pattern.format(name=name, i=i): picture(each * c + i, kind=kind, **form)
        for c, name in enumerate(names)
        for i in range(each)
    }


def write_folder(folder: Path, files: Files) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def write_zip(path: Path, files: Files) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def write_tar(path: Path, files: Files, mode: str = "w:gz") -> None:
    """In an order that is not the alphabetical one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, data in reversed(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def write_idx_pair(folder: Path, stem: str, images: np.ndarray, labels: np.ndarray, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in ((f"{stem}-images-idx3-ubyte", images), (f"{stem}-labels-idx1-ubyte", labels)):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
