"""One cell: train what is not trained, score what is not scored, and say that it is done."""

from __future__ import annotations

import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from benchmark import __version__, results
from benchmark.errors import UserError
from benchmark.runner.score import missing, score_splits
from benchmark.runner.train import train
from benchmark.runner.workbench import Machine, Report, Workbench
from benchmark.suite import Cell, as_json


def is_done(cell: Cell, store: Path) -> bool:
    """Whether the cell is trained and scored on every split of its suite whose data are here."""
    marker = results.read_marker(_marker(cell, store))
    if marker is None:
        return False
    rest = [split for split in cell.suite.test_splits if split.name not in marker["files"]]
    return all(split.optional and missing(split) for split in rest)


def run_cell(cell: Cell, store: Path, machine: Machine, report: Report = lambda *_: None) -> None:
    """Run what is left to run of a cell.

    store: the results folder. Raises UserError where data are missing or unfit, or another process has the cell.
    """
    folder = cell.folder(store)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            if not is_done(cell, store):
                _run(cell, store, machine, report)
    except Timeout:
        raise UserError(f"another process is running {cell} in '{folder}'") from None


def _run(cell: Cell, store: Path, machine: Machine, report: Report) -> None:
    folder, bench = cell.folder(store), Workbench(cell, machine)
    results.write_json(folder / "config.json", cell.identity)
    results.write_json(folder / "environment.json", environment(machine.device))
    meta, record = train(bench, folder, report)
    started = time.monotonic()
    scored = score_splits(bench, meta, folder / "evaluation", report)
    record = {
        **record,
        "eval_seconds": time.monotonic() - started,
        "parameters": sum(parameter.numel() for parameter in bench.network.parameters()),
    }
    results.write_json(_marker(cell, store), {"format": results.FORMAT, **as_json(cell), **scored, "record": record})


def _marker(cell: Cell, store: Path) -> Path:
    return cell.folder(store) / f"done-{cell.suite.variant}.json"


def environment(device: torch.device) -> dict[str, Any]:
    """What the numbers may depend on besides the configuration."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "metagap": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
    }


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
