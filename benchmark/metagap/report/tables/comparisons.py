"""Pairs of algorithms on the same episodes and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from metagap.metrics import Metric
from metagap.report.frames import Frames, correction
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.suite import Suite
from metagap.text import MISSING, number, probability, share, uncertain

LONG = 30
"""Tables of more rows are folded."""


def comparisons(frames: Frames) -> Table | None:
    """Pairs by test splits: the paired difference, in bold where it is significant; None without pairs."""
    table = frames.headline_pairs()
    table = table[table["role"].isin(("in-distribution", "cross-domain"))]
    if table.empty:
        return None
    groups = {name: role for role, names in frames.split_groups(average=True) for name in names}
    groups = {name: role for name, role in groups.items() if name in set(table["split"])}
    labels = {name: frames.gap_row(name) for name in groups}
    rows, best = [], set()
    for position, ((a, b), part) in enumerate(table.groupby(["a", "b"], sort=False)):
        row = {"first": a, "second": b}
        for _, pair in part.iterrows():
            row[labels[pair["split"]]] = frames.metric.gap(pair["difference"], pair["low"], pair["high"])
            if "better" in pair["verdict"]:
                best.add((position, labels[pair["split"]]))
        rows.append(row)
    columns = ["first", "second", *labels.values()]
    return Table(
        name="comparisons",
        caption=f"First minus second in {frames.metric.gap_unit}, positive where the first is better, paired on the "
        f"same episodes and seeds; 95% interval: {' or '.join(dict.fromkeys(table['interval']))}. "
        f"Bold: one of the two is better. {frames.correction}",
        frame=pd.DataFrame(rows, columns=columns).fillna(MISSING),
        groups={labels[name]: role for name, role in groups.items()},
        labels=2,
        best=frozenset(best),
    )


def all_comparisons(frames: Frames) -> Table | None:
    """Every pair on every split with all that is known about it; None without pairs."""
    table = frames.headline_pairs()
    if table.empty:
        return None
    pairs = frames.ordered(table, "a").to_dict("records")
    rows = [_in_full(pair, frames.gap_row(pair["split"]), frames.metric) for pair in pairs]
    return Table(
        name="comparisons-all",
        caption=f"Differences in {frames.metric.gap_unit}, first minus second, paired; 95% interval: "
        f"{' or '.join(dict.fromkeys(table['interval']))}. {frames.correction} P(first > second): the probability that "
        "one new training run of the first beats one of the second, with its 95% interval. Episodes won: ties count "
        "half.",
        frame=pd.DataFrame(rows),
        labels=3,
        plain=frozenset({"verdict"}),
    )


def of_two(frame: pd.DataFrame, a: str, b: str, suite: Suite, metric: Metric) -> Table:
    """The rows of `metagap.analysis.comparisons.compare`, by role."""
    frame = frame[frame["statistic"] == metric.statistic]
    rows = [
        {
            "role": pair["role"],
            **_in_full(pair, suite.split_label(pair["split"]), metric),
            "P(first > second)": number(pair["improvement"]),
        }
        for pair in frame.to_dict("records")
    ]
    kinds = ", ".join(dict.fromkeys(frame["interval"]))
    return Table(
        name="comparison",
        title=f"{a} − {b} in {metric.gap_unit}",
        caption=f"Positive: {a} is better; 95% interval: {kinds}. {correction(frame)}",
        frame=pd.DataFrame(rows).drop(columns=["first", "second", "episodes won"]),
        labels=2,
        plain=frozenset({"verdict"}),
    )


def _in_full(pair: Mapping[Any, Any], split: str, metric: Metric) -> dict[str, str]:
    """All that is known about a pair on a split, as text."""
    return {
        "split": split,
        "first": pair["a"],
        "second": pair["b"],
        "difference": metric.gap(pair["difference"], pair["low"], pair["high"]),
        "p": probability(pair["p"]),
        "p (Holm)": probability(pair["p_holm"]),
        "P(first > second)": uncertain(pair["improvement"], pair["improvement_low"], pair["improvement_high"]),
        "episodes won": share(pair["episode_wins"]),
        "verdict": pair["verdict"],
    }


def _folded(frames: Frames) -> str:
    """Many pairs are shown on request."""
    table = comparisons(frames)
    return f"All {len(table.frame)} pairs of algorithms" if table is not None and len(table.frame) > LONG else ""


COMPARISONS = TableKind(name="comparisons", section="comparisons", make=comparisons, folded=_folded)
COMPARISONS_ALL = TableKind(
    name="comparisons-all", section="comparisons", make=all_comparisons, folded="Every comparison in full"
)
