"""Meta-SGD."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Generator, nn

from metagap.algorithms.base import GradientLearner, Params
from metagap.tasks.episode import Support


class MetaSGD(GradientLearner):
    """Learns an initialisation and a step size for every single weight, which may be negative.

    The inner loop is theta' = theta - alpha * grad L_support(theta), element by element; the outer loop learns theta
    and alpha (Li et al. 2017, equation 2 and algorithm 1). The step sizes of the weights `name` are the meta-parameters
    `rate/name`, of the same shape.
    """

    paper: ClassVar[str] = "Li, Zhou, Chen, Li (2017), Meta-SGD: Learning to Learn Quickly for Few-Shot Learning"

    # `inner_step` is its own, and so is what this means.
    inner_lr: tuple[float, float] = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        default=(0.005, 0.1), description="step sizes start as random numbers between these"
    )

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network and their step sizes."""
        meta = super().init(network, class_count, generator)
        low, high = self.inner_lr
        draws = {name: torch.rand(value.shape, generator=generator) for name, value in meta.items()}
        return {**meta, **{f"rate/{name}": low + (high - low) * draw for name, draw in draws.items()}}

    def inner_step(self, fast: Params, support: Support, step: int) -> Params:
        """One step of gradient descent on the support loss; the step sizes go along unchanged."""
        gradient = self.support_gradient(fast, support)
        return {
            name: value - fast[f"rate/{name}"] * gradient[name] if f"rate/{name}" in fast else value
            for name, value in fast.items()
        }
