"""Evaluation: adapt to every test episode and score it after each inner step."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from benchmark.algorithms.base import Algorithm, Params, score
from benchmark.engine.mapping import Mapping, over_tasks
from benchmark.tasks.episode import Episode, TaskSpec

Scores = dict[str, Tensor]
"""support_loss, support_score, query_loss and query_score, each (episodes, steps recorded), float64 on the CPU."""


def evaluate(
    algorithm: Algorithm,
    meta: Params,
    episodes: Episode,
    spec: TaskSpec,
    steps: int,
    mapping: Mapping,
    *,
    inductive: bool = False,
    last_only: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Score a batch of episodes after 0, 1, ..., `steps` inner steps, or after the last one only.

    inductive: each query is predicted in a batch of the support set and that query alone, so that batch statistics
    cannot tell the queries of a task about each other (Nichol et al. 2018, section 6.1). Otherwise a task's queries are
    predicted as one batch. advance: told the number of episodes done, for a progress bar.
    """

    def predict(fast: Params, support_x: Tensor, query_x: Tensor) -> Tensor:
        if not inductive:
            return algorithm.predict(fast, query_x)
        return torch.cat([algorithm.predict(fast, torch.cat([support_x, x[None]]))[-1:] for x in query_x])

    def one_task(meta: Params, episode: Episode) -> Scores:
        if last_only:
            path = [algorithm.adapt(meta, episode.support, steps)]
        else:
            path = algorithm.adapt_path(meta, episode.support, steps)
        rows = []
        for fast in path:
            support = algorithm.predict(fast, episode.support_x)[:, : spec.ways]
            query = predict(fast, episode.support_x, episode.query_x)[:, : spec.ways]
            rows.append(
                {
                    "support_loss": algorithm.loss(support, episode.support_y),
                    "support_score": score(support, episode.support_y),
                    "query_loss": algorithm.loss(query, episode.query_y),
                    "query_score": score(query, episode.query_y),
                }
            )
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    mapped = over_tasks(one_task, mapping)
    chunks = []
    with torch.no_grad():
        for start in range(0, len(episodes.support_x), mapping.chunk):
            chunk = episodes.tasks(start, start + mapping.chunk)
            chunks.append({name: value.double().cpu() for name, value in mapped(meta, chunk).items()})
            advance(len(chunk.support_x))
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def shuffled_support(episodes: Episode, generator: torch.Generator) -> Episode:
    """The same episodes with the support labels of each task in random order."""
    tasks, n = episodes.support_y.shape[:2]
    order = torch.rand(tasks, n, generator=generator, device=generator.device).argsort(1).to(episodes.support_y.device)
    index = order.view(tasks, n, *[1] * (episodes.support_y.ndim - 2)).expand_as(episodes.support_y)
    return episodes._replace(support_y=episodes.support_y.gather(1, index))


def null_loss(episodes: Episode, spec: TaskSpec) -> Tensor:
    """The query loss (episodes,) of the trivial predictor: uniform over the ways, or zero everywhere."""
    if spec.kind == "regression":
        return episodes.query_y.double().square().mean((1, 2)).cpu()
    return torch.full((len(episodes.query_y),), math.log(spec.ways), dtype=torch.float64)
