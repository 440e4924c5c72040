"""Scores and gaps that were measured beside what they are exactly, where the exact risk of every run was recorded."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from metagap.analysis.gaps.between import DOMAIN_GAP, TASK_GAP
from metagap.analysis.grids import STANDARD, Grids
from metagap.analysis.intervals import (
    EPISODES,
    LEVEL,
    Bounds,
    Term,
    episodes_estimate,
    headline,
)

RISK, LEAST, BIAS = "exact-risk", "least-risk", "exact-bias"
"""Quantities, in the unit of the squared error."""
OF_TASK_GAP, OTHER_BOUNDS = "stability-bound", ("total-variation-bound", "pac-bayes-gap")
"""Bounds from theory: on the exact task gap, and on what is not known exactly, for it is about a clipped loss."""
METRIC = "mse"
SCORE = "score"
KINDS = (TASK_GAP, DOMAIN_GAP)
COLUMNS = [
    "algorithm", "gap", "split", "value", "low", "high", "interval", "episodes_low", "episodes_high", "exact", "holds",
    "least", "regret", "bias", "seeds", "n_episodes",
]  # fmt: skip


def exact_table(grids: Grids, level: float = LEVEL) -> pd.DataFrame:
    """One row per algorithm x score or gap x split whose exact value is known; in the mean, at the headline step.

    Columns: algorithm, gap ("score" or the name of a kind of gap), split, and

    - value, low, high, interval: as measured, with the headline interval, which speaks of new runs and new episodes.
    - episodes_low/high: of new episodes for these very runs. exact: the mean over these runs of what that interval is
      about; holds: whether it is inside. By chance one of twenty is not.
    - least: the least risk that is possible on a split; regret: the exact risk above it; bias: the part of the risk
      that comes from where adaptation starts (all NaN for gaps).

    Scores are minus the squared error. Empty where nothing exact was recorded, or no squared error.
    """
    found = {name: recorded(grids, name) for name in (RISK, LEAST, BIAS)}
    metric = next((one for one in grids.results.metrics if one.name == METRIC), None)
    if found[RISK].empty or metric is None:
        return pd.DataFrame(columns=COLUMNS)
    grids = Grids.of(grids, metric)
    known = exactly(grids, -found[RISK])
    rows = []
    for algorithm in grids.algorithms:
        truths = {(gap, split): terms for gap, split, terms in contrasts(known, algorithm)}
        for gap, split, terms in contrasts(grids, algorithm):
            truth = truths.get((gap, split))
            if truth is None or len(truth[0].values) < len(terms[0].values):
                continue  # it is not known of every run
            exact = value(truth)
            bounds = metric.score_bounds
            shown, episodes = headline(terms, "mean", level, bounds), _of_episodes(terms, level, bounds)
            rows.append(
                {"algorithm": algorithm, "gap": gap, "split": split}
                | {"value": shown.center, "low": shown.low, "high": shown.high, "interval": shown.kind}
                | {"episodes_low": episodes.low, "episodes_high": episodes.high, "exact": exact}
                | {"holds": bool(episodes.low <= exact <= episodes.high)}
                | (_of_split(found, algorithm, split) if gap == SCORE else {})
                | {"seeds": len(terms[0].values), "n_episodes": min(term.n_episodes for term in terms)}
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def bounds_table(grids: Grids, exact: pd.DataFrame) -> pd.DataFrame:
    """One row per bound from theory x split x algorithm, each the mean over the runs: quantity, split, algorithm,
    bound, and exact, the gap that it is a bound of, NaN where that is not known. exact: see `exact_table`.

    Empty where nothing exact was recorded.
    """
    of_tasks = exact[exact["gap"] == TASK_GAP.name]
    gaps = dict(zip(zip(of_tasks["algorithm"], of_tasks["split"], strict=True), of_tasks["exact"], strict=True))
    rows = []
    for quantity in (OF_TASK_GAP, *OTHER_BOUNDS) if len(exact) else ():
        for (algorithm, split), values in recorded(grids, quantity).groupby(["algorithm", "split"]):
            bound = float(values.mean())
            about = {split: np.nan}
            if quantity == OF_TASK_GAP:  # of a run: it is about every split of new tasks
                about = {new: known for (whose, new), known in gaps.items() if whose == algorithm} or about
            rows += [(quantity, new, algorithm, bound, known) for new, known in about.items()]
    return pd.DataFrame(rows, columns=["quantity", "split", "algorithm", "bound", "exact"])


def recorded(grids: Grids, quantity: str) -> pd.Series:
    """The values of a quantity of the weights that were scored, by algorithm, split and seed, where they are known."""
    rows = grids.results.quantities.query("quantity == @quantity and episode == -1").dropna(subset="value")
    if len(rows):
        cells = grids.results.cells[["algorithm", "seed", "selected_iteration"]]
        rows = rows.merge(cells, on=["algorithm", "seed"]).query("iteration == selected_iteration")
    return rows.set_index(["algorithm", "split", "seed"])["value"].sort_index()


def exactly(grids: Grids, scores: pd.Series) -> Grids:
    """The same grids, in which every run has one single score on each split: by algorithm, split and seed."""
    known = {
        key: pd.DataFrame({0: part.droplevel(["algorithm", "split"])})
        for key, part in scores.groupby(["algorithm", "split"])
    }
    found = copy.copy(grids)
    found.get = lambda algorithm, split, *_, **__: known.get((algorithm, split))
    return found


def contrasts(grids: Grids, algorithm: str) -> Iterator[tuple[str, str, list[Term]]]:
    """Every score and every gap between splits: what it is, the split that it is about, and its terms."""
    for split in grids.plain:
        scores = grids.get(algorithm, split, STANDARD)
        if scores is not None:
            yield SCORE, split, [Term(scores.to_numpy())]
    for kind in KINDS:
        for contrast in kind.compute(grids, algorithm):
            yield kind.name, contrast.split, contrast.terms


def value(terms: list[Term]) -> float:
    """What the terms add up to, in the mean over the runs."""
    return float(np.sum([term.per_seed("mean") for term in terms], axis=0).mean())


def _of_episodes(terms: list[Term], level: float, bounds: Bounds) -> Any:
    return episodes_estimate(terms, "mean", bounds).interval(EPISODES, len(terms[0].values), level)


def _of_split(found: dict[str, pd.Series], algorithm: str, split: str) -> dict[str, float]:
    """Least risk, regret and bias of a score, each the mean over the runs."""

    def mean(name: str) -> float:
        values = found[name]
        return float(values.loc[algorithm, split].mean()) if (algorithm, split) in values.index else np.nan

    return {"least": mean(LEAST), "regret": mean(RISK) - mean(LEAST), "bias": mean(BIAS)}
