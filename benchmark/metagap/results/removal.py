"""What is taken out of the store: cells, variants, failures, files that were set aside; never a file of anyone else."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metagap.errors import UserError
from metagap.registry import suggest
from metagap.results import lease
from metagap.results.cells import ASIDE, cells, is_ours, suites
from metagap.results.failures import RECORD, TRACEBACK, failures
from metagap.results.markers import known_files, read_marker

MARKER = "done-*.json"


@dataclass(frozen=True)
class Removal:
    """What is to be removed of a folder. kept: how many other files of metagap's stay there, for other variants."""

    folder: Path
    files: tuple[Path, ...]
    kept: int = 0

    @property
    def bytes(self) -> int:
        """How many they take."""
        return sum(path.stat().st_size for path in self.files)


def plan(
    results: Path,
    suite: str,
    variant: str | None = None,
    algorithms: Collection[str] = (),
    seeds: Collection[int] = (),
    failed: bool = False,
    aside: bool = False,
) -> list[Removal]:
    """What there is to remove of a suite: of this variant, these algorithms and seeds, where they are given.

    failed: cells that failed, and only the record of the failure where another variant has the cell. aside: files that
    were set aside, and nothing else. Raises UserError where there is no such suite, variant, algorithm or seed, or a
    marker is damaged, so that it is not known which files are shared.
    """
    (folder,) = suites(results, suite)
    every = list(cells(folder))
    _known("--algorithm", algorithms, [cell.parent.name for cell in every])
    _known("--seed", [str(seed) for seed in seeds], [cell.name.partition("-")[0] for cell in every])
    if variant is not None:
        there = [path.stem.removeprefix("done-") for path in folder.glob(f"*/*/{MARKER}")]
        _known("--variant", [variant], [*there, *(one.variant for one in failures(folder))])
    chosen = [
        cell
        for cell in every
        if (not algorithms or cell.parent.name in algorithms)
        and (not seeds or int(cell.name.partition("-")[0]) in seeds)
    ]
    broken = {(one.label, f"{one.seed}-{one.hash}") for one in failures(folder) if variant in (None, one.variant)}
    found = []
    for cell in chosen:
        ours = [path for path in sorted(cell.rglob("*")) if path.is_file() and _is_ours(cell, path)]
        if aside:
            files = [path for path in ours if ASIDE.fullmatch(path.name)]
        elif failed:
            has_failed, is_done = (cell.parent.name, cell.name) in broken, any(cell.glob(MARKER))
            files = [path for path in ours if has_failed and (not is_done or path.name in (RECORD, TRACEBACK))]
        else:
            files = ours if variant is None else _of_variant(cell, variant, ours)
        if files:
            found.append(Removal(cell, tuple(files), len(ours) - len(files)))
    own = folder / "own.json"
    if not (variant or algorithms or seeds or failed or aside) and own.is_file():
        found.append(Removal(folder, (own,)))
    return found


def remove(planned: Sequence[Removal]) -> Iterator[lease.HeldError]:
    """Remove what was planned, markers first, so that what is half removed is not taken for done; then empty folders.

    Gives the errors of cells that somebody has in work, which are left alone. Raises UserError for a file that cannot
    be removed.
    """
    for one in planned:
        try:
            if any(path.name == "own.json" for path in one.files):
                _unlink(one.files)
            else:
                with lease.hold(one.folder):
                    _unlink(one.files)
        except lease.HeldError as error:
            yield error
            continue
        for folder in [*sorted((path for path in one.folder.glob("*") if path.is_dir()), reverse=True), one.folder]:
            _tidy(folder)
        if one.folder.parent.name and not any(path.name == "own.json" for path in one.files):
            for folder in (one.folder.parent, one.folder.parent.parent):
                _tidy(folder)


def _of_variant(cell: Path, variant: str, ours: Sequence[Path]) -> list[Path]:
    """The files of a cell that are of this variant alone."""
    markers: dict[str, dict[str, Any] | None] = {
        path.stem.removeprefix("done-"): read_marker(path) for path in sorted(cell.glob(MARKER))
    }
    if variant not in markers:
        return []
    others = [marker for name, marker in markers.items() if name != variant]
    if not others:
        return list(ours)
    if None in [*others, markers[variant]]:
        raise UserError(f"'{cell}' has markers of a format that this version does not know: which files are shared?")
    shared = {name for marker in others for name in known_files(marker or {})}
    gone = {*known_files(markers[variant] or {}), f"done-{variant}.json"} - shared
    return [path for path in ours if path.relative_to(cell).as_posix() in gone]


def _known(option: str, asked: Collection[str], there: Collection[str]) -> None:
    if unknown := [one for one in asked if one not in there]:
        raise UserError(f"{option} '{unknown[0]}': no such results{suggest(unknown[0], sorted(set(there)))}")


def _is_ours(cell: Path, path: Path) -> bool:
    return not path.is_symlink() and is_ours(path.relative_to(cell).as_posix())


def _unlink(files: Sequence[Path]) -> None:
    for path in sorted(files, key=lambda path: not path.name.startswith("done-")):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"'{path}' cannot be removed: {error.strerror or error}") from None


def _tidy(folder: Path) -> None:
    with suppress(OSError):  # others have files there
        folder.rmdir()
