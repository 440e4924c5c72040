"""Writing a file at one go."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")
"""What a file is called while it is written: `.NAME.` and eight characters."""


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file, or make it with its folders, so that nobody ever finds half of it, a crash or not.

    Raises OSError where it cannot be written, as on a full disk; what was there before is there still.
    """
    with writing(path) as file:
        file.write(data)


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """The same for what is written piece by piece: the file takes its place when the context ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
