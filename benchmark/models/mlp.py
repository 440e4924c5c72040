"""Multi-layer perceptron."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

from annotated_types import Gt
from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers with ReLU; by default the MAML paper's network for sinusoids, 1-40-40-1.

    x_shape: shape of one input, flattened first. outputs: number of outputs. hidden: widths of the hidden layers.
    """

    def __init__(self, x_shape: tuple[int, ...], outputs: int, hidden: list[Annotated[int, Gt(0)]] | None = None):
        super().__init__()
        widths = [math.prod(x_shape), *([40, 40] if hidden is None else hidden)]
        layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        self.features = nn.Sequential(nn.Flatten(), *layers)
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *x_shape) to (n, outputs)."""
        return self.head(self.features(x))
