"""Where downloaded data lie, and where what was made of them is kept between runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from metagap import digests
from metagap.errors import UserError
from metagap.writing import write_whole

DATA_VARIABLE = "METAGAP_DATA"


def data_folder() -> Path:
    """The folder of downloaded data: $METAGAP_DATA (which `--data` sets), else `data` in the user's cache folder."""
    chosen = os.environ.get(DATA_VARIABLE)
    return Path(chosen) if chosen else cache_folder() / "data"


def cache_folder() -> Path:
    """The user's cache folder: everything in it can be made again."""
    return user_cache_path("metagap")


def kept(kind: str, facts: Any, make: Callable[[], Any]) -> Any:
    """The plain values that `make()` gives, kept in the cache folder; facts: all that they depend on, plain values too.

    A cache folder that cannot be written to, or a damaged file in it, only costs time.
    """
    key = digests.of_value(facts)[:16]
    path = cache_folder() / kind / f"{key}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        made = make()
    with suppress(OSError):
        write_whole(path, json.dumps(made, ensure_ascii=False).encode())
    return made


def stamp(path: Path) -> list[Any]:
    """What changes with a file or folder: path, size, times and inode, or a digest of these of all files in it.

    Whoever writes into a file and sets its time back still changes the time of its last change of status. Raises
    UserError where a folder cannot be listed.
    """
    if path.is_file():
        return [str(path.resolve()), *_facts(path)]
    digest = hashlib.sha256()
    for file in _listed(path):
        digest.update(f"{path / file} {_facts(path / file)}\n".encode(errors="surrogateescape"))
    return [str(path.resolve()), digest.hexdigest()]


def content(path: Path) -> str:
    """A digest of the bytes of a file, or of the names and bytes of all files in a folder, wherever it lies.

    It is kept in the cache folder until the `stamp` changes, so that large files are read once. Raises UserError where
    something cannot be read.
    """
    return kept("contents", stamp(path), lambda: _content(path))


def _content(path: Path) -> str:
    try:
        if not path.is_dir():
            return digests.of_file(path)
        digest = hashlib.sha256()
        for file in _listed(path):
            if (path / file).is_file():
                digest.update(f"{file} {digests.of_file(path / file)}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()
    except OSError as error:
        raise UserError(f"'{error.filename or path}' cannot be read: {error.strerror or error}") from None


def _facts(path: Path) -> tuple[int, ...]:
    about = path.stat() if path.exists() else path.lstat()  # a link to nothing is told by whoever reads it
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(files_in(folder))
    except OSError as error:
        raise UserError(f"'{error.filename or folder}' cannot be read: {error.strerror or error}") from None


def files_in(folder: Path) -> list[str]:
    """The paths, seen from a folder and with slashes, of all in it that are no folders.

    Links are followed, but not into a folder that they lie in. Raises OSError where a folder cannot be listed.
    """
    found, waiting = [], [(str(folder), "", frozenset[tuple[int, int]]())]
    while waiting:
        place, name, above = waiting.pop()
        about = os.stat(place)  # noqa: PTH116 - once per folder
        here = (about.st_dev, about.st_ino)
        if here in above:
            continue
        with os.scandir(place) as entries:
            for entry in entries:
                if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():  # noqa: PTH112
                    waiting.append((entry.path, f"{name}{entry.name}/", above | {here}))
                else:
                    found.append(f"{name}{entry.name}")
    return found
