"""Files of the store: written atomically, their digests known, and checked when they are read."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from metagap import digests
from metagap.errors import FULL, NoRoomError, UserError
from metagap.memory import FREE
from metagap.results.lease import guard
from metagap.writing import write_whole

SEAL = b"\nmetagap sha256 "
"""What stands between the content of a sealed file and its digest."""


class DamagedError(UserError):
    """A file of the store that is not what was written."""


def write_bytes(path: Path, data: bytes) -> str:
    """Replace a file at one go, so that there is never half of one; returns its digest.

    Raises UserError where it cannot be written, NoRoomError for one on a full disk, and LostError where another process
    took over.
    """
    guard(path)
    try:
        write_whole(path, data)
    except OSError as error:
        kind = NoRoomError if error.errno in FULL else UserError
        raise kind(f"'{path}' cannot be written: {error.strerror or error}") from None
    return digests.of_bytes(data)


def write_json(path: Path, value: Any) -> str:
    """Write a plain value; returns the digest of the file."""
    return write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def write_signed(path: Path, value: dict[str, Any]) -> str:
    """Write a plain table with a digest of its own content, `digest`; returns the digest of the file."""
    return write_json(path, {**value, "digest": _content(value)})


def write_sealed(path: Path, data: bytes) -> str:
    """Write data with their digest behind them, which readers of zip files and so torch pass over."""
    return write_bytes(path, data + SEAL + digests.of_bytes(data).encode())


def read_bytes(path: Path, digest: str | None = None, most: int | None = None) -> bytes:
    """The content of a file; raises DamagedError where it is not that of the digest, or cannot be read."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe, for one, would be waited for
            raise DamagedError(f"'{path}' cannot be read: it is not a file")
        if most is not None and about.st_size > most:
            raise DamagedError(f"'{path}' cannot be read: it has {decimal(about.st_size)}; allowed: {decimal(most)}")
        data = path.read_bytes()
    except OSError as error:
        raise DamagedError(f"'{path}' cannot be read: {error.strerror or error}") from None
    if digest is not None and digests.of_bytes(data) != digest:
        raise DamagedError(f"'{path}' is damaged: it is not what was written, by its sha256")
    return data


def parsed(path: Path, digest: str | None, parse: Callable[[bytes], Any], most: int | None = None) -> Any:
    """What a file says; raises DamagedError where it is not that of the digest, or cannot be parsed."""
    data = read_bytes(path, digest, most)
    try:
        return parse(data)
    except Exception as error:  # a damaged file may raise anything
        raise DamagedError(f"'{path}' cannot be read: {error}") from None


def read_json(path: Path, digest: str | None = None) -> dict[str, Any]:
    """Read a plain table; raises DamagedError where it is damaged."""
    value = parsed(path, digest, json.loads, FREE)
    if not isinstance(value, dict):
        raise DamagedError(f"'{path}' cannot be read: it holds no table")
    return value


def read_signed(path: Path) -> dict[str, Any]:
    """Read a table written by `write_signed`; raises DamagedError where it is not what was written."""
    value = read_json(path)
    if value.pop("digest", None) != _content(value):
        raise DamagedError(f"'{path}' is damaged: it is not what was written, by its digest")
    return value


def read_sealed(path: Path) -> bytes:
    """Data written by `write_sealed`; raises DamagedError where they are not what was written."""
    data = read_bytes(path)
    content, seal, digest = data.rpartition(SEAL)
    if not seal:
        raise DamagedError(f"'{path}' is damaged, or was written by an older version: it ends without a digest")
    if digest.decode(errors="replace") != digests.of_bytes(content):
        raise DamagedError(f"'{path}' is damaged: it is not what was written, by its sha256")
    return content


def set_aside(path: Path) -> Path:
    """Rename a file that is of no use, so that nothing is lost; returns what it is called now."""
    guard(path)
    number, aside = 1, path.with_name(f"{path.name}.damaged")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    return path.rename(aside)


def _content(value: dict[str, Any]) -> str:
    return digests.of_value(value, sort_keys=True)
