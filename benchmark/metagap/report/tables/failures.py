"""The cells that failed, and why."""

from __future__ import annotations

import pandas as pd

from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.results import minute
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
    kinds = {one.kind for one in frames.failed}
    said = ["They have no scores, so that the numbers are those of the other seeds."] if kinds - {"diverged"} else []
    said += ["The scores of diverged ones count as the worst, and none is left out."] if "diverged" in kinds else []
    return Table(
        name="failures",
        caption=f"Cells that failed. {' '.join(said)} A checkpoint is named by its iteration.",
        frame=pd.DataFrame(rows),
        labels=2,
        plain=frozenset({"what", "where", "when", "why"}),
        title="Failed cells",
    )


FAILURES = TableKind(name="failures", section="findings", make=failures, heading="Failed cells")
