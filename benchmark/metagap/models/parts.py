"""What several of the networks are made of."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metagap.errors import UserError


def image_shape(model: str, x_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(channels, height, width) of one input; raises UserError where it is no image."""
    if len(x_shape) != 3:
        raise UserError(f"model {model} needs images (channels, height, width), not inputs of shape {x_shape}")
    channels, height, width = x_shape
    return channels, height, width


def series_shape(model: str, x_shape: tuple[int, ...]) -> tuple[int, int]:
    """(channels, time) of one input; raises UserError where it is no series."""
    if len(x_shape) != 2:
        raise UserError(f"model {model} needs series (channels, time), not inputs of shape {x_shape}")
    channels, time = x_shape
    return channels, time


class _ShiftOnly(nn.Module):
    """What makes a batch norm one with the statistics of the batch and a shift, but without a scale."""

    bias: nn.Parameter
    eps: float

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__(channels, eps, track_running_stats=False)  # of the batch norm that it stands before
        self.weight = None

    def forward(self, input: Tensor) -> Tensor:
        """(n, channels, ...) to the same."""
        ones = torch.ones_like(self.bias)  # torch has no second derivative without it
        return F.batch_norm(input, None, None, ones, self.bias, training=True, eps=self.eps)


class ShiftNorm1d(_ShiftOnly, nn.BatchNorm1d):
    """Of vectors (n, channels)."""


class ShiftNorm2d(_ShiftOnly, nn.BatchNorm2d):
    """Of images (n, channels, height, width)."""


def batch_norm(channels: int, scale: bool = True, eps: float = 1e-5) -> nn.BatchNorm2d:
    """Batch norm that uses the statistics of the batch, always; scale: whether it has one besides its shift."""
    return nn.BatchNorm2d(channels, eps, track_running_stats=False) if scale else ShiftNorm2d(channels, eps)


def convolution(before: int, after: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the image's size, or divides it by `stride`; without a bias, for batch norm follows."""
    return nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False)


def initialise(network: nn.Module, nonlinearity: Literal["relu", "leaky_relu"] = "relu", slope: float = 0.0) -> None:
    """Draw the weights of all convolutions by He et al. (2015), scaled by their outputs."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, slope, mode="fan_out", nonlinearity=nonlinearity)
