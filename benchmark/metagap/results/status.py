"""How far suites are: what is done, running, failed and waiting of each of their variants."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from metagap.errors import UserError
from metagap.results import lease
from metagap.results.failures import RECORD, Failed, failures, minute
from metagap.results.index import Index, Marked, index_of
from metagap.results.listing import difference
from metagap.results.own import read_own
from metagap.results.scan import CellFiles
from metagap.results.survey import damage_in, survey_of

CELL = re.compile(r"\d+-[0-9a-f]+")
"""What the folder of a cell is called."""


def status(results: Path, suite: str | None = None) -> list[dict[str, Any]]:
    """A row for each variant of each suite below the folder `results`, or of one suite: its own one first.

    `running` and `failed` hold a table for each cell; `waiting` counts the cells that the suite has as it was last
    asked for, which are none of these; None: of a variant that is not its own that is not known. Raises UserError
    where there is nothing to tell of.
    """
    if not results.is_dir():
        raise UserError(f"--results '{results}' is not a folder")
    if suite is not None and not (results / suite).is_dir():
        raise UserError(f"there is nothing of suite '{suite}' in '{results}'; `metagap run {suite}` begins it")
    folders = [results / suite] if suite else [one for one in sorted(results.iterdir()) if one.is_dir()]
    return [row for folder in folders if not folder.name.startswith(".") for row in _suite(folder)]


def _suite(folder: Path) -> list[dict[str, Any]]:
    with index_of(folder) as index:
        return list(_variants(folder, index))


def _variants(folder: Path, index: Index) -> Iterator[dict[str, Any]]:
    planned, files = _planned(folder), index.cells()
    seen, files = survey_of(index, files), [one for one in files if CELL.fullmatch(one.folder.name)]
    running = {one.folder: held for one in files if (held := _lease(one.folder)) is not None}
    failed = failures(folder) if any(RECORD in one.stats for one in files) else []
    finished: dict[str, list[Marked]] = {name: [] for name in planned}
    for one in reversed(seen.found):  # the variant that was finished last comes first, after the suite's own
        finished.setdefault(one.head.variant, []).append(one)
    of = _belonging(files, planned, finished, failed)
    usual = next((cells for cells in finished.values() if cells), [])
    for variant in dict.fromkeys([*finished, *(name for names in of.values() for name in names)]):
        cells = finished.get(variant, [])
        done = {one.hash: one for one in cells if not damage_in(one, index)}
        here = [one for one in files if variant in of[one.folder]]
        working = [_working(one, running[one.folder]) for one in here if one.folder in running]
        busy = {one["hash"] for one in working}
        own = [
            one
            for one in failed
            if variant == one.variant or (not one.variant and one.hash in planned.get(variant, ()))
        ]
        since = [one for one in own if one.hash not in done or done[one.hash].finished < one.when]
        broken = [one for one in since if one.hash not in busy]
        left = planned.get(variant, frozenset()) - done.keys() - busy - {one.hash for one in broken}
        yield {
            "suite": folder.name,
            "variant": variant,
            "differs": "" if variant in planned else difference(usual, cells) if cells else "not known yet",
            "done": len(done),
            "running": working,
            "failed": [_failure(one) for one in broken],
            "waiting": len(left) if variant in planned else None,
            "damaged": len(cells) - len(done) + sum(path.name == f"done-{variant}.json" for path in seen.damaged),
            "bytes": sum(one.size for one in here),
        }


def _planned(folder: Path) -> dict[str, Collection[str]]:
    """The hashes of the cells of the suite as its file has it, by variant: several of a sweep."""
    own = read_own(folder)
    if own is None:
        return {}
    return {one.variant: one.hashes for one in own.sweep.members} if own.sweep else {own.variant: own.hashes}


def _belonging(
    files: list[CellFiles],
    planned: Mapping[str, Collection[str]],
    finished: Mapping[str, list[Marked]],
    failed: list[Failed],
) -> dict[Path, set[str]]:
    """The variants that each cell is of, by its folder; an empty one where that is not known."""
    known: dict[str, set[str]] = {}
    hashes = [(variant, one) for variant, some in planned.items() for one in some]
    hashes += [(variant, one.hash) for variant, cells in finished.items() for one in cells]
    for variant, one in [*hashes, *((one.variant, one.hash) for one in failed if one.variant)]:
        known.setdefault(one, set()).add(variant)
    return {one.folder: known.get(_hash(one), {""}) for one in files}


def _hash(files: CellFiles) -> str:
    return files.folder.name.partition("-")[2]


def _lease(folder: Path) -> lease.Lease | None:
    """The lease of a living process on a cell."""
    if not (folder / lease.NAME).is_dir():  # as of nearly all, and quicker than to look inside
        return None
    with suppress(OSError):
        held = lease.read(folder)
        return None if held is None or held.is_dead else held
    return None


def _working(files: CellFiles, held: lease.Lease) -> dict[str, Any]:
    left = (held.total - held.done) / held.rate if held.rate > 0 else None
    return {
        "label": files.folder.parent.name,
        "seed": int(files.folder.name.partition("-")[0]),
        "hash": _hash(files),
        "host": held.host,
        "pid": held.pid,
        "since": held.since,
        "phase": held.phase,
        "done": held.done,
        "total": held.total,
        "rate": held.rate,
        "left": left,
        "silent": held.silent,
    }


def _failure(failed: Failed) -> dict[str, Any]:
    return {"label": failed.label, "seed": failed.seed, "hash": failed.hash, "when": minute(failed.when)} | {
        "kind": failed.kind,
        "reason": failed.reason,
        "place": failed.place,
        "traceback": str(failed.traceback or ""),
    }
