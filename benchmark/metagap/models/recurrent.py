"""What the recurrent networks are made of."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import torch
from annotated_types import Gt
from torch import Tensor, nn

from metagap.models.parts import series_shape

Pooling = Literal["last", "mean"]


class RecurrentLayer(nn.Module):
    """A recurrent layer in one direction: a cell, step by step.

    What the cell is given of its inputs is one matrix product for all steps; the loop has only what depends on the
    state. It is plain tensor operations: torch's own layers have no second derivative on a GPU, and no rule for `vmap`.
    Weights are drawn as torch draws them.
    """

    rows: ClassVar[int]
    """How many numbers a cell is given for each of its outputs."""
    recurrent_bias: ClassVar[bool]

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.hidden = hidden
        self.input = nn.Linear(inputs, self.rows * hidden)
        self.recurrent = nn.Linear(hidden, self.rows * hidden, bias=self.recurrent_bias)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The outputs (n, hidden) of all steps of (time, n, inputs), from a state of zeros."""
        return self.outputs(self.input(x), x.new_zeros(x.shape[1], self.hidden))

    @abstractmethod
    def outputs(self, given: Tensor, zeros: Tensor) -> list[Tensor]:
        """The outputs of all steps. given: (time, n, rows * hidden) of the inputs. zeros: (n, hidden)."""


class RecurrentLayers(nn.Module):
    """Recurrent layers on top of each other, and the last output or the mean of all."""

    def __init__(
        self, layer: type[RecurrentLayer], inputs: int, hidden: int, layers: int, bidirectional: bool, pooling: Pooling
    ):
        super().__init__()
        directions = 2 if bidirectional else 1
        self.width, self.pooling = directions * hidden, pooling
        self.layers = nn.ModuleList(
            nn.ModuleList(layer(inputs if i == 0 else self.width, hidden) for _ in range(directions))
            for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, time) to (n, width). The last output of the second direction is that of the first time step."""
        x = x.movedim(-1, 0)
        ends: list[Tensor] = []
        for directions in self.layers:
            assert isinstance(directions, nn.ModuleList)
            found = [direction(x.flip(0) if i else x) for i, direction in enumerate(directions)]
            ends = [outputs[-1] for outputs in found]
            x = torch.cat([torch.stack(outputs[::-1] if i else outputs) for i, outputs in enumerate(found)], -1)
        return torch.cat(ends, -1) if self.pooling == "last" else x.mean(0)


class RecurrentNetwork(nn.Module):
    """Recurrent layers and a linear head."""

    name: ClassVar[str]
    layer: ClassVar[type[RecurrentLayer]]

    def __init__(
        self,
        x_shape: tuple[int, ...],
        outputs: int,
        hidden: Annotated[int, Gt(0)] = 64,
        layers: Annotated[int, Gt(0)] = 1,
        bidirectional: bool = False,
        pooling: Pooling = "last",
    ):
        super().__init__()
        channels, _ = series_shape(self.name, x_shape)
        self.features = RecurrentLayers(self.layer, channels, hidden, layers, bidirectional, pooling)
        self.head = nn.Linear(self.features.width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, time) to (n, outputs)."""
        return self.head(self.features(x))
