"""The files of cells as the file system tells them, without reading any."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from metagap import digests


class Stat(NamedTuple):
    """What the file system knows of a file: nanoseconds are by its own clock."""

    size: int
    modified: int
    changed: int
    inode: int


@dataclass(frozen=True)
class CellFiles:
    """The files of a cell, by their paths in its folder; hidden ones, such as locks, do not belong to it."""

    folder: Path
    stats: dict[str, Stat]

    @cached_property
    def name(self) -> str:
        """The path in the suite's folder."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @cached_property
    def markers(self) -> list[str]:
        """The names of its markers."""
        return sorted(name for name in self.stats if name.startswith("done-") and name.endswith(".json"))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(stat.size for stat in self.stats.values())

    @cached_property
    def whole(self) -> str:
        """The signature of all files."""
        return self.signature(*self.stats)

    def signature(self, *names: str) -> str:
        """A digest of what the file system knows of these files: another one where one was changed."""
        return digests.of_text(repr([(name, *self.stats.get(name, ())) for name in sorted(names)]))[:32]

    def newest(self, *names: str) -> int:
        """When one of these files, or of all, was last changed, in nanoseconds."""
        stats = [stat for name, stat in self.stats.items() if not names or name in names]
        return max((max(stat.modified, stat.changed) for stat in stats), default=0)


def files_of(folder: Path, deep: bool = True) -> CellFiles:
    """The files of one cell; none where there is no such folder. deep: those in folders below it, too."""
    found: dict[str, Stat] = {}
    _add(found, str(folder), "", deep)
    return CellFiles(folder, found)


def cells_of(suite: Path) -> list[Path]:
    """The folder of every cell below a suite's, in the order of their paths."""
    return [Path(cell) for label in _folders(str(suite)) for cell in _folders(label)]


def clock(folder: Path) -> int:
    """The time by the clock of a folder's file system, in nanoseconds; 0 where nothing can be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return 0


def _add(found: dict[str, Stat], folder: str, above: str, deep: bool) -> None:
    """Add the files of a folder, which are called `above` and their name."""
    for entry in _entries(folder):
        try:
            if not entry.is_dir():
                stat = entry.stat()
                found[above + entry.name] = Stat(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
            elif deep:
                _add(found, entry.path, f"{above}{entry.name}/", deep)
        except OSError:  # it has gone meanwhile, or leads nowhere
            continue


def _folders(folder: str) -> list[str]:
    return sorted(entry.path for entry in _entries(folder) if entry.is_dir())


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return [entry for entry in found if entry.name[0] != "."]
    except OSError:
        return []
