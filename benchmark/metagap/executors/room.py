"""How many cells a GPU takes side by side, by what cells were seen to take of its memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

BESIDE = 4
"""Cells on one GPU, at most, where nobody asked for more."""
CONTEXT = 2**30
"""Bytes that a process takes of a GPU before it computes anything."""
MARGIN = 1.5
"""By which the next cell may take more than all before it, which may have been of another algorithm."""


class Memory(NamedTuple):
    """What a cell took of its GPU at most, and what that GPU has, in bytes."""

    peak: int
    total: int


def side_by_side(devices: Sequence[str], cores: int) -> list[str]:
    """The places for cells, the first one of every GPU first: several on each, but not more than there are cores."""
    each = min(BESIDE, max(1, cores // len(devices))) if "cpu" not in devices else 1
    return list(devices) * each


class Room:
    """Which places may be taken: the first of every device, and others once a cell has shown that there is memory."""

    def __init__(self, places: Sequence[str], limited: bool):
        """limited: False where it was said how many cells are to run at the same time."""
        self.places = list(places)
        self._limited = limited
        self._most: Memory | None = None

    def saw(self, memory: Memory) -> None:
        """Take notice of a cell that ended, on whichever device: all are alike to cells, and the least one counts."""
        most = self._most or memory
        self._most = Memory(max(most.peak, memory.peak), min(most.total, memory.total))

    def admits(self, place: int, busy: Collection[int]) -> bool:
        """Whether a cell may begin at a place while others are busy at theirs."""
        device = self.places[place]
        beside = sum(self.places[other] == device for other in busy)
        if not self._limited or device == "cpu" or beside == 0:
            return True
        return self._most is not None and (beside + 1) * (MARGIN * self._most.peak + CONTEXT) <= self._most.total
