"""MAML++."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Generator, Tensor, nn
from torch.func import grad_and_value

from benchmark.algorithms.base import PROGRESS, GradientLearner, Params, score
from benchmark.tasks.episode import Episode, Support


class MAMLPlusPlus(GradientLearner):
    """MAML with learned step sizes, a loss after every inner step, and first-order gradients to begin with.

    From Antoniou et al. (2019), section 4: a step size for every layer and inner step (LSLR), learned with the weights;
    the multi-step loss (MSL), whose weight moves from all steps to the last one; derivative-order annealing (DA); and,
    with `schedule = "cosine"` in the suite's training, the cosine annealing of the outer step size (CA). Left out are
    running statistics of batch norm for every step, as batch norm uses those of its batch here, and with them its
    weights and biases for every step: the inner loop adapts them like all others. The defaults are for mini-ImageNet.
    """

    paper: ClassVar[str] = "Antoniou, Edwards, Storkey (2019), How to train your MAML, ICLR"

    inner_lr: float = Field(0.01, gt=0, description="what the step sizes start from")
    inner_steps: PositiveInt = Field(5, description="inner steps on each task during meta-training")
    multi_step_share: float = Field(0.15, ge=0, le=1, description="share of meta-training with losses after every step")
    first_order_share: float = Field(1 / 3, ge=0, le=1, description="share of meta-training without second derivatives")

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network, `rate/name` (inner_steps,) for each of them, and the progress."""
        meta = super().init(network, class_count, generator)
        rates = {f"rate/{name}": value.new_full((self.inner_steps,), self.inner_lr) for name, value in meta.items()}
        return {**meta, **rates, PROGRESS: torch.zeros(())}

    def inner_step(self, fast: Params, support: Support, step: int) -> Params:
        """One step of gradient descent on the support loss; beyond the trained steps with the last one's step sizes."""
        gradient = self.support_gradient(fast, support)
        second_order = (fast[PROGRESS] >= self.first_order_share).to(fast[PROGRESS].dtype)  # 0 or 1, in the same graph
        rate = min(step, self.inner_steps - 1)

        def moved(name: str, value: Tensor) -> Tensor:
            constant = gradient[name].detach()
            return value - fast[f"rate/{name}"][rate] * (constant + second_order * (gradient[name] - constant))

        return {name: moved(name, value) if f"rate/{name}" in fast else value for name, value in fast.items()}

    def step_weights(self, progress: Tensor) -> Tensor:
        """The weights (inner_steps,) of the losses after each step: all equal at first, (0, ..., 0, 1) in the end."""
        shared = (self.multi_step_share - progress).clamp(min=0) / (self.multi_step_share or 1)
        last = torch.arange(1, self.inner_steps + 1, device=progress.device) == self.inner_steps
        return shared / self.inner_steps + (1 - shared) * last

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The derivative of the weighted query losses after each inner step; the metrics are those after the last."""

        def objective(meta: Params) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            path = self.adapt_path(meta, episode.support, self.inner_steps)
            outputs = [self.predict(fast, episode.query_x) for fast in path[1:]]
            losses = torch.stack([self.loss(output, episode.query_y) for output in outputs])
            return losses @ self.step_weights(meta[PROGRESS]), (losses[-1], outputs[-1])

        gradient, (_, (loss, output)) = grad_and_value(objective, has_aux=True)(meta)
        return gradient, {"loss": loss, "score": score(output, episode.query_y)}
