"""Which results are those of a suite as its file says, and not of a variation of it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from metagap.results.files import DamagedError, read_signed, write_signed


class Own(NamedTuple):
    """The variant of the suite as its file says, the hashes of its cells, and the key `reference` of the suite.

    The reference is no part of the variant: another one is taken with the same results.
    """

    variant: str
    hashes: frozenset[str]
    reference: str | None = None
    """None: not recorded, by an earlier version."""


def write_own(folder: Path, variant: str, hashes: Collection[str], reference: str = "") -> None:
    """Record, in a suite's folder of the store, what the suite's file said when it was last run."""
    known = read_own(folder)
    if known is not None and known.variant == variant:
        hashes = {*known.hashes, *hashes}
    if known != Own(variant, frozenset(hashes), reference):
        write_signed(folder / "own.json", {"variant": variant, "hashes": sorted(hashes), "reference": reference})


def read_own(folder: Path) -> Own | None:
    """What was recorded; None where nothing was, or it is damaged."""
    try:
        known = read_signed(folder / "own.json")
        return Own(known["variant"], frozenset(known["hashes"]), known.get("reference"))
    except (DamagedError, KeyError):
        return None


def report_folder(out: Path, suite: str, variant: str, own: Own | None) -> Path:
    """Where the report of a variant goes: that of the suite as its file says has the suite's own folder."""
    return out / suite if own is None or variant == own.variant else out / suite / "variants" / variant
