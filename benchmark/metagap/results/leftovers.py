"""What killed processes left half done: files that were being written, leases on their way, unpacked archives."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from metagap.results import lease
from metagap.results.scan import clock
from metagap.writing import TEMPORARY

OLD = 3600 * 10**9
"""Nanoseconds after which nobody writes a file any more."""
IMPORTING = ".importing-"
"""What the name of a folder begins with in which an archive is unpacked."""
FOLDERS = re.compile(rf"{re.escape(lease.NAME)}-[0-9a-f]{{16}}|{re.escape(IMPORTING)}[a-z0-9_]{{8}}")


def sweep(folder: Path, mine: bool = False) -> list[Path]:
    """Remove what killed processes left below a folder, temporary files and folders; returns their paths.

    mine: this process has the lease on the folder, so that nobody else writes files there. Otherwise one that is
    younger than an hour, or lies in a cell that a living process has in work, may be in the hands of its writer, and
    stays; so does a folder in which anything is younger.
    """
    now = clock(folder)
    removed = []
    for path in _left(folder, mine):
        with suppress(OSError):
            if path.is_dir():
                if _newest(path) >= now - OLD:
                    continue
                shutil.rmtree(path)
            elif mine or path.stat().st_mtime_ns < now - OLD:
                path.unlink()
            else:
                continue
            removed.append(path)
    return removed


def _left(folder: Path, mine: bool) -> Iterator[Path]:
    held = None if mine else lease.read(folder)
    if held is not None and not held.is_dead:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            if TEMPORARY.fullmatch(entry.name):
                yield Path(entry.path)
        elif not entry.name.startswith("."):
            yield from _left(Path(entry.path), mine)
        elif FOLDERS.fullmatch(entry.name):
            yield Path(entry.path)


def _newest(folder: Path) -> int:
    """When anything in a folder was last changed, in nanoseconds."""
    return max(path.lstat().st_mtime_ns for path in (folder, *folder.rglob("*")))
