"""Reptile."""

from __future__ import annotations

from random import Random
from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeInt
from torch import Generator, Tensor, nn

from metagap.algorithms.base import CARRIED, GradientLearner, Params
from metagap.tasks.episode import Episode, Support


class Reptile(GradientLearner):
    """Moves the initialisation towards the weights that ordinary training on a task ends with.

    W is the result of k inner steps on mini-batches of the support set; the outer step is phi <- phi + eps (W - phi),
    averaged over the tasks of a meta-batch: the batched version (Nichol, Achiam, Schulman 2018, algorithm 2). With a
    meta-batch of one task it is the serial version (algorithm 1). `meta_gradient` gives phi - W, so that plain gradient
    descent with a step size of eps is that outer step. The query set plays no part in it.
    """

    paper: ClassVar[str] = "Nichol, Achiam, Schulman (2018), On First-Order Meta-Learning Algorithms"
    derivative: ClassVar[Literal["exact", "first-order", "other"]] = "other"

    inner_lr: float = Field(default=0.001, gt=0, description="step size of the inner loop")
    inner_steps: NonNegativeInt = Field(default=5, description="inner steps on each task during meta-training")
    inner_optimizer: Literal["adam", "sgd"] = Field(
        default="adam", description="adam is Adam with beta1 = 0, as in the paper"
    )
    inner_batch: NonNegativeInt = Field(
        default=10, description="support examples in each inner step, in turn; 0: all of them"
    )
    shuffle: bool = Field(
        default=False,
        description="whether the support set is shuffled for every pass over it, as in the authors' code; otherwise "
        "batches are as balanced over classes as they can be",
    )
    carry_moments: bool = Field(
        default=False,
        description="whether Adam's second moments go on from task to task and into the test, as in the authors' code; "
        "otherwise they start from zero on each task",
    )

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network, and what the inner optimizer carries on: second moments, and its steps so far."""
        meta = super().init(network, class_count, generator)
        if not self.carry_moments or self.inner_optimizer != "adam":
            return meta
        moments = {f"{SQUARE}{name}": torch.zeros_like(value) for name, value in meta.items()}
        return {**meta, **moments, STEPS: torch.zeros(())}

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Every point of the inner loop."""
        weights = {name: value for name, value in meta.items() if not name.startswith(CARRIED)}
        square = {name: meta.get(f"{SQUARE}{name}", torch.zeros_like(value)) for name, value in weights.items()}
        before = meta.get(STEPS)
        path = [meta]
        for step, batch in enumerate(self._batches(support, steps)):
            gradient = self.support_gradient(weights, batch)
            taken = step + 1 if before is None else before + step + 1
            if self.inner_optimizer == "adam":
                square = {name: 0.999 * square[name] + 0.001 * gradient[name] ** 2 for name in square}
                correction = 1 - 0.999**taken
                gradient = {name: gradient[name] / ((square[name] / correction).sqrt() + 1e-8) for name in gradient}
            weights = {name: value - self.inner_lr * gradient[name] for name, value in weights.items()}
            carried = {f"{SQUARE}{name}": value for name, value in square.items()}
            path.append({**weights, **carried, STEPS: taken} if isinstance(taken, Tensor) else weights)
        return path

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """phi - W, with the query loss after adaptation for the record."""
        fast = self.adapt(meta, episode.support, self.inner_steps)
        output = self.predict(fast, episode.query_x)
        metrics = {"loss": self.loss(output, episode.query_y), "score": self.score(output, episode.query_y)}
        moved = {name: meta[name] - fast[name] for name in meta}
        return {name: -value if name.startswith(CARRIED) else value for name, value in moved.items()}, metrics

    def _batches(self, support: Support, steps: int) -> list[Support]:
        """The mini-batches of the inner steps: consecutive examples of one pass over the support set after another."""
        n, size = len(support.x), self.inner_batch
        if not 0 < size < n:
            return [support] * steps
        passes = -(-steps * size // n)
        order = shuffles(support.x, passes) if self.shuffle else torch.arange(n, device=support.x.device).repeat(passes)
        return [Support(support.x[index], support.y[index]) for index in order[: steps * size].split(size)]


def shuffles(x: Tensor, passes: int) -> Tensor:
    """Orders of examples (n, ...), one after another: (passes * n,).

    They are random in effect, yet a function of the examples alone, so that adaptation is one: each example has a
    number made of its pixels, each pass maps these numbers to others, and they are sorted.
    """
    pixels = (x.detach().flatten(1) * 2**16).round().long()
    place = torch.arange(pixels.shape[1], device=x.device)
    number = (pixels * ((place + 12345) * (7919 * place + 1) % 1048573)).sum(1) % PRIME
    random = Random(0)
    maps = [(random.randrange(1, PRIME), random.randrange(PRIME)) for _ in range(passes)]
    return torch.cat([((number * a + b) % PRIME).argsort(stable=True) for a, b in maps])


SQUARE, STEPS = f"{CARRIED}square/", f"{CARRIED}steps"
PRIME = 2**31 - 1
