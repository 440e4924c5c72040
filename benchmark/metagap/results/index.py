"""What is known of the finished cells of a suite without reading them again.

`<results>/<suite>/.index` is never the truth, which is in the cells. It says of a cell what its marker says in
brief, and that its files were whole, each with the signature that they had when they were verified by their digests: a
cell with another signature is read again. So nothing is lost without it, but time: where it is missing, damaged, of
another version, or cannot be written.

A clock of a file system may stand still for up to two seconds, in which a file can be changed once more with the same
signature. What was changed that shortly before it was verified is not remembered.

It is replaced as a whole, so that no reader needs a lock, which a file server may not have. Of two processes that write
at the same time one may lose what it has verified, which is verified once more then.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from metagap import digests
from metagap.errors import UserError
from metagap.results.files import DamagedError, read_sealed, write_sealed
from metagap.results.markers import FORMAT, read_config, read_marker
from metagap.results.own import OWN
from metagap.results.scan import CellFiles, cells_of, clock, files_of

NAME = ".index"
TICK = 2 * 10**9
"""Nanoseconds that the clock of a file system may stand still for."""


@dataclass(frozen=True)
class Head:
    """What a marker says in brief. splits: of each that was scored, the digest of its data. along: the splits that were
    scored along training. quantities: names."""

    label: str
    seed: int
    hash: str
    variant: str
    format: int
    finished: str
    """When the cell was finished, UTC; by the time of the file only where an earlier version did not write it down."""
    settings: str
    """A digest of what the cell is, but for its seed; empty where its configuration is damaged."""
    splits: dict[str, str | None]
    along: list[str]
    quantities: list[str]


VERSION = f"1 of markers {FORMAT}: {' '.join(field.name for field in fields(Head))}"
"""Of what the file holds, and of how cells are verified; of another one nothing is believed."""


@dataclass(frozen=True)
class Marked:
    """A finished cell: where its marker lies, what it says in brief, and the files that were there."""

    path: Path
    head: Head
    files: CellFiles

    @cached_property
    def marker(self) -> dict[str, Any]:
        """All that the marker says, read when it is first asked for; raises DamagedError where it is not whole."""
        found = read_marker(self.path)
        if found is None:
            raise DamagedError(f"'{self.path}' is gone, or of another format by now")
        return found

    @property
    def hash(self) -> str:
        """What the cell is known by."""
        return self.head.hash

    @property
    def finished(self) -> str:
        """When it was finished, UTC."""
        return self.head.finished

    @property
    def is_earlier(self) -> bool:
        """Whether an earlier version of metagap wrote it, which did not know revisions."""
        return self.head.format != FORMAT


class Index:
    """The index of one suite; made by itself, it is an empty one that is written nowhere."""

    def __init__(self, folder: Path | None = None):
        self._folder = folder
        self._entries = {} if folder is None else _load(folder)
        self._changes: dict[str, dict[str, Any] | None] = {}
        self._began: int | None = None
        self._files: dict[Path, CellFiles] = {}

    def files(self, cell: Path) -> CellFiles:
        """The files of a cell, by its folder, as they were when they were first asked for."""
        if cell not in self._files:
            self._files[cell] = files_of(cell)
        return self._files[cell]

    def cells(self) -> list[CellFiles]:
        """The files of all cells of the suite; what is known of others is forgotten."""
        if self._folder is None:
            return []
        found = [self.files(cell) for cell in cells_of(self._folder)]
        there = {f"{cell.name}/{name}" for cell in found for name in cell.markers}
        self._changes |= dict.fromkeys(self._entries.keys() - there)
        return found

    def marked(self, files: CellFiles, name: str) -> Marked | None:
        """The finished cell of a marker; None where there is none, or one of a format that is not known.

        Raises DamagedError as `read_marker` does.
        """
        if name not in files.stats:
            return None
        parts, path = (name, "config.json"), files.folder / name
        known = self._known(files, name)
        if known.get("signature") == (signature := files.signature(*parts)):
            return Marked(path, Head(**known["head"]), files)
        self._begin()
        head = _head(path)
        if head is None:
            return None
        if head.settings and self._is_settled(files.newest(*parts)):
            self._changes[f"{files.name}/{name}"] = {"signature": signature, "head": asdict(head), "whole": ""}
        return Marked(path, head, files)

    def damage(self, one: Marked, look: Callable[[], str]) -> str:
        """What is wrong with the files of a cell: nothing where they are those that were whole, else what `look` says.

        look: reads them all, and says what is wrong; empty where nothing is.
        """
        if self.is_whole(one):
            return ""
        self._begin()
        if damage := look():
            return damage
        known = self._known(one.files, one.path.name)
        if known and self._is_settled(one.files.newest()):
            self._changes[f"{one.files.name}/{one.path.name}"] = {**known, "whole": one.files.whole}
        return ""

    def is_whole(self, one: Marked) -> bool:
        """Whether its files are the very ones that were verified."""
        return self._known(one.files, one.path.name).get("whole") == one.files.whole

    def state(self) -> str:
        """What identifies everything that is in the suite's folder: another text when a file of it was changed."""
        own = "" if self._folder is None else files_of(self._folder, deep=False).signature(OWN)
        return digests.of_value([own, *([files.name, files.whole] for files in self.cells())])

    def save(self) -> None:
        """Write down what was verified, next to what others have written meanwhile."""
        if self._folder is None or not self._changes:
            return
        entries = {**_load(self._folder), **self._changes}
        content = {"version": VERSION, "cells": {key: known for key, known in entries.items() if known is not None}}
        with suppress(UserError):  # where it cannot be written
            write_sealed(self._folder / NAME, zlib.compress(json.dumps(content).encode(), 1))
        self._changes = {}

    def _known(self, files: CellFiles, name: str) -> dict[str, Any]:
        key = f"{files.name}/{name}"
        return self._changes.get(key) or self._entries.get(key, {})

    def _begin(self) -> None:
        """Note the time of the file system before anything is read."""
        if self._began is None:
            self._began = 0 if self._folder is None else clock(self._folder)

    def _is_settled(self, newest: int) -> bool:
        """Whether a later change is sure to give another signature."""
        return self._began is not None and newest < self._began - TICK


@contextmanager
def index_of(folder: Path) -> Iterator[Index]:
    """The index of a suite's folder, which is written in the end if there is something new."""
    index = Index(folder)
    try:
        yield index
    finally:
        index.save()


def _head(path: Path) -> Head | None:
    marker = read_marker(path)
    if marker is None:
        return None
    try:
        config = read_config(path.parent, marker)
        settings = digests.of_value({key: value for key, value in config.items() if key != "seed"}, sort_keys=True)
    except DamagedError:
        settings = ""
    finished = marker.get("finished") or datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
    data = marker.get("split_data", {})
    return Head(
        **{key: marker[key] for key in ("label", "seed", "hash", "variant", "format")},
        finished=finished,
        settings=settings,
        splits={name: data.get(name) for name in marker["files"]},
        along=[*marker.get("along", {})],
        quantities=[*marker.get("quantities", {})],
    )


def _load(folder: Path) -> dict[str, Any]:
    """What the file says, by the path of a marker; nothing where it cannot be believed."""
    try:
        content = json.loads(zlib.decompress(read_sealed(folder / NAME)))
        return content["cells"] if content["version"] == VERSION else {}
    except (DamagedError, zlib.error, ValueError, TypeError, KeyError):
        return {}
