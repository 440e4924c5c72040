"""What a cell has cost over all attempts to run it, and in which environments: `attempts.json` in its folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from metagap import results
from metagap.results.environments import distinct
from metagap.runner.context import Report, log
from metagap.runner.energy import Energy

FILE = "attempts.json"
SUMS = ("wall_seconds", "cpu_seconds", "cpu_joules", "gpu_joules")
PEAKS = ("peak_bytes", "gpu_peak_bytes")


class Attempt:
    """An attempt in progress. It is written down now and then, so that what a killed one has cost is counted too.

    cpu_seconds: of this process. peak_bytes: of its memory. cpu_joules, gpu_joules: what the processors of the machine
    and the device took meanwhile, by whatever ran on them. What the machine does not tell is left out.
    """

    def __init__(self, folder: Path, environment: dict[str, Any], device: torch.device, every: float):
        """folder: of the cell. every: seconds between two times that it is written down."""
        self._path, self._device, self._every = folder / FILE, device, every
        self._earlier, self._about = _read(self._path), {"environment": environment}
        self._began, self._cpu, self._energy = time.monotonic(), time.process_time(), Energy(device)
        self._written = self._began
        self._peaks = _reset_peak()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def watching(self, report: Report) -> Report:
        """The same report, at whose calls the attempt is written down if it is time to."""

        def watched(phase: str, done: int, total: int) -> None:
            report(phase, done, total)
            if time.monotonic() - self._written >= self._every:
                self.write()

        return watched

    def write(self) -> None:
        """Write down what it has cost so far."""
        self._written = time.monotonic()
        results.write_signed(self._path, {"attempts": [*self._earlier, self._now()]})

    def total(self) -> dict[str, Any]:
        """The cost of all attempts, and their number as `attempts`. A sum of which a part is not known is left out."""
        attempts = [*self._earlier, self._now()]
        known = {key for key in (*SUMS, *PEAKS) if all(key in one for one in attempts)}
        sums = {key: sum(one[key] for one in attempts) for key in SUMS if key in known}
        peaks = {key: max(one[key] for one in attempts) for key in PEAKS if key in known}
        return {"attempts": len(attempts), **sums, **peaks}

    def environments(self) -> list[dict[str, Any]]:
        """The different ones of all attempts."""
        return distinct(one["environment"] for one in [*self._earlier, self._about])

    def _now(self) -> dict[str, Any]:
        wall, cpu = time.monotonic() - self._began, time.process_time() - self._cpu
        cost: dict[str, Any] = {"wall_seconds": wall, "cpu_seconds": cpu, **self._energy.used()}
        if self._peaks:
            cost["peak_bytes"] = _peak()
        if self._device.type == "cuda":
            cost["gpu_peak_bytes"] = torch.cuda.max_memory_allocated(self._device)
        return {**self._about, **cost}


def _read(path: Path) -> list[dict[str, Any]]:
    """The attempts before this one; a file that is damaged is set aside, which is logged."""
    try:
        return results.read_signed(path)["attempts"] if path.is_file() else []
    except (results.DamagedError, KeyError) as error:
        log.warning("%s; it is kept as '%s', and what it counted is lost", error, results.set_aside(path).name)
        return []


def _reset_peak() -> bool:
    """Let the peak of this process's memory begin anew; whether that is possible, as it is on Linux."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return _peak() > 0


def _peak() -> int:
    """Bytes of memory that this process had at most since then."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    lines = (line.split() for line in status.splitlines() if line.startswith("VmHWM:"))
    return next((1024 * int(line[1]) for line in lines), 0)
