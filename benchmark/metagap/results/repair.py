"""What is damaged is set aside, and everything that is good is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from metagap.results import lease
from metagap.results.files import set_aside
from metagap.results.verify import Checked, look_at, verify


@dataclass(frozen=True)
class Repaired:
    """A cell in which something was wrong. aside: what files are called now that they are set aside."""

    checked: Checked
    aside: dict[Path, Path]


def repair(results: Path, suite: str | None = None, dry_run: bool = False) -> Iterator[Repaired]:
    """Set aside the damaged files of the store, or of one suite; gives the cells with faults, and those in work.

    dry_run: nothing is changed, and `aside` is empty. Files that metagap did not write are not looked at. Raises
    UserError where there is no such store or suite, or it cannot be written.
    """
    for found in verify(results, suite):
        if found.busy:
            yield Repaired(found, {})
        elif found.faults:
            yield Repaired(found, {}) if dry_run else _repair(found)


def _repair(found: Checked) -> Repaired:
    is_cell = any(fault.path.name != "own.json" for fault in found.faults)
    try:
        with lease.hold(found.folder) if is_cell else nullcontext():
            checked = look_at(found.folder, mine=True) if is_cell else found
            aside = {fault.path: set_aside(fault.path) for fault in checked.faults if fault.is_damaged}
    except lease.HeldError as error:  # taken since it was looked at
        return Repaired(Checked(found.folder, busy=error.lease), {})
    return Repaired(checked, aside)
