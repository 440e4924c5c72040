"""The time that a cell may take in one run."""

from __future__ import annotations

import time
from collections.abc import Callable

from metagap.errors import TimedOutError


class Deadline:
    """Counts from when it is made."""

    def __init__(self, seconds: float | None):
        """seconds: None for no limit."""
        self._seconds, self._began = seconds, time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self._seconds is not None and time.monotonic() - self._began > self._seconds

    def check(self) -> None:
        """Raise TimedOutError where the time is up."""
        if self.is_over:
            raise TimedOutError(f"it took longer than --time-limit, {self._seconds:g} s")

    def kept(self, report: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
        """`report` that looks at the time, too: for work of which what is done is kept, or is not much."""

        def checking(phase: str, done: int, total: int) -> None:
            report(phase, done, total)
            self.check()

        return checking
