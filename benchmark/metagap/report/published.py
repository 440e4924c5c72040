"""A published value next to ours, as the text of table cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pandas as pd

from metagap.metrics import Margin, Metric
from metagap.text import MISSING, number, share, uncertain

MARKS = {"V": "read at the source", "S": "quoted by another paper", "R": "recalled, to be checked"}
UNREAD = ("S", "R")
"""Marks that follow the value wherever it is printed."""
ASSUMED = (
    "“If their runs vary as ours”: nothing is published on how the value varies from run to run; the verdict takes the "
    "standard deviation of our seeds for theirs too."
)
PROVISIONAL = "if their runs vary as ours"
"""Follows a verdict on a value whose run variance was not published."""
EXPLAINED = (
    "Agrees: the difference is shown to be smaller than the margin (two one-sided tests at 5%). Differs: it is not "
    "shown to be, and its 95% interval excludes zero. Undecided: neither; where a number “would be enough”, that many "
    "find equal values to agree with a probability of 80%; it is a range, for a few seeds hardly show their variance. "
    f"{ASSUMED} Cannot tell: we have fewer than three seeds, or diverged episodes ruin the mean."
)


def columns(row: Mapping[Any, Any], metric: Metric) -> dict[str, str]:
    """Published, ours and their difference in printed units, with as many decimals as were published.

    Regression has the robust statistics of ours too, next to a mean that single episodes can ruin.
    """
    scale = metric.scale
    printed = [_decimals(row[name] * scale) for name in ("published", "published_interval")]
    decimals = max(metric.decimals, *printed)

    def text(value: float, low: float = math.nan, high: float = math.nan, signed: bool = False) -> str:
        return uncertain(value * scale, low * scale, high * scale, decimals, signed)

    interval = "" if pd.isna(row["published_interval"]) else f" ± {number(row['published_interval'] * scale, decimals)}"
    mark = f" [{row['mark']}]" if row["mark"] in UNREAD else ""
    half = row["ours_interval"]
    cells = {
        "published": number(row["published"] * scale, decimals) + interval + mark,
        "ours": text(row["ours"], row["ours"] - half, row["ours"] + half),
        "difference": text(row["difference"], row["low"], row["high"], signed=True),
    }
    if len(metric.statistics) > 1:
        cells |= {"our median": text(row["median"]), "our IQM": text(row["iqm"]), "diverged": share(row["diverged"])}
    return cells


def stacked(row: Mapping[Any, Any], metric: Metric) -> dict[str, str]:
    """The same for a narrow place: the robust statistics of ours stand below it."""
    cells = columns(row, metric)
    ours = cells["ours"]
    if len(metric.statistics) > 1 and ours != MISSING:
        ours += f"\nmedian {cells['our median']}\nIQM {cells['our IQM']}\n{cells['diverged']} diverged"
    return {"published": cells["published"], "ours": ours, "difference": cells["difference"]}


def verdict(row: Mapping[Any, Any]) -> str:
    """The verdict, what it assumes, and a remark on it."""
    words = f"{row['verdict']}{f', {PROVISIONAL}' if pd.notna(row['assumed_sd']) else ''}"
    return f"{words}: {row['remark']}" if row["remark"] else words


def kinds(row: Mapping[Any, Any]) -> tuple[str, str]:
    """What the published ± is, and what ours is."""
    if pd.isna(row["published"]):
        return MISSING, _word(row["ours_kind"], MISSING)
    published = "none" if pd.isna(row["published_interval"]) else _word(row["kind"], "not stated")
    return published, _word(row["ours_kind"], MISSING)


def source(row: Mapping[Any, Any]) -> str:
    """Where the published value is from, and how it was read there."""
    mark = "" if pd.isna(row["published"]) else MARKS.get(row["mark"], row["mark"])
    if row["mark"] in UNREAD:
        mark = f"[{row['mark']}] {mark}"
    return ", ".join(part for part in (row["source"], mark) if isinstance(part, str) and part)


def margin(chosen: Margin, metric: Metric) -> str:
    """The margin in words."""
    if chosen.relative:
        return f"{100 * chosen.size:g}% of the published value"
    size = f"{metric.scale * chosen.size:g}"
    return f"{size} percentage point{'s' * (size != '1')}" if metric.unit == "%" else f"{size} in {metric.label}"


def _word(value: Any, otherwise: str) -> str:
    """A word of a data frame, where what is missing may be NaN."""
    return value if isinstance(value, str) else otherwise


def _decimals(value: float) -> int:
    """Digits after the point of a value as somebody wrote it."""
    if math.isnan(value):
        return 0
    return max(0, -int(Decimal(f"{value:.6g}").normalize().as_tuple().exponent))
