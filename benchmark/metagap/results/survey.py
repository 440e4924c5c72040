"""The finished cells of a suite, and what is wrong with them, without reading what they recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metagap.results.files import DamagedError
from metagap.results.index import Index, Marked, index_of
from metagap.results.markers import CLASSES, ROLLOUTS, check_file, read_config
from metagap.results.scan import CellFiles
from metagap.results.training import recorded_beside


@dataclass(frozen=True)
class Survey:
    """The markers below a folder: those to be read, what is wrong with others, and how many have another format."""

    found: list[Marked] = field(default_factory=list)
    damaged: dict[Path, DamagedError] = field(default_factory=dict)
    ignored: list[Path] = field(default_factory=list)

    @property
    def earlier(self) -> list[Marked]:
        """Those that an earlier version of metagap wrote."""
        return [one for one in self.found if one.is_earlier]

    @property
    def notes(self) -> list[str]:
        """What whoever runs the suite should know of these."""
        if not self.earlier:
            return []
        return [
            f"{len(self.earlier)} cells of this suite are of an earlier version of metagap, which did not know "
            "revisions of the code. They are kept (metagap results list), and run again by this version."
        ]


def survey(folder: Path) -> Survey:
    """The markers of a suite's folder, the last that was finished last."""
    with index_of(folder) as index:
        return survey_of(index, index.cells())


def survey_of(index: Index, cells: Sequence[CellFiles]) -> Survey:
    """The same of these cells, by an index that is at hand."""
    seen = Survey()
    for files in cells:
        for name in files.markers:
            path = files.folder / name
            try:
                one = index.marked(files, name)
            except DamagedError as error:
                seen.damaged[path] = error
                continue
            if one is None:
                seen.ignored.append(path)
            else:
                seen.found.append(one)
    seen.found.sort(key=lambda one: one.finished)
    return seen


def damage_in(one: Marked, index: Index) -> str:
    """What is wrong with the files of a finished cell, samples and classes included; they are read unless they are
    known to be whole."""

    def look() -> str:
        try:
            return damage_of(one.path.parent, one.marker, samples=True)
        except DamagedError as error:
            return str(error)

    return index.damage(one, look)


def damage_of(folder: Path, marker: dict[str, Any], samples: bool = False) -> str:
    """What is wrong with the files of a finished cell, and with its samples and classes; empty where nothing is."""
    stems = [f"evaluation/{stem}" for stem in marker["files"].values()]
    names = ["environment.json", "curve.parquet", *(f"{stem}.parquet" for stem in stems)]
    if samples:
        names += [f"{stem}.npz" for stem in stems if (folder / f"{stem}.npz").is_file()]
        names += [
            name
            for stem in stems
            for ending in (CLASSES, ROLLOUTS)
            if (name := f"{stem}{ending}") in marker.get("sha256", {})
        ]
    names += recorded_beside(marker)
    try:
        read_config(folder, marker)
        for name in names:
            check_file(folder, marker, name)
    except DamagedError as error:
        return str(error)
    return ""
