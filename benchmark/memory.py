"""Whether something fits into this machine, asked before it is made."""

from __future__ import annotations

import os

from benchmark.errors import UserError

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


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
        raise UserError(f"{what} takes {size(needed)} of memory; this machine has {size(installed())}")


def size(count: float) -> str:
    """Bytes as people write them: 12.3 GB."""
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            return f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError
