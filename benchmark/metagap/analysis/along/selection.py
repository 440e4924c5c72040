"""What it costs to select an iteration without knowing the target.

Three rules choose an iteration for each run: the last one; the best on the validation tasks; the best on the target
itself, the oracle, which nobody has. An oracle that is scored on the episodes it was chosen on is favoured by their
luck, so that it is cross-fitted: the episodes of the target are cut into two halves, the iteration is chosen on one and
scored on the other, both ways. The validation tasks are other tasks than the target's, and all of them choose.

The oracle chooses on half of the episodes, so that it too can miss the best iteration; where iterations hardly differ a
cost can be negative. Iterations between two checkpoints are not seen by any rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from metagap.analysis.along.curves import Checkpoints, untrained
from metagap.analysis.comparisons import holm
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import (
    CLAIMS_FROM,
    LEVEL,
    Array,
    Term,
    headline,
    headline_estimate,
    headline_kind,
    summarise,
)

if TYPE_CHECKING:
    from metagap.results import Results

LAST, VALIDATION, ORACLE = "last", "best on validation", "best on the target"
COSTS, NO_COST = "costs", "cannot tell"
COST_COLUMNS = [
    "algorithm", "split", "role", "rule", "statistic", "score", "score_low", "score_high",
    "oracle", "cost", "low", "high", "interval", "p", "p_holm", "family", "verdict", "checkpoints", "seeds",
    "n_episodes",
]  # fmt: skip
SELECTED_COLUMNS = ["algorithm", "seed", "statistic", "selection", "selected", "is_checkpoint", "validation", "same"]


def selection_costs(checkpoints: Checkpoints, level: float = LEVEL) -> pd.DataFrame:
    """One row per algorithm x split x rule x statistic, of the rules "last" and "best on validation".

    - score: of the iterations that the rule chooses; oracle: of those that are best on the target, cross-fitted.
    - cost: oracle - score, paired on runs and episodes; low, high, interval, p: over new runs and new episodes, not
      corrected.
    - p_holm, family: p corrected by Holm over all costs of the statistic; nan below three seeds, for which nothing is
      claimed. verdict: "costs" if p_holm < 1 - level and the cost is positive, else "cannot tell".
    """
    rows: list[dict[str, Any]] = []
    for grids, algorithm, split in _targets(checkpoints):
        validation = grids.home("meta-val")[:1]
        runs = met(checkpoints, algorithm, [split, *validation])
        if runs is None:
            continue
        scores, *others = runs.scores
        about = {"algorithm": algorithm, "split": split, "role": grids.role(split), "checkpoints": len(scores)}
        for statistic in grids.statistics:
            oracle = cross_fitted(scores, statistic)
            picks = {LAST: np.full(len(runs.seeds), len(scores) - 1)}
            if others:
                picks[VALIDATION] = best(others[0], statistic)
            for rule, chosen in picks.items():
                found = _cost(grids, oracle, taken(scores, chosen), statistic, level)
                rows.append(about | {"rule": rule, "statistic": statistic} | found)
    table = pd.DataFrame(rows, columns=COST_COLUMNS)
    claimed = table["seeds"] >= CLAIMS_FROM
    family = table[claimed].groupby("statistic")["p"]
    table["p_holm"] = family.transform(lambda p: holm(p.to_numpy())).reindex(table.index).astype(float)
    table["family"] = family.transform("size").reindex(table.index, fill_value=0).astype(int)
    is_cost = (table["p_holm"] < 1 - level) & (table["cost"] > 0)
    return table.assign(verdict=np.where(is_cost, COSTS, NO_COST))


def selected_iterations(results: Results, checkpoints: Checkpoints) -> pd.DataFrame:
    """One row per run x statistic: what the run selected, and which checkpoint is best on validation.

    - selection, selected: how the run chose its iteration, and which. is_checkpoint: whether it is one of ours.
    - validation: the checkpoint that is best on the validation tasks. same: whether it is the one that was selected.
    """
    chosen = {}
    if not results.cells.empty and "selected_iteration" in results.cells:
        cells = results.cells[["algorithm", "seed", "selection", "selected_iteration"]].itertuples(index=False)
        chosen = {(algorithm, seed): (how, int(iteration)) for algorithm, seed, how, iteration in cells}
    rows: list[dict[str, Any]] = []
    for grids, algorithm, split in _targets(checkpoints, "meta-val"):
        runs = met(checkpoints, algorithm, [split])
        if runs is None:
            continue
        for statistic in grids.statistics:
            for seed, place in zip(runs.seeds, best(runs.scores[0], statistic), strict=True):
                how, selected = chosen.get((algorithm, seed), ("none", -1))
                found = runs.iterations[place]
                rows.append(
                    {
                        "algorithm": algorithm,
                        "seed": seed,
                        "statistic": statistic,
                        "selection": how,
                        "selected": selected,
                        "is_checkpoint": selected in runs.iterations,
                        "validation": found,
                        "same": selected == found,
                    }
                )
    return pd.DataFrame(rows, columns=SELECTED_COLUMNS)


def best(scores: Array, statistic: str = "mean") -> np.ndarray:
    """Which checkpoint is best for each run, the first of equal ones: (K, S, M) -> (S,); no number is the worst."""
    values = summarise(scores, statistic)
    return np.argmax(np.where(np.isnan(values), -np.inf, values), axis=0)


def taken(scores: Array, chosen: np.ndarray) -> Array:
    """The scores at the chosen checkpoint of each run: (K, S, M) and (S,) -> (S, M)."""
    return scores[chosen, np.arange(scores.shape[1])]


def cross_fitted(scores: Array, statistic: str = "mean") -> Array:
    """The scores (S, M) of the best of K checkpoints, each chosen on the other half of the episodes: (K, S, M).

    The halves are every second episode, so that both have the same number. One episode cannot be cut: it is nan.
    """
    found = np.full(scores.shape[1:], np.nan)
    halves = slice(0, None, 2), slice(1, None, 2)
    if scores.shape[2] > 1:
        for mine, other in (halves, halves[::-1]):
            found[:, mine] = taken(scores[:, :, mine], best(scores[:, :, other], statistic))
    return found


def _cost(grids: Grids, oracle: Array, scores: Array, statistic: str, level: float) -> dict[str, Any]:
    bounds = grids.metric.score_bounds
    terms = [Term(oracle, scores)]
    estimate = headline_estimate(terms, statistic, bounds)
    cost = estimate.interval(*headline_kind(terms), level)
    score = headline([Term(scores)], statistic, level, bounds)
    return {
        "score": score.center,
        "score_low": score.low,
        "score_high": score.high,
        "oracle": float(summarise(oracle, statistic).mean()),
        "cost": cost.center,
        "low": cost.low,
        "high": cost.high,
        "interval": cost.kind,
        "p": estimate.p_value(),
        "seeds": len(scores),
        "n_episodes": scores.shape[1],
    }


class Met(NamedTuple):
    """What the runs of an algorithm scored on some splits at K checkpoints, each (K, S, M)."""

    iterations: list[int]
    seeds: list[int]
    scores: list[Array]


def met(checkpoints: Checkpoints, algorithm: str, splits: Sequence[str]) -> Met | None:
    """On the checkpoints, runs and episodes that all of them have; None where there is nothing to choose from."""
    found: dict[int, list[pd.DataFrame]] = {}
    for iteration, grids in checkpoints.items():
        here = [grids.get(algorithm, split) for split in splits if algorithm in grids.algorithms]
        there = [grid for grid in here if grid is not None]
        if len(there) == len(splits):
            found[iteration] = there
    if len(found) < 2:
        return None
    seeds = reduce(pd.Index.intersection, [grid.index for there in found.values() for grid in there])
    scores = []
    for of_split in zip(*found.values(), strict=True):
        episodes = reduce(pd.Index.intersection, [grid.columns for grid in of_split])
        scores.append(np.stack([_values(grid, seeds, episodes) for grid in of_split]))
    return Met(list(found), [int(seed) for seed in seeds], scores) if len(seeds) else None


def _values(grid: pd.DataFrame, seeds: pd.Index, episodes: pd.Index) -> Array:
    """The part of a grid, without a look-up where it is all of it."""
    whole = grid.index.equals(seeds) and grid.columns.equals(episodes)
    return (grid if whole else grid.loc[seeds, episodes]).to_numpy(float)


def _targets(checkpoints: Checkpoints, *roles: str) -> list[tuple[Grids, str, str]]:
    """(grids, algorithm, split) for every split of these roles, by default all for the test, of what trains."""
    found, alike = {}, untrained(checkpoints)
    for grids in checkpoints.values():
        for algorithm, split, _ in grids.keys:
            role = grids.role(split)
            wanted = role in roles if roles else role != "meta-val"
            if wanted and algorithm not in alike:
                found.setdefault((algorithm, split), grids)
    return [(grids, *names) for names, grids in found.items()]
