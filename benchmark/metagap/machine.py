"""The machine that cells run on, as plain values: what a command line asks for, and what a worker is given."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace


def count_cores() -> int:
    """The CPU cores that this process may use; in a job of Slurm no more than it was given, enforced or not."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allotted = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(here, int(allotted)) if allotted.isdigit() else here


@dataclass(frozen=True)
class Machine:
    """Where and how cells run. None of this is part of what a cell is."""

    device: str = "cpu"
    """`cpu` or `cuda:0`, in torch's words; from the command line also `auto` and `cuda`."""
    engine: str = "auto"
    """What the engine's strategies have to hold to, see `engine.strategy`; the rest is chosen."""
    compile: bool | None = None
    """None: where it pays, which is in long training of small networks, and on a GPU."""
    memory: int | None = None
    """Bytes that the tasks computed at once may take."""
    cores: int = 1
    """CPU cores, of all workers together: a worker computes as many tasks at once as it has cores."""
    workers: int | None = None
    """Cells that run at the same time; None: as many as there are cores or GPUs."""
    checkpoint_seconds: float = 30
    time_limit: float | None = None
    """Seconds that a cell may take in one run; then it is stopped at a checkpoint, and has failed. None: no limit."""
    devices_per_cell: int = 1
    """Devices that train a cell together, each with its portion of the tasks: `device` and the next ones, or on a CPU
    processes that share the cores."""

    def worker(self, device: str, count: int) -> Machine:
        """What one of `count` workers has of it: a device and its share of the cores."""
        return replace(self, device=device, workers=1, cores=max(1, self.cores // max(1, count)))

    def members(self, count: int) -> list[Machine]:
        """What each of `count` processes that train a cell together has of it: a device, and its share of the cores."""
        kind, _, first = self.device.partition(":")
        places = [f"{kind}:{int(first) + i}" if first else kind for i in range(count)]
        return [replace(self, device=place, cores=max(1, self.cores // count), devices_per_cell=1) for place in places]
