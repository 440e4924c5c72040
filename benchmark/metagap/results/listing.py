"""What the store holds: a row for every variant of every suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from metagap.errors import UserError
from metagap.results.failures import failures, minute
from metagap.results.files import DamagedError
from metagap.results.index import Index, Marked, index_of
from metagap.results.own import read_own, report_folder
from metagap.results.survey import damage_in, survey_of

SHARED = ("task", "model", "source", "training_classes", "training", "evaluation", "splits")
"""What all cells of a variant have in common."""


def listing(results: Path, out: Path) -> list[dict[str, Any]]:
    """The variants below the folder `results`, the last that was finished first; `out` is where reports lie.

    Raises UserError where there is no such folder.
    """
    if not results.is_dir():
        raise UserError(f"--results '{results}' is not a folder")
    rows = [row for folder in sorted(results.iterdir()) if folder.is_dir() for row in _suite(folder, out)]
    return sorted(rows, key=lambda row: row["finished"], reverse=True)


def differences(usual: Any, other: Any, place: str = "") -> Iterator[str]:
    """In what one resolved suite differs from another, a text for each key: `training.iterations 400 → 20`."""
    if not place:
        usual, other = ({key: suite.get(key) for key in SHARED} for suite in (usual, other))
    if all(isinstance(value, list) and value and isinstance(value[0], dict) for value in (usual, other)):
        usual, other = ({entry.get("name", i): entry for i, entry in enumerate(value)} for value in (usual, other))
    if isinstance(usual, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*usual, *other]):
            yield from differences(usual.get(key), other.get(key), f"{place}.{key}".lstrip("."))
    elif usual != other:
        yield f"{place} {_brief(usual)} → {_brief(other)}"


def _brief(value: Any) -> str:
    return "–" if value is None else "…" if isinstance(value, dict) else str(value)


def _suite(folder: Path, out: Path) -> Iterator[dict[str, Any]]:
    with index_of(folder) as index:
        yield from _variants(folder, out, index)


def _variants(folder: Path, out: Path, index: Index) -> Iterator[dict[str, Any]]:
    seen, own, failed = survey_of(index, index.cells()), read_own(folder), failures(folder)
    # The variant that was finished last comes first, as in `read`.
    variants: dict[str, list[Marked]] = {one.head.variant: [] for one in reversed(seen.found)}
    for one in seen.found:
        variants[one.head.variant].append(one)
    if not variants:
        return
    usual = variants.get(own.variant if own else "") or next(iter(variants.values()))
    for variant, cells in variants.items():
        member = own and own.sweep and variant in {one.variant for one in own.sweep.members}
        page = (out / folder.name if member else report_folder(out, folder.name, variant, own)) / "index.html"
        folders = {one.path.parent: one.files.size for one in cells}
        markers = sum(path.name == f"done-{variant}.json" for path in seen.damaged)
        yield {
            "suite": folder.name,
            "variant": variant,
            "differs": difference(usual, cells),
            "done": len(cells),
            "failed": sum(one.variant == variant for one in failed),
            "damaged": markers + sum(bool(damage_in(one, index)) for one in cells),
            "finished": minute(cells[-1].finished),
            "bytes": sum(folders.values()),
            "report": str(page) if page.is_file() else "",
        }


def difference(usual: list[Marked], cells: list[Marked]) -> str:
    """In what the cells of a variant differ from those of the usual one; empty for the usual one itself."""
    earlier = ["an earlier version"] if all(one.is_earlier for one in cells) else []
    changes = [*differences(_suite_of(usual), _suite_of(cells)), *earlier]
    return "; ".join(changes) or ("" if cells is usual else "other data")


def _suite_of(cells: list[Marked]) -> dict[str, Any]:
    """The suite as the last of these cells was run; empty where no marker can be read any more."""
    for one in reversed(cells):
        with suppress(DamagedError):
            return one.marker["suite"]
    return {}
