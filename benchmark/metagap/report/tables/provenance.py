"""Where the numbers come from."""

from __future__ import annotations

import math

import pandas as pd

from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING


def provenance(frames: Frames) -> Table:
    """Where the numbers come from: one row for each trained model."""
    cells = frames.cells
    rows = [
        {
            "algorithm": row["algorithm"],
            "seed": str(row["seed"]),
            "iterations": f"{row['iterations']:,}",
            "evaluated": _selected(row),
            "training": _seconds(row["train_seconds"]),
            "evaluation": _seconds(row["eval_seconds"]),
            "parameters": f"{row['parameters']:,}",
            "device": str(row["device"]),
            "date": row["date"][:10] if isinstance(row.get("date"), str) else MISSING,
            "torch": str(row["torch"]),
            "commit": str(row["commit"])[:10],
            "configuration": str(row["hash"]),
        }
        for _, row in cells.iterrows()
    ]
    return Table(
        name="provenance",
        caption="One row for each meta-trained model; the configuration is the hash of everything that defines it.",
        frame=pd.DataFrame(rows),
        labels=2,
        plain=frozenset({"evaluated", "device", "date", "torch", "commit", "configuration"}),
    )


def _selected(row: pd.Series) -> str:
    return "not trained" if row["selection"] == "none" else f"{row['selected_iteration']:,} ({row['selection']})"


def _seconds(value: float) -> str:
    if value is None or math.isnan(value):
        return MISSING
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


PROVENANCE = TableKind(name="provenance", section="provenance", make=provenance, folded="Every meta-trained model")
