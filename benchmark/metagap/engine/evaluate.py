"""Evaluation: adapt to every test episode and score it after each inner step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from metagap.algorithms.base import Algorithm, Params
from metagap.engine.distributed import Portion
from metagap.engine.layouts import in_layout
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy, permitted
from metagap.metrics import Metric
from metagap.tasks.episode import Episode, TaskSpec

log = logging.getLogger("metagap")

Scores = dict[str, Tensor]
"""support_loss, support_score, query_loss and query_score, and support_NAME and query_NAME of every further metric;
each (episodes, steps recorded), float64 on the CPU."""


class Evaluator:
    """Scores of batches of episodes after 0, 1, ..., `steps` inner steps, or after the last one only."""

    def __init__(
        self,
        algorithm: Algorithm,
        spec: TaskSpec,
        steps: int,
        strategy: Strategy,
        *,
        inductive: bool = False,
        last_only: bool = False,
        cores: int = 1,
        metrics: Sequence[Metric] = (),
        portion: Portion | None = None,
    ):
        """algorithm: bound. The same for whatever strategy and cores, but for rounding.

        inductive: each query is predicted in a batch of the support set and that query alone, so that batch statistics
        cannot tell the queries of a task about each other (Nichol et al. 2018, section 6.1). Otherwise a task's queries
        are predicted as one batch. metrics: the first is the score, the others are recorded as they are; default: that
        of the kind of task. portion: what the episodes that are given are of those whose scores are wanted.
        """
        strategy = permitted(strategy, algorithm)
        self.algorithm, self.spec, self.steps = in_layout(algorithm, strategy.layout), spec, steps
        self.inductive, self.last_only, self._maps_queries = inductive, last_only, algorithm.mappable
        headline, *further = metrics or [spec.kind.metric]
        self._measures = {"score": headline.score_function()} | {one.name: one.tensor_function() for one in further}
        self._portion = portion
        self.map = TaskMap(self._one_task, strategy, cores=cores, network=self.algorithm.network)

    def __call__(self, meta: Params, episodes: Episode, advance: Callable[[int], None] = lambda _: None) -> Scores:
        """The scores of these episodes; advance is told the number of episodes done, for a progress bar."""
        scores = self.map(meta, episodes, advance)
        if self._portion is not None:
            scores = self._portion.joined(scores)
        return {name: value.double().cpu() for name, value in scores.items()}

    def _one_task(self, meta: Params, episode: Episode) -> Scores:
        algorithm, seen = self.algorithm, self.spec.support  # of one stage: the first
        if self.last_only:
            path = [algorithm.adapt(meta, episode.support, self.steps)]
        else:
            path = algorithm.adapt_path(meta, episode.support, self.steps)
        found = {}
        for part, outputs, y in (
            ("support", algorithm.predict_path(path, episode.support_x[:seen]), episode.support_y[:seen]),
            ("query", self._predict(path, episode.support_x, episode.query_x), episode.query_y),
        ):
            outputs = [output[:, self.spec.columns] for output in outputs]
            found[f"{part}_loss"] = torch.stack([algorithm.loss(output, y) for output in outputs])
            for name, function in self._measures.items():
                found[f"{part}_{name}"] = torch.stack([function(output, y) for output in outputs])
        return found

    def _predict(self, path: list[Params], support_x: Tensor, query_x: Tensor) -> list[Tensor]:
        """The queries' predictions (n, ways) at every point of the path."""
        if not self.inductive:
            return self.algorithm.predict_path(path, query_x)

        def predict(x: Tensor) -> list[Tensor]:
            batch = x[None] if self.algorithm.joins_support else torch.cat([support_x, x[None]])
            return [output[-1] for output in self.algorithm.predict_path(path, batch)]

        if self._maps_queries:
            try:
                return vmap(predict, randomness="different")(query_x)
            except Exception as error:
                log.info("queries are predicted one by one (%s)", str(error).partition("\n")[0])
                self._maps_queries = False
        return [torch.stack(outputs) for outputs in zip(*map(predict, query_x), strict=True)]


def evaluate(
    algorithm: Algorithm, meta: Params, episodes: Episode, spec: TaskSpec, steps: int, strategy: Strategy, **how: Any
) -> Scores:
    """The scores of one batch of episodes; see `Evaluator`."""
    return Evaluator(algorithm, spec, steps, strategy, **how)(meta, episodes)


def shuffled_support(episodes: Episode, generator: torch.Generator) -> Episode:
    """The same episodes with the support labels of each task in random order."""
    tasks, n = episodes.support_y.shape[:2]
    order = torch.rand(tasks, n, generator=generator, device=generator.device).argsort(1).to(episodes.support_y.device)
    index = order.view(tasks, n, *[1] * (episodes.support_y.ndim - 2)).expand_as(episodes.support_y)
    return episodes._replace(support_y=episodes.support_y.gather(1, index))


def null_loss(episodes: Episode, spec: TaskSpec) -> Tensor:
    """The query loss (episodes,) of the predictor that knows nothing, float64 on the CPU."""
    return spec.kind.trivial_loss_function()(episodes.query_y, spec.ways).double().cpu()
