"""Where the uncertainty of a score comes from: the variance components of a seeds x episodes grid.

The value of seed s on episode m is modelled as

    value = mu + seed_s + the sum over the episode's classes of class_c + episode_m + rest_sm

with the estimators of the analysis of variance for two crossed factors (Searle, Casella and McCulloch 1992, chapter 4):
the covariance of two seeds over the episodes is that of the episodes, what is left of their variance is the rest, and
what the rest cannot explain of the variance between the seeds is that of the seeds. The classes are taken out of the
episodes as in `metagap.analysis.classes`.

An accuracy is a mean of Q outcomes of 0 or 1, so that the luck of the queries alone gives it the variance
p (1 - p) / (Q - 1), averaged over the cells. It is taken out of the rest, and what remains is the interaction: that
some runs find some episodes easier. All runs meet the same queries, and luck that they share is counted among the
episodes: the queries take out too much, and the interaction is a lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metagap.analysis.classes import class_effect
from metagap.analysis.grids import STANDARD, Grids
from metagap.analysis.intervals import Array, Summand, Term, mean_of_pairs

if TYPE_CHECKING:
    from metagap.results import Results

SEED = "seed"
CLASSES = "classes"
EPISODE = "episode"
INTERACTION = "seed × episode"
QUERIES = "queries"
REST = "seed × episode and queries"
COMPONENTS = (SEED, CLASSES, EPISODE, INTERACTION, QUERIES, REST)
COLUMNS = [
    "algorithm", "split", "role", "seeds", "n_episodes", "component", "variance", "of_mean", "share", "negative",
]  # fmt: skip


class Crossed(NamedTuple):
    """The components of a sum of K terms, each over episodes of its own; not truncated, so that some may be negative.

    Attributes:
        seed: variance between seeds of what the sum would be over infinitely many episodes.
        episode: variance between the episodes of each term that all seeds share, (K,).
        rest: variance of a single value beyond both, (K,).
        episodes: the number of episodes of each term, (K,).
    """

    seed: float
    episode: Array
    rest: Array
    episodes: NDArray[np.intp]


class Component(NamedTuple):
    """One source of variance.

    Attributes:
        name: of it.
        variance: of its effect on the score of one seed on one episode; 0 where the estimate is negative.
        of_mean: what it adds to the variance of the statistic of the grid, for new seeds, classes and episodes.
        is_negative: whether the estimate was negative, for it is too small to be seen.
    """

    name: str
    variance: float
    of_mean: float
    is_negative: bool


def crossed_components(terms: Sequence[Summand], statistic: str = "mean") -> Crossed:
    """The components of a sum of terms, of two seeds or more; for the mean they are those of the analysis of variance.

    For other statistics they are those of its resampled values, scaled to one episode. nan where values are not finite.
    """
    with np.errstate(invalid="ignore"):
        per_seed = np.sum([term.per_seed(statistic) for term in terms], axis=0)
        episodes = np.array([term.n_episodes for term in terms])
        covariances = [term.episode_covariance(statistic) for term in terms]
        n = len(per_seed)
        total = np.array([np.trace(one) / n for one in covariances])
        shared = np.array([mean_of_pairs(one) for one in covariances])
        seed = per_seed.var(ddof=1) - np.sum(total - shared)
    return Crossed(float(seed), shared * episodes, (total - shared) * episodes, episodes)


def components(
    values: Array, classes: NDArray | None = None, queries: int | None = None, statistic: str = "mean"
) -> list[Component]:
    """The variance components of the scores of one algorithm on one split.

    Args:
        values: (S, M) with at least two seeds and two episodes.
        classes: (M, N), the classes of the episodes; without them they are part of the episodes. Where the design
            cannot tell both apart, too.
        queries: the number of outcomes, 0 or 1, that each value is the mean of; without it the queries are one
            component with the interaction.
        statistic: of the mean only the classes and the queries are known.

    Raises:
        ValueError: for fewer than two seeds or episodes.
    """
    seeds, episodes = values.shape
    if min(seeds, episodes) < 2:
        raise ValueError(f"variance components need two seeds and two episodes, not {seeds} and {episodes}")
    crossed = crossed_components([Term(values)], statistic)
    rest = float(crossed.rest[0])
    found = [_component(SEED, crossed.seed, 1 / seeds)]
    effect = None
    if classes is not None and statistic == "mean":
        effect = class_effect(values.mean(axis=0), classes)
    if classes is None or effect is None or np.isnan(effect.classes):
        found.append(_component(EPISODE, float(crossed.episode[0]), 1 / episodes))
    else:  # the variance of the averaged scores holds that of the rest
        ways = classes.shape[1]
        found.append(_component(CLASSES, ways * effect.classes, effect.weight / ways))
        found.append(_component(EPISODE, effect.episodes - rest / seeds, 1 / episodes))
    if queries is None or queries < 2 or statistic != "mean":
        return [*found, _component(REST, rest, 1 / values.size)]
    luck = float(np.mean(values * (1 - values)) / (queries - 1))
    found.append(_component(INTERACTION, rest - luck, 1 / values.size))
    return [*found, _component(QUERIES, min(luck, rest), 1 / values.size)]


def variance_table(results: Results | Grids) -> pd.DataFrame:
    """One row per algorithm x split x component, in the condition "standard" and the headline metric and statistic.

    Columns: seeds, n_episodes; variance and of_mean as in `Component`, in squared scores; share: of the variance of the
    mean; negative: whether the estimate was, and is shown as zero. Algorithms with one seed have no rows.
    """
    grids = Grids.of(results)
    statistic, rows = grids.metric.statistic, []
    for algorithm, split, condition in grids.keys:
        scores = grids.get(algorithm, split) if condition == STANDARD else None
        if scores is None or min(scores.shape) < 2:
            continue
        classes = grids.classes(algorithm, split)
        found = components(scores.to_numpy(), classes, _queries(grids, split), statistic)
        total = sum(one.of_mean for one in found)
        about = {"algorithm": algorithm, "split": split, "role": grids.role(split)}
        about |= {"seeds": scores.shape[0], "n_episodes": scores.shape[1]}
        for one in found:
            share = one.of_mean / total if total > 0 else np.nan
            row = {"component": one.name, "variance": one.variance, "of_mean": one.of_mean, "share": share}
            rows.append(about | row | {"negative": one.is_negative})
    return pd.DataFrame(rows, columns=COLUMNS)


def _component(name: str, variance: float, weight: float) -> Component:
    kept = max(variance, 0.0) if np.isfinite(variance) else np.nan
    return Component(name, kept, kept * weight, variance < 0)


def _queries(grids: Grids, split: str) -> int | None:
    """The number of outcomes behind a score; None where it is no mean of outcomes."""
    if grids.metric.name != "accuracy" or split not in [one.name for one in grids.suite.splits]:
        return None
    task = grids.suite.split_task(grids.suite.split(split))
    return task.ways * task.queries
