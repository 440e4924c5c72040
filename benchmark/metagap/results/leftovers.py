"""What killed processes left half written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from metagap.results import lease
from metagap.results.scan import clock
from metagap.writing import TEMPORARY

OLD = 3600 * 10**9
"""Nanoseconds after which nobody writes a file any more."""


def sweep(folder: Path, mine: bool = False) -> list[Path]:
    """Remove the temporary files of killed processes below a folder; returns their paths.

    mine: this process has the lease on the folder, so that nobody else writes there. Otherwise a file that is younger
    than an hour, or lies in a cell that a living process has in work, may be in the hands of its writer, and stays.
    """
    now = clock(folder)
    removed = []
    for path in _temporary(folder, mine):
        with suppress(OSError):
            if mine or path.stat().st_mtime_ns < now - OLD:
                path.unlink()
                removed.append(path)
    return removed


def _temporary(folder: Path, mine: bool) -> Iterator[Path]:
    held = None if mine else lease.read(folder)
    if held is not None and not held.is_dead:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith("."):
                yield from _temporary(Path(entry.path), mine)
        elif TEMPORARY.fullmatch(entry.name):
            yield Path(entry.path)
