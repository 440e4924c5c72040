"""What a process needs before it computes."""

from __future__ import annotations

import torch

from metagap.engine.internals.allocator import keep_freed_memory


def set_up() -> None:
    """Have this process compute on one thread, so that results do not depend on the number of cores, and keep the
    memory that it frees."""
    torch.set_num_threads(1)
    keep_freed_memory()
