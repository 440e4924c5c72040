"""Whether something fits into this machine, asked before it is made."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import IO

from rich.filesize import decimal

from metagap.errors import UserError

FREE = 2**26
"""Bytes that anything may be unpacked to."""
GROWTH = 200
"""By which factor more than that may grow when it is unpacked."""


def installed() -> int:
    """Bytes of memory that this machine has; a cluster's limit for this job counts where there is one."""
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(limit, encoding="ascii") as file:  # noqa: PTH123
                found = min(found, int(file.read()))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return found


def require(needed: int, what: str) -> None:
    """Raise UserError where `what` takes more bytes than this machine has."""
    if needed > installed():
        raise UserError(f"{what} takes {decimal(needed)} of memory; this machine has {decimal(installed())}")


def require_growth(unpacked: int, packed: int, what: str) -> None:
    """Raise UserError where `what` would grow as nothing but a bomb does, by the sizes that it states of itself."""
    if unpacked > FREE and unpacked > GROWTH * packed:
        raise UserError(
            f"{what} would grow from {decimal(packed)} to {decimal(unpacked)} when it is unpacked, as files do that "
            f"are made to fill memory; allowed: {GROWTH} times as much"
        )


def require_unpacked(unpacked: int, packed: int, what: str) -> None:
    """The same, and where it would take more than half of this machine's memory."""
    require_growth(unpacked, packed, what)
    if unpacked > installed() / 2:
        raise UserError(
            f"{what} takes {decimal(unpacked)} when it is unpacked; allowed: half of this machine's "
            f"{decimal(installed())}"
        )


def require_arrays(file: Path | IO[bytes], what: str) -> None:
    """Raise UserError where the arrays of an .npz file are more than `require_unpacked` allows."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    require_unpacked(sum(m.file_size for m in members), sum(m.compress_size for m in members), what)
