"""A small transformer encoder for series."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn import functional as F

from metagap.errors import UserError
from metagap.models.parts import series_shape


class Transformer(nn.Module):
    """Self-attention between patches of a series (Vaswani et al. 2017), each normalised before its layers; their mean.

    A patch is `patch` time steps of all channels in one vector; the last one is filled up with zeros. Each block adds
    attention and then a fully connected layer of four times the width, with GELU, to what it is given, both after layer
    norm. Nothing depends on the batch, and nothing is dropped out.

    x_shape: (channels, time) of one input. outputs: number of outputs. patch: time steps of a patch. width: of every
    patch's vector. layers: blocks. heads: of attention; a divisor of the width. positions: "sinusoidal", which are
    fixed, or "learned".
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        outputs: int,
        patch: Annotated[int, Gt(0)] = 4,
        width: Annotated[int, Gt(0)] = 64,
        layers: Annotated[int, Gt(0)] = 2,
        heads: Annotated[int, Gt(0)] = 4,
        positions: Literal["sinusoidal", "learned"] = "sinusoidal",
    ):
        super().__init__()
        channels, time = series_shape("transformer", x_shape)
        if width % heads:
            raise UserError(f"model transformer: heads = {heads}; allowed: divisors of width = {width}")
        patches = math.ceil(time / patch)
        self.features = nn.Sequential(
            Patches(channels, patch, width),
            Positions(patches, width, positions == "learned"),
            *(Block(width, heads) for _ in range(layers)),
            nn.LayerNorm(width),
            MeanOverTime(),
        )
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, time) to (n, outputs)."""
        return self.head(self.features(x))


class Patches(nn.Module):
    """A linear map of every patch."""

    def __init__(self, channels: int, patch: int, width: int):
        super().__init__()
        self.patch = patch
        self.map = nn.Linear(channels * patch, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, time) to (n, patches, width)."""
        x = F.pad(x, (0, -x.shape[-1] % self.patch))
        return self.map(x.unflatten(-1, (-1, self.patch)).transpose(1, 2).flatten(2))


class Positions(nn.Module):
    """Adds a vector for every position."""

    def __init__(self, patches: int, width: int, learned: bool):
        super().__init__()
        if learned:
            self.vectors = nn.Parameter(0.02 * torch.randn(patches, width))
        else:
            self.register_buffer("vectors", sinusoids(patches, width), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, patches, width) to the same."""
        return x + self.vectors


def sinusoids(patches: int, width: int) -> Tensor:
    """Sines and cosines of every position (patches, width), of wave lengths from 2 pi to 10,000 times as long."""
    frequency = 10_000 ** (-torch.arange(0, width, 2) / width)
    angle = torch.arange(patches)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width]


class Block(nn.Module):
    """Attention and a fully connected layer, each added to what it is given."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, patches, width) to the same."""
        x = x + self.attention(x)
        return x + self.dense(x)


class Attention(nn.Module):
    """Self-attention by its formula: torch's fused kernels have no second derivative."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, patches, width) to the same."""
        query, key, value = self.inputs(x).unflatten(-1, (3 * self.heads, -1)).transpose(1, 2).chunk(3, 1)
        weight = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
        return self.output((weight @ value).transpose(1, 2).flatten(2))


class MeanOverTime(nn.Module):
    """The mean over the patches."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, patches, width) to (n, width)."""
        return x.mean(1)
