"""The cells that failed, and why."""

from __future__ import annotations

import pandas as pd

from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.results import minute
from metagap.results.failures import KINDS
from metagap.text import MISSING


def failures(frames: Frames) -> Table | None:
    """One row for each failed cell; None where none has failed."""
    if not frames.failed:
        return None
    rows = [
        {
            "algorithm": one.label,
            "seed": str(one.seed),
            "what": one.kind,
            "where": one.place or MISSING,
            "last good checkpoint": MISSING if one.checkpoint is None else f"{one.checkpoint:,}",
            "when": minute(one.when),
            "why": one.reason,
        }
        for one in frames.failed
    ]
    kinds = list(dict.fromkeys(one.kind for one in frames.failed))
    said = ["Their scores are in no number, unless they diverged. A checkpoint is named by its iteration."]
    said += [f"{kind.capitalize()}: {KINDS[kind]}." for kind in kinds if kind in KINDS]
    return Table(
        name="failures",
        caption=f"Cells that failed. {' '.join(said)}",
        frame=pd.DataFrame(rows),
        labels=2,
        plain=frozenset({"what", "where", "when", "why"}),
        title="Failed cells",
    )


FAILURES = TableKind(name="failures", section="findings", make=failures, heading="Failed cells")
