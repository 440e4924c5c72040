"""Gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metagap.optimizers.optimizer import OuterOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


def _make(parameters: list[Tensor], lr: float | Tensor) -> Optimizer:
    from torch.optim import SGD

    return SGD(parameters, lr=lr, fused=True)


SGD = OuterOptimizer(
    name="sgd",
    about="Gradient descent without momentum. For Reptile, a step size of 1 goes to the mean of the weights.",
    make=_make,
)
