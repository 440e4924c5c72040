"""What content is known by: SHA-256 in hexadecimal, of which a caller may keep the first digits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def of_bytes(data: bytes) -> str:
    """The digest of some bytes."""
    return hashlib.sha256(data).hexdigest()


def of_text(text: str) -> str:
    """The digest of a text, in UTF-8."""
    return of_bytes(text.encode())


def of_file(path: Path) -> str:
    """The digest of a file's bytes, however large it is. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_value(value: Any, *, sort_keys: bool = False) -> str:
    """The digest of a plain value, written as JSON. sort_keys: the order of keys in it does not matter."""
    return of_text(json.dumps(value, sort_keys=sort_keys))


def number(text: str) -> int:
    """A number below 2**56 that belongs to this text alone: a seed for random numbers."""
    return int(of_text(text)[:14], 16)
