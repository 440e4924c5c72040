"""The machine that is asked for, held to what there is: devices, words and sizes."""

from __future__ import annotations

import torch

from metagap import registry
from metagap.engine.memory import parse_bytes
from metagap.engine.strategy import Strategy, parse
from metagap.errors import UserError
from metagap.machine import Machine, count_cores

DEVICES = ("auto", "cpu", "cuda")


def asked(
    *,
    device: str = "auto",
    engine: str = "auto",
    compile: bool | None = None,
    memory: str | None = None,
    workers: int | None = None,
    checkpoint_seconds: float = 30,
    time_limit: str | None = None,
    devices_per_cell: int = 1,
) -> Machine:
    """The machine with all cores of this process. Raises UserError for words and sizes that there are not.

    Arguments are fields of `Machine` as people write them; memory: a size such as `8G`;
    time_limit: a time such as `2h`.
    """
    _known(device)
    parse(engine, Strategy())
    if workers is not None and workers < 1:
        raise UserError(f"--jobs {workers}; allowed: 1 or more")
    if devices_per_cell < 1:
        raise UserError(f"--devices-per-cell {devices_per_cell}; allowed: 1 or more")
    return Machine(
        device=device,
        engine=engine,
        compile=compile,
        memory=None if memory is None else parse_bytes(memory),
        cores=count_cores(),
        workers=workers,
        checkpoint_seconds=checkpoint_seconds,
        time_limit=None if time_limit is None else parse_seconds(time_limit),
        devices_per_cell=devices_per_cell,
    )


def parse_seconds(text: str) -> float:
    """Seconds from a text such as 90s, 30m, 2h, 1d or 7200; raises UserError."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:].lower())
    try:
        found = float(text if unit is None else text[:-1]) * (unit or 1)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise UserError(
            f"--time-limit '{text}' is not a time; allowed: seconds, or a number with s, m, h or d, as in 2h"
        )
    return found


def devices(machine: Machine) -> list[str]:
    """One device per worker process, the first of those that a cell has; or as many as the machine says.

    These are all GPUs, or `cpu` once for each core. Raises UserError for `cuda` where there is none, and for more
    devices in a cell than there are.
    """
    name = machine.device
    _known(name)
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no CUDA device here; allowed: auto, cpu")
    if name == "cpu" or not torch.cuda.is_available():
        found = ["cpu"] * machine.cores
    else:
        found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    each = machine.devices_per_cell
    if each > len(found):
        kind = "CPU cores" if found[0] == "cpu" else "CUDA devices"
        raise UserError(f"--devices-per-cell {each}: there are {len(found)} {kind} here; allowed: 1 to {len(found)}")
    groups = found[: len(found) // each * each : each]
    return [groups[i % len(groups)] for i in range(machine.workers or len(groups))]


def _known(name: str) -> None:
    if name not in DEVICES:
        meant = "cuda" if name.lower().startswith(("cuda", "gpu", "nvidia")) else name
        raise UserError(f"--device '{name}'{registry.suggest(meant, list(DEVICES))}")
