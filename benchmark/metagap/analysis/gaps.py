"""What an algorithm loses on the way from its training tasks to new tasks and to new domains.

Every gap is a contrast of scores (accuracy, or -MSE), computed per seed first. Sign: a gap is what is lost, "home"
minus "away", so that positive means worse away. Three rows are not losses: "adaptation gain" (after - before),
"transduction gap" (what batch statistics of the whole query set add) and "memorization" (what true support labels add)
are positive where the named thing helps; "zero-step score" is a score.

Only splits with the ways and shots of the suite's own task count, except for "shot and way shift". If several splits
have a role, the first meta-train and the first in-distribution split are the headline ones that gaps are taken from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.grids import AVERAGE, Grids, pair
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


class Gap(NamedTuple):
    """One gap of one algorithm: its name, the split it is about, and the terms that add up to it."""

    name: str
    split: str
    formula: str
    terms: list[Term]


def gap_table(results: Results, level: float = LEVEL) -> pd.DataFrame:
    """One row per algorithm x gap x split x statistic; only the gaps that apply to the suite's splits appear.

    Columns: algorithm, gap (a name of the table in the README), split (what it is about; "average" over the
    cross-domain splits), statistic, value, low, high, interval, seeds, formula. The statistic of a gap is the
    difference of the two sides' statistics, so that it can be read off the score table.

    Interval "seeds": t over the per-seed gaps. With one seed it is "episodes, seeds not sampled": the two sides are
    independent, sqrt(s1^2 / M1 + s2^2 / M2), or paired where they share their episodes.
    """
    grids = Grids(results)
    rows = []
    for algorithm in grids.algorithms:
        for gap in _gaps(grids, algorithm, results.suite):
            for statistic in grids.statistics:
                interval = contrast_interval(gap.terms, statistic, level)
                rows.append(
                    {
                        "algorithm": algorithm,
                        "gap": gap.name,
                        "split": gap.split,
                        "statistic": statistic,
                        "value": interval.center,
                        "low": interval.low,
                        "high": interval.high,
                        "interval": interval.kind,
                        "seeds": len(gap.terms[0].values),
                        "formula": gap.formula,
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS)


def contrast_interval(terms: list[Term], statistic: str = "mean", level: float = LEVEL) -> Interval:
    """The interval of a sum of terms with the same S seeds: over seeds, or over the episodes of the only seed."""
    seeds = len(terms[0].values)
    if seeds > 1:
        return seeds_estimate(terms, statistic).interval(SEEDS, seeds, level)
    n = min(term.n_episodes for term in terms)
    return episodes_estimate(terms, statistic).interval(f"{EPISODES}, {NOT_SAMPLED}", n, level)


def independent(sides: list[pd.DataFrame], weights: list[float]) -> list[Term]:
    """Independent sides, cut to the seeds that all of them have."""
    seeds = sides[0].index
    for side in sides[1:]:
        seeds = seeds.intersection(side.index)
    return [
        Term(np.asarray(side.loc[seeds], dtype=float), weight=weight)
        for side, weight in zip(sides, weights, strict=True)
    ]


def _gaps(grids: Grids, algorithm: str, suite: dict) -> Iterator[Gap]:
    yield from _between_splits(grids, algorithm)
    yield from _within_splits(grids, algorithm)
    yield from _shifts(grids, algorithm, suite)


def _between_splits(grids: Grids, algorithm: str) -> Iterator[Gap]:
    """Gaps between two splits: their episodes are independent."""
    train, recurring = grids.home("meta-train"), grids.home("recurring-task")
    new, domains = grids.home("in-distribution"), grids.home("cross-domain")

    def score(split: str) -> pd.DataFrame | None:
        return grids.get(algorithm, split)

    def normalised(split: str) -> pd.DataFrame | None:
        grid, chance = grids.get(algorithm, split), 1 / grids.splits.at[split, "ways"]
        return None if grid is None else (grid - chance) / (1 - chance)

    def gap(name: str, home: list[str], away: list[str], formula: str, read=score, label=None) -> Iterator[Gap]:
        """First `home` split minus the average of the `away` splits."""
        sides = [read(split) for split in (*home[:1], *away)]
        if home and away and all(side is not None for side in sides):
            weights = [1.0] + [-1 / len(away)] * len(away)
            yield Gap(name, label or away[0], formula, independent(sides, weights))

    yield from gap("task gap", train, new[:1], "meta-train − in-distribution")
    for split in recurring:
        yield from gap("recurring-task gap", train, [split], "meta-train − recurring-task")
    readings = [("domain gap", new, "in-distribution − cross-domain", score)]
    if grids.kind == "classification":
        formula = "in-distribution − cross-domain, each (a − 1/N)/(1 − 1/N)"
        readings.append(("domain gap (chance-normalised)", new, formula, normalised))
    readings.append(("total gap", train, "meta-train − cross-domain", score))
    for name, home, formula, read in readings:
        for split in domains:
            yield from gap(name, home, [split], formula, read)
        yield from gap(name, home, domains, formula, read, AVERAGE)


def _within_splits(grids: Grids, algorithm: str) -> Iterator[Gap]:
    """Gaps within a split: both sides meet the same episodes, so the difference is paired."""
    for split in grids.splits.index[grids.splits["home"]]:
        after = grids.get(algorithm, split)
        before = grids.get(algorithm, split, step=0)
        inductive = grids.get(algorithm, split, "inductive")
        transductive = grids.get(algorithm, split, "transductive")
        # Only the batch-norm mode that is not the suite's own is recorded under its name.
        modes = (after, inductive) if inductive is not None else (transductive, after)
        support = grids.get(algorithm, split, column="support_score")
        shuffled = grids.get(algorithm, split, "shuffled")
        sides = [("within-task gap", support, after, "support − query, after adaptation")]
        if grids.headline[algorithm] > 0:
            sides.append(("adaptation gain", after, before, "after − before adaptation"))
        sides.append(("transduction gap", *modes, "transductive − inductive"))
        sides.append(("memorization", after, shuffled, "true − shuffled support labels"))
        for name, left, right, formula in sides:
            paired = pair(left, right)
            if paired is not None:
                yield Gap(name, split, formula, [Term(*paired)])
        if before is not None:
            yield Gap("zero-step score", split, "score before adaptation", [Term(before.to_numpy())])


def _shifts(grids: Grids, algorithm: str, suite: dict) -> Iterator[Gap]:
    """The same tasks at other ways and shots; a split without a home counterpart of its role and source is left out."""
    sources = {split["name"]: split.get("source") for split in suite["splits"]}
    for split, about in grids.splits[~grids.splits["home"]].iterrows():
        peers = grids.home(about["role"])
        same_source = [peer for peer in peers if sources.get(peer) == sources.get(split)]
        if about["role"] == "in-distribution":
            same_source += peers
        if not same_source:
            continue
        home = same_source[0]
        sides = [grids.get(algorithm, home), grids.get(algorithm, split)]
        if all(side is not None for side in sides):
            yield Gap(
                "shot and way shift",
                split,
                "the suite's ways and shots − other ways and shots",
                independent(sides, [1.0, -1.0]),
            )
