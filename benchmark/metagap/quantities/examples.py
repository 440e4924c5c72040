"""Examples of training tasks and of a split's tasks as two samples, whose distributions can be compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor, nn

from metagap.algorithms.base import Params
from metagap.errors import UserError
from metagap.quantities.quantity import Watched
from metagap.tasks.episode import Episode

MOST = 500
"""Examples of each sample; of more, these are chosen at random."""
DIMENSIONS = 256
"""Of an example; of more, the leading principal components of both samples together are taken."""

SIDES = ("source", "target")


class Samples(NamedTuple):
    """Examples of training tasks (n, d) and of the split's tasks (m, d), float64, at the same scale.

    The scale is that of the training examples: their total variance is 1. For regression, an example is a pair of
    input and target, each at its own scale, so that the total variance is 2.
    """

    source: np.ndarray
    target: np.ndarray
    identity: np.ndarray
    """(n + m,): examples with the same input have the same number."""
    task: np.ndarray
    """(n + m,): so have those of the same task; those of both sides are numbered on."""


def inputs(watched: Watched) -> Samples:
    """The examples as they are given to the network, normalisation included."""
    return _samples(watched, _inputs)


def features(watched: Watched) -> Samples:
    """The features of the examples, at the meta-parameters; those of a task are computed as one batch."""
    return _samples(watched, lambda episodes: task_features(watched, episodes))


def task_inputs(episodes: Episode) -> tuple[Tensor, Tensor]:
    """All examples of each task, support before queries: x (T, n, ...) and y (T, n, ...)."""
    return torch.cat([episodes.support_x, episodes.query_x], 1), torch.cat([episodes.support_y, episodes.query_y], 1)


def task_features(watched: Watched, episodes: Episode) -> Tensor:
    """Features (T, n, width) of all examples of each task, not adapted: support and queries are one batch."""

    def one_task(meta: Params, task: Episode) -> Tensor:
        return watched.algorithm.features(meta, torch.cat([task.support_x, task.query_x]))

    return watched.each(one_task, episodes)


def no_features(watched: Watched) -> str:
    """Why the network has no features to look at, in words; empty where it has."""
    algorithm, name = watched.algorithm, type(watched.algorithm.network).__name__
    module = getattr(algorithm.network, "features", None)
    if not isinstance(module, nn.Module):
        return f"model {name} has no module `features`"
    names = [f"features.{key}" for key, value in module.named_parameters() if value.requires_grad]
    if any(key not in watched.meta and algorithm.ties.get(key) not in watched.meta for key in names):
        return f"{type(algorithm).__name__} does not keep the weights of the model's features under their names"
    return ""


def _inputs(episodes: Episode) -> Tensor:
    return task_inputs(episodes)[0].flatten(2)


def _samples(watched: Watched, look: Callable[[Episode], Tensor]) -> Samples:
    """The samples of what the examples (T, n, ...) look like: (T, n, width)."""
    sides = [watched.source(watched.episodes), watched.target(watched.episodes)]
    views = [look] if watched.spec.kind.has_ways else [look, lambda episodes: task_inputs(episodes)[1].flatten(2)]
    rows = [_chosen(one, watched.generator(f"examples of {name}")) for name, one in zip(SIDES, sides, strict=True)]

    def sample(view: Callable[[Episode], Tensor]) -> list[np.ndarray]:
        return [view(one).detach().flatten(0, 1).cpu()[row].numpy() for one, row in zip(sides, rows, strict=True)]

    blocks = [_scaled(*(one.astype(np.float64) for one in sample(view))) for view in views]
    identity = np.unique(np.concatenate(sample(_inputs)), axis=0, return_inverse=True)[1].ravel()
    counts = [one.support_x.shape[1] + one.query_x.shape[1] for one in sides]
    of = [row.numpy() // count for row, count in zip(rows, counts, strict=True)]
    task = np.concatenate([of[0], of[1] + len(sides[0].query_x)])
    return Samples(*_reduced(*(np.concatenate(side, 1) for side in zip(*blocks, strict=True))), identity, task)


def _chosen(episodes: Episode, generator: Generator) -> Tensor:
    """Which of all examples are taken."""
    x = task_inputs(episodes)[0]
    return torch.randperm(x.shape[0] * x.shape[1], generator=generator)[:MOST]


def _scaled(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both divided by the same number, after which the total variance of the source is 1."""
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise UserError("the examples have values that are not finite: training diverged")
    scale = np.sqrt(source.var(0).sum())
    if not scale > 0:
        raise UserError("the examples of the training tasks cannot be told apart: their variance is zero")
    return source / scale, target / scale


def _reduced(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Their leading principal components, where there are more than `DIMENSIONS`: distances hardly change."""
    if source.shape[1] <= DIMENSIONS:
        return source, target
    pooled = np.concatenate([source, target])
    pooled -= pooled.mean(0)
    values, vectors = np.linalg.eigh(pooled @ pooled.T)
    components = vectors[:, -DIMENSIONS:] * np.sqrt(values[-DIMENSIONS:].clip(0))
    return components[: len(source)], components[len(source) :]
