"""Cells that failed: recorded in their folders, so that reports can say so."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from metagap.errors import UserError
from metagap.results.files import DamagedError, read_signed, write_bytes, write_signed

RECORD, TRACEBACK = "failed.json", "traceback.txt"


class Failed(NamedTuple):
    """A cell that failed: what it is called, of which variant, when and why, the file with the traceback, and the hash
    that its folder is called by, where it was read from there."""

    label: str
    seed: int
    variant: str
    when: str
    message: str
    traceback: Path | None
    hash: str = ""

    def __str__(self) -> str:
        lines = self.message.strip().splitlines() or [""]
        first = lines[0] if len(lines[0]) <= 300 else f"{lines[0][:300]} …"
        where = f"; traceback: {self.traceback}" if self.traceback else ""
        return f"{first}{where}"


def minute(when: str) -> str:
    """A time for people: `2026-11-25 16:20`, UTC."""
    return when[:16].replace("T", " ")


def write_failure(folder: Path, cell: Mapping[str, Any], message: str, traceback: str) -> Failed:
    """Record that a cell failed; where even that cannot be written, there is no file with the traceback."""
    when = datetime.now(UTC).isoformat()
    about = {"label": cell["label"], "seed": cell["seed"], "variant": cell["variant"], "when": when, "message": message}
    try:
        if traceback:
            write_bytes(folder / TRACEBACK, traceback.encode())
        write_signed(folder / RECORD, {**about, "traceback": bool(traceback)})
    except UserError:
        return Failed(**about, traceback=None)
    return Failed(**about, traceback=folder / TRACEBACK if traceback else None)


def clear_failure(folder: Path) -> None:
    """A cell that is done has not failed."""
    for name in (RECORD, TRACEBACK):
        with contextlib.suppress(OSError):
            (folder / name).unlink()


def failures(folder: Path) -> list[Failed]:
    """The recorded failures below a suite's folder."""
    found = []
    for path in sorted(folder.glob(f"*/*/{RECORD}")):
        try:
            record = read_signed(path)
            trace = path.with_name(TRACEBACK) if record.pop("traceback") else None
            found.append(Failed(**record, traceback=trace, hash=path.parent.name.partition("-")[2]))
        except (DamagedError, TypeError, KeyError):
            continue  # it holds no number, and the next run writes it again
    return found
