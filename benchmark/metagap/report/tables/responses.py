"""Responses: what is lost on average over the strengths, where half of it is lost, and who loses less."""

from __future__ import annotations

import math

import pandas as pd

from metagap.analysis.responses import AT_FLOOR, NO_FLOOR
from metagap.report.computed import P_VALUE, PAIRED, interval_computed, joined, statistic_words
from metagap.report.frames import Frames, interval_words, values_by
from metagap.report.panels import TableKind
from metagap.report.table import Table
from metagap.text import MISSING, probability

LONG = 30
"""Tables of more rows are folded."""


def areas(frames: Frames) -> Table | None:
    """Response by algorithm: the area; None without responses."""
    table = frames.headline_rows(frames.responses.areas)
    if table.empty:
        return None
    cells = values_by(table, ["response", "algorithm"], ["area", "low", "high"])
    names = [name for name in frames.algorithms if name in set(table["algorithm"])]
    rows = [
        {"response": family.name, "strengths": _strengths(family.strengths)}
        | {name: frames.metric.gap(*cells.get((family.name, name), [math.nan] * 3)) for name in names}
        for family in frames.families
        if family.name in set(table["response"])
    ]
    return Table(
        name="response-areas",
        title="Responses: what is lost on average",
        caption=f"In {frames.metric.gap_unit}: the score without the shift minus the mean score over the strengths, "
        f"the area between the two; positive where the shift costs something. 95% {interval_words(table)}.",
        frame=pd.DataFrame(rows, columns=["response", "strengths", *names]),
        labels=2,
    )


def halves(frames: Frames) -> Table | None:
    """Response by algorithm: the half-effect strength; None without responses."""
    table = frames.headline_rows(frames.responses.areas)
    if table.empty or not (table["remark"] != NO_FLOOR).any():
        return None
    columns = ["half", "half_low", "half_high", "strongest", "remark"]
    cells = values_by(table, ["response", "algorithm"], columns)
    names = [name for name in frames.algorithms if name in set(table["algorithm"])]
    rows = [
        {"response": family.name}
        | {name: half(*cells[family.name, name]) if (family.name, name) in cells else MISSING for name in names}
        for family in frames.families
        if family.name in set(table["response"])
    ]
    return Table(
        name="response-halves",
        title="Responses: where half is lost",
        caption="The strength at which half of what an algorithm is better than guessing by, without the shift, is "
        f"lost. 95% interval in brackets. “>”: beyond the strengths that were tried. “{MISSING}”: {AT_FLOOR}.",
        frame=pd.DataFrame(rows, columns=["response", *names]),
    )


def half(value: float, low: float, high: float, strongest: float, remark: str) -> str:
    """A half-effect strength with its interval, ordered as on the axis of strengths."""
    if remark:
        return MISSING
    ends = sorted([low, high])
    if all(map(math.isinf, (value, *ends))):
        return strength(value, strongest)
    return f"{strength(value, strongest)} [{strength(ends[0], strongest)}, {strength(ends[1], strongest)}]"


def strength(value: float, strongest: float) -> str:
    """One strength, or that it lies beyond the strongest that was tried."""
    if math.isinf(value):
        return f"{'>' if value > 0 else '<'} {strongest:g}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def _strengths(strengths: list[float]) -> str:
    return f"{strengths[0]:g} to {strengths[-1]:g}".replace("-", "−")


def pairs(frames: Frames) -> Table | None:
    """Whose area is smaller; None without two algorithms."""
    table = frames.headline_rows(frames.responses.pairs)
    if table.empty:
        return None
    rows = [
        {
            "response": row["response"],
            "first": row["a"],
            "second": row["b"],
            "area of the first": frames.metric.gap(row["area_a"]),
            "area of the second": frames.metric.gap(row["area_b"]),
            "difference": frames.metric.gap(row["difference"], row["low"], row["high"]),
            "p": probability(row["p"]),
            "p (Holm)": probability(row["p_holm"]),
            "verdict": row["verdict"],
        }
        for row in table.to_dict("records")
    ]
    return Table(
        name="response-comparisons",
        title="Responses: whose area is smaller",
        caption=f"Area of the first minus area of the second in {frames.metric.gap_unit}, paired on the same episodes "
        f"and seeds, positive where the first loses more; 95% {interval_words(table)}. {corrected(frames)}",
        frame=pd.DataFrame(rows),
        labels=3,
        plain=frozenset({"verdict"}),
    )


def corrected(frames: Frames) -> str:
    """What the verdicts are corrected for."""
    table = frames.headline_rows(frames.responses.pairs)
    family = int(table["family"].max()) if len(table) else 0
    if not family:
        return "Nothing is claimed from fewer than 3 seeds."
    return (
        f"Significant at p < 0.05 after Holm's correction over {f'all {family} areas' if family > 1 else 'it'}, a "
        "family of its own beside that of the scores and gaps; the intervals are not corrected."
    )


def areas_computed(frames: Frames) -> str:
    """How the areas come about."""
    return joined(
        statistic_words(frames),
        "The score at a strength is that of the same test episodes, shifted: straight lines join the strengths "
        "(trapezoid). The area is a weighted sum of these scores, and its interval that of the sum, in which the luck "
        "of the episodes that all strengths share is counted once.",
        interval_computed(frames.headline_rows(frames.responses.areas), "the area"),
    )


def halves_computed(frames: Frames) -> str:
    """How the half-effect strengths come about."""
    return joined(
        "Half effect: the first strength at which the score, on straight lines between the strengths, is halfway from "
        "that without the shift to the score of guessing; in regression to that of the trivial predictor, by its mean "
        "loss at the same strength, which is taken as known.",
        "The interval holds every strength at which the score is not significantly different from that halfway score "
        "(p ≥ 0.05, Fieller's idea), from the least to the greatest. It has no end where the strongest shift is not "
        "significantly below halfway.",
    )


def pairs_computed(frames: Frames) -> str:
    """How the comparisons come about."""
    rows = frames.headline_rows(frames.responses.pairs)
    return joined(PAIRED, interval_computed(rows, "the difference"), P_VALUE, corrected(frames))


def _folded(frames: Frames) -> str:
    count = len(frames.headline_rows(frames.responses.pairs))
    return f"All {count} comparisons of areas" if count > LONG else ""


AREAS = TableKind(name="response-areas", section="responses", make=areas, computed=areas_computed)
HALVES = TableKind(name="response-halves", section="responses", make=halves, computed=halves_computed)
PAIRS = TableKind(name="response-comparisons", section="responses", make=pairs, folded=_folded, computed=pairs_computed)
