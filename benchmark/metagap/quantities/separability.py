"""How well the classes of an episode are apart before anything is adapted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from metagap.quantities.examples import no_features, task_features, task_inputs
from metagap.quantities.quantity import Quantity, Watched

Index = Callable[[np.ndarray, np.ndarray], float]


def _silhouette(z: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(z, y))


def _fisher_ratio(z: np.ndarray, y: np.ndarray) -> float:
    from sklearn.metrics import calinski_harabasz_score

    return calinski_harabasz_score(z, y)


def _each(index: Index, z: Tensor, y: Tensor) -> Tensor:
    """An index of classes of the examples z (T, n, ...) with labels y (T, n): (T,)."""
    tasks = zip(z.detach().flatten(2).double().cpu().numpy(), y.cpu().numpy(), strict=True)
    found = [index(*task) if np.isfinite(task[0]).all() else math.nan for task in tasks]
    return torch.tensor(found, dtype=torch.float64)


def _of_inputs(index: Index) -> Callable[[Watched], Tensor]:
    return lambda watched: _each(index, *task_inputs(watched.target(watched.episodes)))


def _of_features(index: Index) -> Callable[[Watched], Tensor]:
    def measure(watched: Watched) -> Tensor:
        episodes = watched.target(watched.episodes)
        return _each(index, task_features(watched, episodes), task_inputs(episodes)[1])

    return measure


ROUSSEEUW = "Rousseeuw (1987), Silhouettes: a graphical aid to the interpretation and validation of cluster analysis"
SILHOUETTE = (
    "Mean silhouette of an episode's classes by the {} of its examples; near 1 where classes are compact and far "
    "apart, 0 or less where they mix."
)
CALINSKI = "Caliński, Harabasz (1974), A dendrite method for cluster analysis"
FISHER = (
    "Variance between the classes of an episode over that within them, each per degree of freedom, by the {} of its "
    "examples; large where classes are apart, about 1 where they mix."
)

SILHOUETTE_INPUTS = Quantity(
    name="silhouette-inputs",
    about=SILHOUETTE.format("inputs"),
    citation=ROUSSEEUW,
    cost="the distances between the examples of each episode",
    kinds=("classification",),
    measure=_of_inputs(_silhouette),
)
SILHOUETTE_FEATURES = Quantity(
    name="silhouette-features",
    about=SILHOUETTE.format("learned features"),
    citation=ROUSSEEUW,
    cost="1 forward pass per episode",
    kinds=("classification",),
    measure=_of_features(_silhouette),
    applies=no_features,
)
FISHER_RATIO_INPUTS = Quantity(
    name="fisher-ratio-inputs",
    about=FISHER.format("inputs"),
    citation=CALINSKI,
    cost="next to nothing",
    kinds=("classification",),
    measure=_of_inputs(_fisher_ratio),
)
FISHER_RATIO_FEATURES = Quantity(
    name="fisher-ratio-features",
    about=FISHER.format("learned features"),
    citation=CALINSKI,
    cost="1 forward pass per episode",
    kinds=("classification",),
    measure=_of_features(_fisher_ratio),
    applies=no_features,
)
