"""Pairs of algorithms on the same episodes and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from metagap.analysis.comparisons import Comparisons
from metagap.metrics import Metric
from metagap.report.computed import FAMILY, IMPROVEMENT, P_VALUE, PAIRED, interval_computed, joined
from metagap.report.frames import STATISTICS, Frames, correction, interval_words
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.suite import Suite
from metagap.text import MISSING, probability, share, uncertain

LONG = 30
"""Tables of more rows are folded."""


def comparisons(frames: Frames) -> Table | None:
    """Pairs by test splits: the paired difference, in bold where it is significant; None without pairs."""
    table = frames.headline_pairs()
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
        caption=f"First minus second in {_unit(frames.metric)}, positive where the first is better, paired on the "
        f"same episodes and seeds; 95% {interval_words(table)}. Bold: significant. {frames.correction}",
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
        caption=f"Differences in {_unit(frames.metric)}, first minus second, paired; 95% "
        f"{interval_words(table)}. {frames.correction} P(first > second): the probability that "
        "one new training run of the first beats one of the second, with its 95% interval. Episodes won: ties count "
        "half.",
        frame=pd.DataFrame(rows),
        labels=3,
        plain=frozenset({"verdict"}),
    )


def gap_comparisons(frames: Frames) -> Table | None:
    """Whose gap is smaller: the difference of the gaps of every pair; None without gaps of two algorithms."""
    table = frames.headline_gap_pairs()
    return None if table.empty else _of_gaps(table, "gap-comparisons", frames.suite, frames.metric, frames.correction)


def _of_gaps(table: pd.DataFrame, name: str, suite: Suite, metric: Metric, correction: str) -> Table:
    rows = [
        {
            "gap": f"{row['gap']}, {suite.split_label(row['split'])}",
            "first": row["a"],
            "second": row["b"],
            "gap of the first": metric.gap(row["gap_a"]),
            "gap of the second": metric.gap(row["gap_b"]),
            "difference": metric.gap(row["difference"], row["low"], row["high"]),
            "p": probability(row["p"]),
            "p (Holm)": probability(row["p_holm"]),
            "verdict": row["verdict"],
        }
        for row in table.sort_values("gap", kind="stable", ascending=False).to_dict("records")
    ]
    return Table(
        name=name,
        title="Whose gap is smaller",
        caption=f"Gap of the first minus gap of the second in {_unit(metric)}, paired on the same episodes and "
        f"seeds, positive where the first loses more; 95% {interval_words(table)}. {correction}",
        frame=pd.DataFrame(rows),
        labels=3,
        plain=frozenset({"verdict"}),
    )


def of_two(found: Comparisons, a: str, b: str, suite: Suite, metric: Metric) -> list[Table]:
    """What `metagap.analysis.comparisons.compare` found, scores by role, then gaps."""
    scores, gaps = (frame[frame["statistic"] == metric.statistic] for frame in found)
    rows = [
        {"role": pair["role"], **_in_full(pair, suite.split_label(pair["split"]), metric)}
        for pair in scores.to_dict("records")
    ]
    corrected = correction(pd.concat([scores, gaps]), "this pair, chosen before its results were seen")
    table = Table(
        name="comparison",
        title=f"{a} − {b} in {_unit(metric)}",
        caption=f"Positive: {a} is better; 95% {interval_words(scores)}. {corrected}",
        frame=pd.DataFrame(rows).drop(columns=["first", "second", "episodes won"]),
        labels=2,
        plain=frozenset({"verdict"}),
    )
    return [table] if gaps.empty else [table, _of_gaps(gaps, "gap-comparison", suite, metric, "")]


def _unit(metric: Metric) -> str:
    """Of differences, with what is compared where that is not the means."""
    return metric.gap_unit if metric.statistic == "mean" else f"{metric.gap_unit} ({STATISTICS[metric.statistic]}s)"


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


def _folded_gaps(frames: Frames) -> str:
    """So are many differences of gaps."""
    count = len(frames.headline_gap_pairs())
    return f"All {count} differences of gaps" if count > LONG else ""


def computed(frames: Frames) -> str:
    """How the differences of scores come about."""
    rows = frames.headline_pairs()
    return joined(PAIRED, interval_computed(rows, "the difference"), P_VALUE, frames.correction, FAMILY)


def computed_in_full(frames: Frames) -> str:
    """The same, with all columns."""
    return joined(computed(frames), IMPROVEMENT)


def computed_of_gaps(frames: Frames) -> str:
    """How the differences of gaps come about."""
    rows = frames.headline_gap_pairs()
    return joined(
        "The gap of the first minus the gap of the second, which is the interaction of algorithm and split: it is not "
        "what two differences of scores show.",
        PAIRED,
        interval_computed(rows, "the difference"),
        P_VALUE,
        frames.correction,
        FAMILY,
    )


COMPARISONS = TableKind(name="comparisons", section="comparisons", make=comparisons, folded=_folded, computed=computed)
GAP_COMPARISONS = TableKind(
    name="gap-comparisons",
    section="comparisons",
    make=gap_comparisons,
    folded=_folded_gaps,
    computed=computed_of_gaps,
)
COMPARISONS_ALL = TableKind(
    name="comparisons-all",
    section="comparisons",
    make=all_comparisons,
    folded="Every comparison in full",
    computed=computed_in_full,
)
