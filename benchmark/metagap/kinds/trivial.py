"""The losses (tasks,) of predictors that know nothing, of the query targets (tasks, n, ...) of a batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def uniform_cross_entropy(y: Tensor, ways: int) -> Tensor:
    """Of the uniform distribution over the ways: ln(ways)."""
    return torch.full((len(y),), math.log(ways), dtype=torch.float64)


def mean_square(y: Tensor, ways: int) -> Tensor:
    """The mean squared error of always answering zero."""
    return y.double().square().flatten(1).mean(1)


def random_return(y: Tensor, ways: int) -> Tensor:
    """Minus the mean return of random actions, which targets (tasks, n, 2) begin with."""
    return -y[..., 0].double().mean(1)
