"""Where the numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.filesize import decimal

from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.results import records
from metagap.text import MISSING

COSTS = ("CPU time", "memory", "energy", "attempts")
"""What records of earlier versions, and some machines, do not tell."""
PACKAGES = ("torch", "numpy", "scipy", "torchvision", "learn2learn", "mujoco", "gymnasium")


def provenance(frames: Frames) -> Table:
    """Where the numbers come from: one row for each trained model."""
    rows = [
        {
            "algorithm": row["algorithm"],
            "seed": str(row["seed"]),
            "iterations": f"{row['iterations']:,}",
            "evaluated": _selected(row),
            "training": _seconds(row["train_seconds"]),
            "evaluation": _seconds(row["eval_seconds"]),
            "CPU time": _seconds(row.get("cpu_seconds")),
            "memory": _memory(row),
            "energy": _energy(row),
            "attempts": f"{row['attempts']:.0f}" if _given(row.get("attempts")) else MISSING,
            "parameters": f"{row['parameters']:,}",
            "date": row["date"][:10] if isinstance(row.get("date"), str) else MISSING,
            "environment": str(row.get("environment", MISSING)),
            "configuration": str(row["hash"]),
        }
        for row in records(frames.cells)
    ]
    frame = pd.DataFrame(rows)
    told = [column for column in COSTS if (frame[column] != MISSING).any()]
    counted = (
        " Costs are sums over all attempts. Memory is the peak of the process, and of the device. Energy is what the "
        "processors of the machine, or the device, took meanwhile, whatever else ran there."
    )
    return Table(
        name="provenance",
        caption="One row for each meta-trained model; the configuration is the hash of everything that defines it. "
        f"{_several(frames.environments)}{counted if told else ''}",
        frame=frame.drop(columns=[column for column in COSTS if column not in told]),
        labels=2,
        plain=frozenset({"evaluated", "date", "environment", "configuration"}),
    )


def environments(frames: Frames) -> Table | None:
    """One row for each environment in which models were trained or scored; None where none is recorded."""
    rows = [
        {
            "environment": row["environment"],
            "device": str(row.get("device", MISSING)),
            "processor": str(row.get("processor", MISSING)),
            "host": row.get("host") or MISSING,
            "system": ", ".join(_told(row, "platform", "python")),
            "packages": ", ".join([*_told(row, *PACKAGES), *_told(row, "cuda", "cudnn", "driver")]) or MISSING,
            "metagap": ", ".join([str(row.get("metagap", MISSING)), *_told(row, "commit", "code")]),
        }
        for row in records(frames.environments)
    ]
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    caption = f"{_several(frames.environments)}The code is a digest of all files of metagap."
    return Table(name="environments", caption=caption, frame=frame, plain=frozenset(map(str, frame)))


def _several(environments: pd.DataFrame) -> str:
    """A warning, where there are several."""
    if len(environments) < 2:
        return ""
    return (
        f"These models ran in {len(environments)} different environments: the same cell may have other last digits "
        "in each, and on another kind of device other numbers. "
    )


def _told(row: Mapping[str, Any], *keys: str) -> list[str]:
    return [f"{key} {row[key]}" for key in keys if _given(row.get(key))]


def _given(value: Any) -> bool:
    return value is not None and not pd.isna(value)


def _selected(row: Mapping[str, Any]) -> str:
    return "not trained" if row["selection"] == "none" else f"{row['selected_iteration']:,} ({row['selection']})"


def _seconds(value: float | None) -> str:
    if value is None or pd.isna(value):
        return MISSING
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _memory(row: Mapping[str, Any]) -> str:
    parts = [decimal(int(row[key])) for key in ("peak_bytes", "gpu_peak_bytes") if _given(row.get(key))]
    return " + ".join(parts) or MISSING


def _energy(row: Mapping[str, Any]) -> str:
    """Watt-hours of processors and device."""
    parts = [row[key] / 3600 for key in ("cpu_joules", "gpu_joules") if _given(row.get(key))]
    return " + ".join(f"{part:.3g} Wh" for part in parts) or MISSING


PROVENANCE = TableKind(name="provenance", section="provenance", make=provenance, folded="Every meta-trained model")
ENVIRONMENTS = TableKind(name="environments", section="provenance", make=environments)
