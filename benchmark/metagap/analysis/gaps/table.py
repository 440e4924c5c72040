"""The gaps of all algorithms as a data frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from metagap.analysis.gaps.builtin import GAPS
from metagap.analysis.gaps.kind import Contrast, GapKind
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import (
    EPISODES,
    LEVEL,
    NOT_SAMPLED,
    SEEDS,
    Interval,
    Term,
    episodes_estimate,
    seeds_estimate,
)

if TYPE_CHECKING:
    from metagap.results import Results

COLUMNS = ["algorithm", "gap", "split", "statistic", "value", "low", "high", "interval", "seeds", "formula"]


def gap_table(
    results: Results | Grids,
    kinds: Sequence[GapKind] = GAPS,
    level: float = LEVEL,
    failed: Callable[[str], object] | None = None,
) -> pd.DataFrame:
    """One row per algorithm x gap x split x statistic; only the gaps that apply to the suite's splits appear.

    Columns: algorithm, gap (the name of its kind), split (what it is about; "average" over the cross-domain splits),
    statistic, value, low, high, interval, seeds, formula. The statistic of a gap is the difference of the two sides'
    statistics, so that it can be read off the score table.

    Interval "seeds": t over the per-seed gaps. With one seed it is "episodes, seeds not sampled": the two sides are
    independent, sqrt(s1^2 / M1 + s2^2 / M2), or paired where they share their episodes.

    Args:
        results: of one suite.
        kinds: of gap, in the order of the rows.
        level: of the intervals.
        failed: is called with a sentence for each kind that cannot be computed, and the table goes on without it. Not
            given, its error is raised.
    """
    grids = Grids.of(results)
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        try:
            rows += [row for algorithm in grids.algorithms for row in _rows(grids, kind, algorithm, level)]
        except Exception as error:
            if failed is None:
                raise
            failed(f"The gap '{kind.name}' cannot be computed: {type(error).__name__}: {error}.")
    return pd.DataFrame(rows, columns=COLUMNS)


def contrast_interval(terms: list[Term], statistic: str = "mean", level: float = LEVEL) -> Interval:
    """The interval of a sum of terms with the same S seeds: over seeds, or over the episodes of the only seed."""
    seeds = len(terms[0].values)
    if seeds > 1:
        return seeds_estimate(terms, statistic).interval(SEEDS, seeds, level)
    n = min(term.n_episodes for term in terms)
    return episodes_estimate(terms, statistic).interval(f"{EPISODES}, {NOT_SAMPLED}", n, level)


def _rows(grids: Grids, kind: GapKind, algorithm: str, level: float) -> Iterator[dict[str, Any]]:
    for contrast in kind.compute(grids, algorithm):
        for statistic in grids.statistics:
            yield _row(kind, algorithm, contrast, statistic, level)


def _row(kind: GapKind, algorithm: str, contrast: Contrast, statistic: str, level: float) -> dict[str, Any]:
    interval = contrast_interval(contrast.terms, statistic, level)
    return {
        "algorithm": algorithm,
        "gap": kind.name,
        "split": contrast.split,
        "statistic": statistic,
        "value": interval.center,
        "low": interval.low,
        "high": interval.high,
        "interval": interval.kind,
        "seeds": len(contrast.terms[0].values),
        "formula": kind.formula,
    }
