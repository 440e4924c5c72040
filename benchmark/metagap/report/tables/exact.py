"""Scores and gaps as measured beside what they are exactly, and how far each learner is from the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from metagap.analysis.exact import SCORE
from metagap.report.frames import Frames, seed_words
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING, number, uncertain

MISSED = " ✗"
WHOLE = "all"
"""What a bound is about that is not of a split."""
DECIMALS = 3


def exact(frames: Frames) -> Table | None:
    """Gap and split by algorithm, measured and exact; None where nothing exact was recorded."""
    table = frames.exact
    if table.empty:
        return None
    return Table(
        name="exact",
        title="Measured beside exact",
        caption="Mean squared error of a query, and gaps between splits (positive: something is lost). As measured, "
        "with the 95% interval over new episodes for these very runs; in brackets what that interval is about, "
        f"exactly: a mean over these runs ({seed_words(table['seeds'])}). ✗: it is outside. {held(table)}",
        frame=_by_algorithm(frames, table, _cell),
        labels=2,
    )


def regret(frames: Frames) -> Table | None:
    """Split by algorithm: the exact risk above the least possible one."""
    table = frames.exact[frames.exact["gap"] == SCORE] if len(frames.exact) else frames.exact
    if table.empty or table["regret"].isna().all():
        return None
    found = _by_algorithm(frames, table, _regret).drop(columns="of")
    least = table.dropna(subset="least").groupby("split")["least"].first()
    found.insert(1, "least risk", [number(float(least[split]), DECIMALS) for split in dict.fromkeys(table["split"])])
    return Table(
        name="regret",
        title="Regret",
        caption="Exact risk above the least that is possible on the tasks of a split for whoever knows their mean, "
        "covariance and noise; in brackets the part of it that comes from where adaptation starts (bias). The rest is "
        "what the inner loop makes of a support set. Mean over the runs.",
        frame=found,
    )


def bounds(frames: Frames) -> Table | None:
    """Bound and split by algorithm, with the exact gap where that is known; None where no bound was recorded."""
    table = frames.bounds
    if table.empty:
        return None
    cells = {(one["quantity"], one["split"], one["algorithm"]): _bound(one) for one in table.to_dict("records")}
    rows = dict.fromkeys(zip(table["quantity"], table["split"], strict=True))
    return Table(
        name="bounds",
        title="Bounds from theory",
        caption="What theory says that a gap is at most; in brackets the exact gap of these runs, in the mean, where "
        "the bound is about the unclipped loss. stability-bound: on the task gap, in mean squared error. "
        "total-variation-bound: on the gap from the training tasks to the split, as a share of what the loss is "
        "clipped at. pac-bayes-gap: on the gap from the training tasks to new ones, of the loss clipped at the mean "
        "square of the targets, as a share of it. 1 or more of a share says nothing. –: the bound does not apply.",
        frame=pd.DataFrame(
            [
                {"bound": quantity, "split": frames.gap_row(split) if split else WHOLE}
                | {name: cells.get((quantity, split, name), MISSING) for name in frames.algorithms}
                for quantity, split in rows
            ]
        ),
        labels=2,
    )


def held(table: pd.DataFrame) -> str:
    """How many intervals hold what is exact."""
    return (
        f"{int(table['holds'].sum()):,} of {len(table):,} intervals hold it. 95% are expected to, but not each for "
        "itself: all algorithms meet the same episodes of a split, and mostly hold or miss together."
    )


def _by_algorithm(frames: Frames, table: pd.DataFrame, text: Callable[[dict], str]) -> pd.DataFrame:
    cells = {(one["gap"], one["split"], one["algorithm"]): text(one) for one in table.to_dict("records")}
    rows: Iterable[tuple[str, str]] = dict.fromkeys(zip(table["gap"], table["split"], strict=True))
    return pd.DataFrame(
        [
            {"of": "MSE" if gap == SCORE else gap, "split": frames.gap_row(split)}
            | {name: cells.get((gap, split, name), MISSING) for name in frames.algorithms}
            for gap, split in rows
        ]
    )


def _cell(one: dict) -> str:
    sign = -1 if one["gap"] == SCORE else 1  # a score is minus the error
    low, high = sorted((sign * one["episodes_low"], sign * one["episodes_high"]))
    measured = uncertain(sign * one["value"], low, high, signed=sign > 0)
    return f"{measured} ({number(sign * one['exact'], DECIMALS, sign > 0)}){'' if one['holds'] else MISSED}"


def _bound(one: dict) -> str:
    known = "" if pd.isna(one["exact"]) else f" ({number(one['exact'], DECIMALS, True)})"
    return f"{number(one['bound'], DECIMALS)}{known}"


def _regret(one: dict) -> str:
    return f"{number(one['regret'], DECIMALS)} ({number(one['bias'], DECIMALS)})"


COMPUTED = (
    "A learner that is affine in the targets of the support set is known once it has adapted to targets of zero and to "
    "those that are one for a single example, on every design of the pool. Its risk is a sum of traces, averaged over "
    "the designs. Exact gaps are differences of exact scores. Measured: the mean over the episodes of each run, then "
    "over the runs, at the headline inner step."
)
EXACT = TableKind(name="exact", section="exact", make=exact, computed=COMPUTED)
REGRET = TableKind(name="regret", section="exact", make=regret)
BOUNDS = TableKind(name="bounds", section="exact", make=bounds)
