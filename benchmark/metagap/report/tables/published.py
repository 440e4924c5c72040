"""Published values next to ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from metagap.report import published as wording
from metagap.report.frames import Frames
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING


def published(frames: Frames) -> Table | None:
    """Published values, ours, and the verdict on their difference; None where the suite cites none."""
    rows = []
    for row in frames.published.to_dict("records"):
        theirs, ours = wording.kinds(row)
        rows.append(
            {
                "algorithm": row["algorithm"],
                "split": frames.gap_row(row["split"]),
                "steps": _steps(row),
                **wording.columns(row, frames.metric),
                "verdict": wording.verdict(row),
                "published ±": theirs,
                "our ±": ours,
                "source": wording.source(row),
            }
        )
    plain = frozenset({"verdict", "published ±", "our ±", "source"})
    return _table(frames, rows, plain, f" {wording.EXPLAINED}")


def brief(frames: Frames) -> Table | None:
    """The same for a terminal: by split, robust statistics below ours, without sources."""
    rows = [
        {
            "split": frames.gap_row(row["split"]),
            "algorithm": row["algorithm"],
            "steps": _steps(row),
            **wording.stacked(row, frames.metric),
            "verdict": wording.verdict(row),
        }
        for row in _by_split(frames.published)
    ]
    marks = [f"[{mark}] {wording.MARKS[mark]}" for mark in wording.UNREAD if mark in set(frames.published["mark"])]
    said = [f"{mark}." for mark in marks]
    if frames.published["assumed_sd"].notna().any():
        said.append(wording.ASSUMED)
    return _table(frames, rows, frozenset({"verdict"}), "".join(f" {one}" for one in said))


def _table(frames: Frames, rows: list[dict[str, str]], plain: frozenset[str], explained: str) -> Table | None:
    margin = wording.margin(frames.metric.margin, frames.metric)
    caption = f"{frames.metric.heading}, mean over the episodes. The difference is ours − published, with its 95% "
    caption += f"interval; the margin is {margin}.{explained}"
    if not rows:
        return None
    return Table("published", caption, pd.DataFrame(rows), labels=2, plain=plain, title="Published values and ours")


def _by_split(rows: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows of a split together, in the order in which the splits are cited."""
    return [row for _, part in rows.groupby("split", sort=False) for row in part.to_dict("records")]


def _steps(row: Mapping[Any, Any]) -> str:
    return MISSING if pd.isna(row["step"]) else str(int(row["step"]))


def computed(_: Frames) -> str:
    """How the verdicts come about."""
    return (
        "Ours is the mean over the episodes and the runs; its ± is of the kind that was published. The difference "
        "varies with new training runs and new episodes of ours (variance of the S runs / S, and the covariance of "
        "two runs on the same M episodes / M) and with what is known of theirs. Agreement is tested by two one-sided "
        "tests against the margin (Schuirmann 1987) at 5%, each value by itself: nothing is corrected for. How many "
        "seeds would be enough is computed from the variance of ours, whose 90% interval makes it a range."
    )


PUBLISHED = TableKind(name="published", section="published", make=published, terminal=brief, computed=computed)
