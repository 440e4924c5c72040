"""The folders of the store: which are suites and cells, and which files in them are metagap's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from metagap.errors import UserError
from metagap.files import folder_name
from metagap.registry import suggest

CELL = re.compile(r"\d+-[0-9A-Za-z]+")
OURS = re.compile(
    r"(config|environment|attempts|failed|done-[^/]+)\.json|(checkpoint|again)\.pt|curve\.parquet|traceback\.txt|log\.txt(\.1)?"
    r"|(evaluation|along|quantities)/[^/]+\.(parquet|npz|json)|snapshots/\d+\.pt"
)
"""What a file of a cell is called, by its path in the cell's folder."""
ASIDE = re.compile(r"(.+)\.damaged(-\d+)?")
"""What `set_aside` makes of a name."""
TEMPORARY = re.compile(r"((?:[^/]+/)?)\.(.+)\.\w{8}")
"""What a file is called while it is written."""


def suites(results: Path, suite: str | None = None) -> list[Path]:
    """The folders of all suites in the store, or of this one; raises UserError where there is no such store or suite.

    suite: its name, or the path of its file.
    """
    if not results.is_dir():
        raise UserError(f"--results '{results}' is not a folder")
    found = [path for path in sorted(results.iterdir()) if (path / "own.json").is_file() or any(cells(path))]
    if suite is None:
        return found
    name = folder_name(Path(suite).stem if suite.endswith(".toml") else suite, "SUITE")
    if name not in (names := [path.name for path in found]):
        raise UserError(f"no results of suite '{name}' in '{results}'{suggest(name, names) if names else ''}")
    return [results / name]


def cells(suite: Path) -> Iterator[Path]:
    """The folders of all cells of a suite's folder, finished or not."""
    for path in sorted(suite.glob("*/*")):
        if CELL.fullmatch(path.name) and path.is_dir():
            yield path


def is_ours(name: str) -> bool:
    """Whether a file of a cell's folder is metagap's, by its path there, set aside or half written too."""
    if aside := ASIDE.fullmatch(name):
        name = aside[1]
    elif temporary := TEMPORARY.fullmatch(name):
        name = temporary[1] + temporary[2]
    return name == ".lock" or bool(OURS.fullmatch(name))


def label_of(cell: Path) -> str:
    """A cell in words, by its folder."""
    return f"{cell.parent.name} seed {cell.name.partition('-')[0]}"
