"""The log of a cell, `log.txt` in its folder: what was done and said in all attempts, and when."""

from __future__ import annotations

import logging
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from metagap.runner.context import Report, log

NAME = "log.txt"
BYTES = 2**19
"""Of the file, after which it is begun anew; the one before is kept as `log.txt.1`."""
LONGEST = 2**14
"""Characters of what is said at one go."""
EVERY = 60.0
"""Seconds between two lines on how far a phase is."""


@contextmanager
def logged(folder: Path, what: str, report: Report) -> Iterator[Report]:
    """Write down what happens; gives a `report` that writes down the phases, too. what: is done by this attempt.

    A log that cannot be written is no reason to stop.
    """
    file = _File(folder / NAME)
    level, show = log.level, warnings.showwarning

    def shown(message: Warning | str, category: type[Warning], place: str, line: int, *more: object) -> None:
        file.say(f"{category.__name__}: {message} ({place}:{line})")
        show(message, category, place, line, *more)  # pyright: ignore[reportArgumentType]

    log.addHandler(file)
    log.setLevel(logging.INFO)
    warnings.showwarning = shown
    phases, began = _Phases(file), time.monotonic()
    file.say(f"{what}, by process {os.getpid()} on {socket.gethostname()}")

    def both(phase: str, done: int, total: int) -> None:
        phases(phase, done, total)
        report(phase, done, total)

    try:
        yield both
    except BaseException as error:
        file.say(f"ended by {error!r}", error)
        raise
    else:
        phases.end()
        file.say(f"done in {time.monotonic() - began:.1f} s")
    finally:
        warnings.showwarning = show
        log.setLevel(level)
        log.removeHandler(file)
        file.close()


class _Phases:
    """Writes a line when a phase begins, now and then, and when it ends."""

    def __init__(self, file: _File):
        self._file, self._phase, self._began, self._told = file, "", 0.0, 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase != self._phase:
            self.end()
            self._phase, self._began = phase, now
        elif now - self._told < EVERY:
            return
        self._told = now
        self._file.say(f"{phase}: {done:,} of {total:,}")

    def end(self) -> None:
        if self._phase:
            self._file.say(f"{self._phase}: over after {time.monotonic() - self._began:.1f} s")
        self._phase = ""


class _File(RotatingFileHandler):
    """Lines with the time, UTC; long ones are cut."""

    def __init__(self, path: Path):
        super().__init__(path, maxBytes=BYTES, backupCount=1, encoding="utf-8", delay=True)
        self._format = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")
        self._format.converter = time.gmtime

    def say(self, text: str, error: BaseException | None = None) -> None:
        """Write a line, and the traceback of an error."""
        trace = None if error is None else (type(error), error, error.__traceback__)
        self.handle(logging.LogRecord(log.name, logging.INFO, "", 0, text, None, trace))

    def format(self, record: logging.LogRecord) -> str:
        text = self._format.format(record)
        return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n[...]\n{text[-LONGEST // 2 :]}"

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk, for one: what matters says so by itself."""
