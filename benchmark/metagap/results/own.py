"""Which results are those of a suite as its file says, and not of a variation of it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from metagap.results.files import DamagedError, read_signed, write_signed

if TYPE_CHECKING:
    from metagap.suite import Axis, Values

OWN = "own.json"


class Part(NamedTuple):
    """A member of a sweep: its values, its variant, and the hashes of its cells."""

    values: Values
    variant: str
    hashes: frozenset[str]


class Plan(NamedTuple):
    """The members of a sweep, and the key `reference` that they share."""

    axes: tuple[Axis, ...]
    members: tuple[Part, ...]
    reference: str


class Own(NamedTuple):
    """The variant of the suite as its file says, the hashes of its cells, and the key `reference` of the suite.

    The reference is no part of the variant: another one is taken with the same results.
    """

    variant: str
    """Empty for a sweep, whose members each have their own."""
    hashes: frozenset[str]
    reference: str | None = None
    """None: not recorded, by an earlier version."""
    sweep: Plan | None = None


def write_own(folder: Path, variant: str, hashes: Collection[str], reference: str = "") -> None:
    """Record, in a suite's folder of the store, what the suite's file said when it was last run.

    Cells of earlier runs, as of other seeds, are kept where they were finished.
    """
    known = read_own(folder)
    if known is not None and known.variant == variant:
        earlier = known.hashes - {*hashes}
        hashes = {*hashes, *(one for one in earlier if any(folder.glob(f"*/*-{one}/done-{variant}.json")))}
    if known != Own(variant, frozenset(hashes), reference):
        write_signed(folder / OWN, {"variant": variant, "hashes": sorted(hashes), "reference": reference})


def write_own_sweep(folder: Path, plan: Plan) -> Plan:
    """The same of a suite whose file is a sweep; returns it with the cells of earlier runs of these members."""
    known = read_own(folder)
    earlier = {one[:2]: one.hashes for one in known.sweep.members} if known is not None and known.sweep else {}
    members = [one._replace(hashes=one.hashes | earlier.get(one[:2], frozenset())) for one in plan.members]
    whole = plan._replace(members=tuple(members))
    if known is None or known.sweep != whole:
        parts = [{"values": v, "variant": variant, "hashes": sorted(hashes)} for v, variant, hashes in members]
        axes = [axis.model_dump() for axis in plan.axes]
        write_signed(folder / OWN, {"sweep": axes, "members": parts, "reference": plan.reference})
    return whole


def read_own(folder: Path) -> Own | None:
    """What was recorded; None where nothing was, or it is damaged."""
    try:
        known = read_signed(folder / OWN)
        if "sweep" in known:
            return Own("", frozenset(), known["reference"], _plan(known))
        return Own(known["variant"], frozenset(known["hashes"]), known.get("reference"))
    except (DamagedError, KeyError):
        return None


def _plan(known: dict[str, Any]) -> Plan:
    from metagap.suite import Axis  # slow to import; nearly all suites are no sweeps

    members = (Part(tuple(one["values"]), one["variant"], frozenset(one["hashes"])) for one in known["members"])
    return Plan(tuple(Axis(**axis) for axis in known["sweep"]), tuple(members), known["reference"])


def report_folder(out: Path, suite: str, variant: str, own: Own | None) -> Path:
    """Where the report of a variant goes: that of the suite as its file says has the suite's own folder."""
    return out / suite if own is None or variant == own.variant else out / suite / "variants" / variant
