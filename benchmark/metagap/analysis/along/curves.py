"""Scores and gaps against the iterations of meta-training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from metagap.analysis.gaps import DOMAIN_GAP, TASK_GAP
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import LEVEL, Term, headline, headline_estimate, headline_kind

if TYPE_CHECKING:
    from metagap.results import Results

Checkpoints = Mapping[int, Grids]
"""Iteration -> the grids of the scores at it, in ascending order."""
KINDS = (TASK_GAP, DOMAIN_GAP)
"""The gaps that are followed along training."""
SCORE_COLUMNS = [
    "algorithm", "split", "role", "iteration", "statistic", "score", "low", "high", "interval", "seeds", "n_episodes",
]  # fmt: skip
GAP_COLUMNS = [
    "algorithm", "gap", "split", "iteration", "statistic", "value", "low", "high", "interval", "p",
    "checkpoints", "all_low", "all_high", "seeds", "n_episodes",
]  # fmt: skip


def checkpoints_of(results: Results) -> Checkpoints:
    """The checkpoints of results; none where training was not followed."""
    return {iteration: Grids(results.at(iteration)) for iteration in results.iterations()}


def untrained(checkpoints: Checkpoints) -> set[str]:
    """The algorithms that have their start alone: what does not train is the same at every checkpoint."""
    grids = next(iter(checkpoints.values()), None)
    return {name for name in grids.algorithms if grids.results.iterations(name) == [0]} if grids else set()


def score_curves(checkpoints: Checkpoints, level: float = LEVEL) -> pd.DataFrame:
    """One row per algorithm x split x iteration x statistic: the score with its headline interval.

    The columns mean what they mean in `metagap.analysis.scores.score_table`; the interval is of this one iteration.
    """
    rows: list[dict[str, Any]] = []
    for iteration, grids in checkpoints.items():
        for algorithm, split, _ in grids.keys:
            if (scores := grids.get(algorithm, split)) is None:
                continue
            about = {"algorithm": algorithm, "split": split, "role": grids.role(split), "iteration": iteration}
            for statistic in grids.statistics:
                found = headline([Term(scores.to_numpy())], statistic, level, grids.metric.score_bounds)
                value = {"score": found.center, "low": found.low, "high": found.high, "interval": found.kind}
                size = dict(zip(("seeds", "n_episodes"), scores.shape, strict=True))
                rows.append(about | {"statistic": statistic} | value | size)
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def gap_curves(checkpoints: Checkpoints, level: float = LEVEL) -> pd.DataFrame:
    """One row per algorithm x gap x split x iteration x statistic, the iterations of a curve in ascending order.

    - value, low, high, interval: of the gap at this one iteration, as `metagap.analysis.gaps.gap_table` has it.
    - p: two-sided, of "there is no gap at this iteration", not corrected.
    - checkpoints: how many the curve has; 1 for an algorithm that does not train.
    - all_low, all_high: intervals that hold at all of them together with the probability `level` (Bonferroni: each has
      the level 1 - (1 - level) / checkpoints).
    - seeds, n_episodes: of the smallest split involved.
    """
    found = [
        (kind.name, algorithm, iteration, contrast, grids)
        for iteration, grids in checkpoints.items()
        for kind in KINDS
        for algorithm in grids.algorithms
        for contrast in kind.compute(grids, algorithm)
    ]
    counts = pd.Series([(gap, algorithm, one.split) for gap, algorithm, _, one, _ in found], dtype=object)
    counts = counts.value_counts().to_dict()
    alike = untrained(checkpoints)
    rows: list[dict[str, Any]] = []
    for gap, algorithm, iteration, (split, terms, _), grids in found:
        number = 1 if algorithm in alike else counts[gap, algorithm, split]
        together = 1 - (1 - level) / number
        for statistic in grids.statistics:
            estimate = headline_estimate(terms, statistic, grids.metric.score_bounds)
            one, all_ = (estimate.interval(*headline_kind(terms), at) for at in (level, together))
            rows.append(
                {
                    "algorithm": algorithm,
                    "gap": gap,
                    "split": split,
                    "iteration": iteration,
                    "statistic": statistic,
                    "value": one.center,
                    "low": one.low,
                    "high": one.high,
                    "interval": one.kind,
                    "p": estimate.p_value(),
                    "checkpoints": number,
                    "all_low": all_.low,
                    "all_high": all_.high,
                    "seeds": len(terms[0].values),
                    "n_episodes": min(term.n_episodes for term in terms),
                }
            )
    return pd.DataFrame(rows, columns=GAP_COLUMNS)
