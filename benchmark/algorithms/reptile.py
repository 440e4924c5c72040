"""Reptile."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor

from benchmark.algorithms.base import GradientLearner, Params, score
from benchmark.tasks.episode import Episode, Support


class Reptile(GradientLearner):
    """Moves the initialisation towards the weights that ordinary training on a task ends with.

    W is the result of k inner steps on mini-batches of the support set; the outer step is phi <- phi + eps (W - phi),
    averaged over the tasks of a meta-batch: the batched version (Nichol, Achiam, Schulman 2018, algorithm 2). With a
    meta-batch of one task it is the serial version (algorithm 1). `meta_gradient` gives phi - W, so that plain gradient
    descent with a step size of eps is that outer step. The query set plays no part in it.
    """

    paper: ClassVar[str] = "Nichol, Achiam, Schulman (2018), On First-Order Meta-Learning Algorithms"
    derivative: ClassVar[Literal["exact", "first-order", "other"]] = "other"

    inner_lr: float = Field(0.001, gt=0, description="step size of the inner loop")
    inner_steps: NonNegativeInt = Field(5, description="inner steps on each task during meta-training")
    inner_optimizer: Literal["adam", "sgd"] = Field("adam", description="adam is Adam with beta1 = 0, as in the paper")
    inner_batch: NonNegativeInt = Field(10, description="support examples in each inner step, in turn; 0: all of them")

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Every point of the inner loop; the optimizer's state starts anew on each task."""
        path = [meta]
        square = {name: torch.zeros_like(value) for name, value in meta.items()}
        for step in range(steps):
            gradient = self.support_gradient(path[-1], self._batch(support, step))
            if self.inner_optimizer == "adam":
                square = {name: 0.999 * square[name] + 0.001 * gradient[name] ** 2 for name in square}
                correction = 1 - 0.999 ** (step + 1)
                gradient = {name: gradient[name] / ((square[name] / correction).sqrt() + 1e-8) for name in gradient}
            path.append({name: value - self.inner_lr * gradient[name] for name, value in path[-1].items()})
        return path

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """phi - W, with the query loss after adaptation for the record."""
        fast = self.adapt(meta, episode.support, self.inner_steps)
        output = self.predict(fast, episode.query_x)
        metrics = {"loss": self.loss(output, episode.query_y), "score": score(output, episode.query_y)}
        return {name: meta[name] - fast[name] for name in meta}, metrics

    def _batch(self, support: Support, step: int) -> Support:
        """The mini-batch of an inner step: consecutive examples, which the episode orders class by class in turn."""
        n = len(support.x)
        if not 0 < self.inner_batch < n:
            return support
        index = (torch.arange(self.inner_batch, device=support.x.device) + step * self.inner_batch) % n
        return Support(support.x[index], support.y[index])
