"""Multi-layer perceptron."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

from annotated_types import Gt
from torch import Tensor, nn

from metagap.models.parts import ShiftNorm1d


class MLP(nn.Module):
    """Fully connected layers with ReLU; by default the MAML paper's network for sinusoids, 1-40-40-1.

    The paper's network without convolutions for Omniglot has hidden = [256, 128, 64, 64] and batch norm (Finn et al.
    2017, section 5.2), which uses the statistics of the batch, always; layers that it follows have no bias.

    x_shape: shape of one input, flattened first. outputs: number of outputs. hidden: widths of the hidden layers.
    batch_norm: between each hidden layer and its ReLU. weight_std: weights are drawn from a normal distribution of this
    standard deviation, cut off at two of them, as the authors' code does with 0.01, and biases are zero; by default as
    torch has it. norm_scale: whether batch norm has a scale besides its shift; norm_eps: what it adds to the variance.
    The authors' code has no scale, and 0.001.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        outputs: int,
        hidden: list[Annotated[int, Gt(0)]] | None = None,
        batch_norm: bool = False,
        weight_std: Annotated[float, Gt(0)] | None = None,
        norm_scale: bool = True,
        norm_eps: Annotated[float, Gt(0)] = 1e-5,
    ):
        super().__init__()
        widths = [math.prod(x_shape), *([40, 40] if hidden is None else hidden)]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers.append(nn.Linear(before, after, bias=not batch_norm))
            if batch_norm and norm_scale:
                layers.append(nn.BatchNorm1d(after, norm_eps, track_running_stats=False))
            elif batch_norm:
                layers.append(ShiftNorm1d(after, norm_eps))
            layers.append(nn.ReLU())
        self.features = nn.Sequential(nn.Flatten(), *layers)
        self.head = nn.Linear(widths[-1], outputs)
        if weight_std is not None:
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.trunc_normal_(layer.weight, std=weight_std, a=-2 * weight_std, b=2 * weight_std)
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *x_shape) to (n, outputs)."""
        return self.head(self.features(x))
