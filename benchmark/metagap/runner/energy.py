"""What processors and devices count of the energy they take: RAPL on Linux, and NVML where `pynvml` is installed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

RAPL = Path("/sys/class/powercap")

Meter = Callable[[], float]
"""Joules since whenever."""


class Energy:
    """The energy that was taken since this was made, by whatever ran on the machine; nothing where it is not told."""

    def __init__(self, device: torch.device):
        meters = {"cpu_joules": processors(), "gpu_joules": _gpu(device) if device.type == "cuda" else None}
        self._meters = {name: meter for name, meter in meters.items() if meter is not None}
        self._began = {name: meter() for name, meter in self._meters.items()}

    def used(self) -> dict[str, float]:
        """Joules, by meter. It has to be called now and then: counters of processors begin anew after some minutes."""
        used = {}
        for name, meter in self._meters.items():
            with suppress(Exception):  # a counter that is gone is not told either
                used[name] = meter() - self._began[name]
        return used


def processors() -> Meter | None:
    """All processors of the machine together; None where they cannot be read, which often only root may."""
    counters = [path for path in sorted(RAPL.glob("intel-rapl:*")) if path.name.count(":") == 1]
    try:
        last = [_micro(path / "energy_uj") for path in counters]
        spans = [_micro(path / "max_energy_range_uj") for path in counters]
    except (OSError, ValueError):
        return None
    total = 0

    def joules() -> float:
        nonlocal total, last
        now = [_micro(path / "energy_uj") for path in counters]
        total += sum((after - before) % (span + 1) for after, before, span in zip(now, last, spans, strict=True))
        last = now
        return total / 1e6

    return joules if counters else None


def _micro(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _gpu(device: torch.device) -> Meter | None:
    try:
        import pynvml  # pyright: ignore[reportMissingImports]

        pynvml.nvmlInit()
        uuid: Any = torch.cuda.get_device_properties(device).uuid
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}".encode())
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # not installed, no such driver, too old a device
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
