"""The diversity coefficient: how different the tasks of a split are from each other."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from metagap.errors import UserError
from metagap.quantities.examples import no_features, task_inputs
from metagap.quantities.quantity import Quantity, Watched
from metagap.quantities.task2vec import EXAMPLES, embedding

PREFIX = "features."


def _measure(watched: Watched) -> float:
    """The mean distance between two of the split's tasks."""
    module = watched.algorithm.part("features")
    weights = {name.removeprefix(PREFIX): v for name, v in watched.meta.items() if name.startswith(PREFIX)}
    if not any(value.ndim > 1 for value in weights.values()):
        raise UserError("the features of the model have no trained linear or convolutional layer")
    x, y = task_inputs(watched.target(watched.episodes))
    classes = watched.spec.kind.has_ways
    embedded = [embedding(module, weights, *task, classes=classes) for task in zip(x, y, strict=True)]
    return mean_distance(torch.stack(embedded))


def mean_distance(embedded: Tensor) -> float:
    """The mean over all pairs of tasks, of embeddings (T, filters)."""
    pairs = combinations(embedded, 2)
    return float(torch.stack([distance(a, b) for a, b in pairs]).mean())


def distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - the cosine between a / (a + b) and b / (a + b): the symmetric distance of Achille et al. (2019), section 3.2.

    Parts that are zero in both count for nothing.
    """
    total = a + b
    a, b = (torch.where(total > 0, one / total, 0.0) for one in (a, b))
    return 1 - (a @ b) / (a.norm() * b.norm())


DIVERSITY = Quantity(
    name="diversity",
    about="Diversity coefficient: mean cosine distance between the Task2Vec embeddings of two tasks of the split, by "
    "the learned features; near 0 where tasks ask the same of the network, large where they ask for different things.",
    citation="Miranda, Yu, Wang, Koyejo (2022), The Curse of Low Task Diversity, arXiv 2208.01545; Achille et al. "
    "(2019), Task2Vec, ICCV",
    cost=f"1 gradient per way and example of each episode, of {EXAMPLES} examples at most",
    measure=_measure,
    applies=no_features,
)
