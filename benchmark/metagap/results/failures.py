"""Cells that failed: recorded in their folders, so that reports and later runs can say so."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from metagap.errors import UserError
from metagap.results.files import DamagedError, read_signed, write_bytes, write_signed

RECORD, TRACEBACK = "failed.json", "traceback.txt"

KINDS = {
    "error": "an exception of the code, a plugin's for one",
    "environment": "a file, a package or the network was not as it has to be",
    "bad input": "what it was given cannot be used",
    "out of memory": "with a single task at a time",
    "no room": "a file could not be written",
    "killed": "its process was, from outside or by a crash",
    "timed out": "it took longer than --time-limit",
    "diverged": "the meta-parameters that it ended with are no numbers; its scores count as the worst",
    "not run": "the executor did not bring it to an end",
    "unknown": "the record of the failure is damaged",
}


class Failed(NamedTuple):
    """A cell that failed: what it is called, of which variant, when, why and where; and what is left of it."""

    label: str
    seed: int
    variant: str
    """Empty where that is not known."""
    when: str
    """UTC."""
    message: str
    traceback: Path | None = None
    """The file with it."""
    hash: str = ""
    """What its folder is called by, where it was read from there."""
    kind: str = "error"
    """One of `KINDS`."""
    phase: str = ""
    """What was being done: training, or the name of a split."""
    done: int = 0
    """How much of it, in iterations or episodes; it may be a little more."""
    total: int = 0
    checkpoint: int | None = None
    """The iteration of the last good checkpoint; None where there is none."""
    code: str = ""
    """A digest of metagap as it was then."""
    limit: float | None = None
    """The seconds that it was allowed, where it took longer."""

    @property
    def place(self) -> str:
        """Where it happened, such as `training, 120 of 4,000`; empty where that is not known."""
        return f"{self.phase}, {self.done:,} of {self.total:,}" if self.phase else ""

    @property
    def reason(self) -> str:
        """The first line of the message, cut where it is very long."""
        first = (self.message.strip().splitlines() or [""])[0]
        return first if len(first) <= 300 else f"{first[:300]} …"

    def __str__(self) -> str:
        where = f" ({self.kind} in {self.place})" if self.place else ""
        kept = f"; checkpoint: iteration {self.checkpoint:,}" if self.checkpoint is not None else ""
        return f"{self.reason}{where}{kept}{f'; traceback: {self.traceback}' if self.traceback else ''}"


def diverged(marker: Mapping[str, Any]) -> Failed | None:
    """The failure of a cell that is done, with scores of meta-parameters that are no numbers; None for any other."""
    record = marker["record"]
    if not record.get("lost"):
        return None
    return Failed(
        marker["label"],
        marker["seed"],
        marker["variant"],
        marker["finished"],
        "the meta-parameters are no longer numbers",
        hash=marker["hash"],
        kind="diverged",
        phase="training",
        done=record["diverged_at"] or record["iterations"],
        total=marker["training"]["iterations"],
        checkpoint=record["last_good"],
    )


def minute(when: str) -> str:
    """A time for people: `2026-11-25 16:20`, UTC."""
    return when[:16].replace("T", " ")


def write_failure(folder: Path, failed: Failed, traceback: str = "") -> Failed:
    """Record that a cell failed; where even that cannot be written, there is no file with the traceback."""
    about = {**failed._asdict(), "traceback": bool(traceback)}
    del about["hash"]
    try:
        if traceback:
            write_bytes(folder / TRACEBACK, traceback.encode())
        write_signed(folder / RECORD, about)
    except UserError:
        return failed
    return failed._replace(traceback=folder / TRACEBACK if traceback else None)


def clear_failure(folder: Path) -> None:
    """A cell that is done has not failed."""
    for name in (RECORD, TRACEBACK):
        with contextlib.suppress(OSError):
            (folder / name).unlink()


def failures(folder: Path) -> list[Failed]:
    """The recorded failures below a suite's folder."""
    return [found for path in sorted(folder.glob(f"*/*/{RECORD}")) if (found := read_failure(path.parent))]


def read_failure(folder: Path) -> Failed | None:
    """That of a cell, by its folder; None where none is recorded. One whose record is damaged is `unknown`."""
    path = folder / RECORD
    seed, _, digest = folder.name.partition("-")
    if not path.is_file() or not seed.isdecimal():
        return None
    try:
        record: dict[str, Any] = read_signed(path)
        traceback = path.with_name(TRACEBACK) if record.pop("traceback") else None
        _check_types(record)
        return Failed(**record, traceback=traceback, hash=digest)
    except (DamagedError, TypeError, KeyError):
        when = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
        message = f"'{path}' is damaged, so that it is not known why"
        return Failed(folder.parent.name, int(seed), "", when, message, hash=digest, kind="unknown")


def _check_types(record: Mapping[str, Any]) -> None:
    """Raise TypeError for what no record of ours says, whoever wrote it."""
    usual = Failed("", 0, "", "", "")
    kinds = {key: type(value) for key, value in usual._asdict().items()}
    kinds |= {"checkpoint": int | None, "limit": int | float | None}
    for key, value in record.items():
        if not isinstance(value, kinds[key]):
            raise TypeError(f"'{key}' is {type(value).__name__}")
