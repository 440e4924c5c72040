"""Being told to stop, as by a scheduler that takes the machine away: a cell saves its state first, and ends then."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(SystemExit):
    """This process was told to stop, and ends, leaving everything in order; its exit code is that of SIGTERM."""

    def __init__(self, code: int = 128 + signal.SIGTERM):
        super().__init__(code)


_asked = False


def ask(stop: bool = True) -> None:
    """Ask what runs in this process to stop, or to go on."""
    global _asked
    _asked = stop


def obey() -> None:
    """Raise Stopped if this process was told to stop; called where nothing would be lost."""
    if _asked:
        raise Stopped


def on_term() -> None:
    """From now on SIGTERM raises Stopped in this process, once; outside of `saving` at once."""

    def stop(*_: object) -> None:
        if not _asked:
            ask()
            raise Stopped

    signal.signal(signal.SIGTERM, stop)


@contextmanager
def saving() -> Iterator[Callable[[], bool]]:
    """While there is a state to save, SIGTERM only asks to stop; gives whether it did. Who has saved calls `obey`."""
    if threading.current_thread() is not threading.main_thread():  # no other has signals
        yield lambda: _asked
        return
    before = signal.signal(signal.SIGTERM, lambda *_: ask())
    try:
        yield lambda: _asked
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def die() -> None:
    """End this process as SIGTERM does that nobody handles."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
