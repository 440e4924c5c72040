"""What a process needs before it computes, and how it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait

from metagap.engine.internals.allocator import keep_freed_memory


def set_up() -> None:
    """Have this process compute on one thread, so that results do not depend on the number of cores, and keep the
    memory that it frees."""
    import torch  # seconds, for processes that may not need it

    torch.set_num_threads(1)
    keep_freed_memory()


def end_with_parent() -> None:
    """Have this process, which another one has spawned, end when that one does.

    Ctrl-C, and a scheduler's warning, are for that one, which ends this process.
    """
    for name in ("SIGINT", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def end_of(code: int | None) -> str:
    """How a process has ended that has this exit code, for a message."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (", as when memory runs out" if name == "SIGKILL" else "")
