"""The gaps of all algorithms as a data frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metagap.analysis.gaps.builtin import GAPS
from metagap.analysis.gaps.kind import Contrast, GapKind
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import (
    DOMAINS,
    EPISODES,
    LEVEL,
    SEEDS,
    UNBOUNDED,
    Estimate,
    Interval,
    Term,
    domains_estimate,
    episodes_estimate,
    headline_estimate,
    headline_kind,
    seeds_estimate,
)

if TYPE_CHECKING:
    from metagap.results import Results

COLUMNS = [
    "algorithm", "gap", "split", "statistic", "unit", "value", "low", "high", "interval",
    "seeds_low", "seeds_high", "episodes_low", "episodes_high", "domains_low", "domains_high",
    "seeds", "domains", "formula",
]  # fmt: skip


def gap_table(
    results: Results | Grids,
    kinds: Sequence[GapKind] = GAPS,
    level: float = LEVEL,
    failed: Callable[[str], object] | None = None,
) -> pd.DataFrame:
    """One row per algorithm x gap x split x statistic; only the gaps that apply to the suite's splits appear.

    Columns: algorithm, gap (the name of its kind), split (what it is about; "average" over the cross-domain splits),
    statistic, unit, value, low, high, interval, seeds, domains (how many are averaged over), formula. The statistic of
    a gap is the difference of the two sides' statistics, so that it can be read off the score table.

    - low, high, interval: the headline, "crossed": new training runs and new episodes of every split involved. With one
      seed it is "episodes, seeds not sampled".
    - seeds_low/high: new training runs on these episodes. episodes_low/high: new episodes for these runs.
    - domains_low/high: of an average, new domains as well, as if these were a sample of domains like them.

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


def _rows(grids: Grids, kind: GapKind, algorithm: str, level: float) -> Iterator[dict[str, Any]]:
    for contrast in kind.compute(grids, algorithm):
        for statistic in grids.statistics:
            if (row := _row(grids, kind, contrast, statistic, level)) is not None:
                yield {"algorithm": algorithm, "gap": kind.name, "formula": kind.formula} | row


def _row(grids: Grids, kind: GapKind, contrast: Contrast, statistic: str, level: float) -> dict[str, Any] | None:
    """None where a ratio is to be taken and there are no errors to divide by."""
    terms, bounds = contrast.terms, grids.metric.score_bounds if kind.unit == "score" else UNBOUNDED
    center = None
    if kind.unit == "ratio":
        center, terms = log_ratio(terms, statistic, grids.metric.best_score)
        if not math.isfinite(center):
            return None
    seeds, domains = len(terms[0].values), contrast.domains

    def ends(estimate: Estimate, name: str, n: int) -> Interval:
        estimate = estimate if center is None else estimate._replace(center=center)
        interval = estimate.interval(name, n, level)
        if center is None:
            return interval
        with np.errstate(over="ignore"):
            value, low, high = np.exp(interval[:3])
        return Interval(float(value), float(low), float(high), name, n)

    found = ends(headline_estimate(terms, statistic, bounds), *headline_kind(terms))
    row = {"value": found.center, "low": found.low, "high": found.high, "interval": found.kind}
    others = {SEEDS: seeds_estimate, EPISODES: episodes_estimate}
    for name, estimate in others.items():
        interval = ends(estimate(terms, statistic, bounds), name, seeds)
        row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    if domains:
        interval = ends(domains_estimate(terms, domains, statistic, bounds), DOMAINS, domains)
        row |= {"domains_low": interval.low, "domains_high": interval.high}
    about = {"split": contrast.split, "statistic": statistic, "unit": kind.unit}
    return about | row | {"seeds": seeds, "domains": domains}


def log_ratio(terms: Sequence[Term], statistic: str, best: float) -> tuple[float, list[Term]]:
    """The logarithm of error away / error at home, and terms whose sum varies as it does (the delta method).

    terms: of a difference of scores, positive weights at home and negative ones away; the weights of each side add up
    to one. best: the score without any error. The logarithm is not finite where a side has no error.
    """
    errors = {
        side: best - side * sum(term.per_seed(statistic).mean() for term in terms if term.weight * side > 0)
        for side in (1, -1)
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        center = float(np.log(errors[-1]) - np.log(errors[1]))
        scaled = [term._replace(weight=term.weight / errors[1 if term.weight > 0 else -1]) for term in terms]
    return center, scaled
