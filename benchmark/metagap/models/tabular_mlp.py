"""Multi-layer perceptron for rows of a table."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from metagap.errors import UserError


class TabularMLP(nn.Module):
    """Fully connected layers with ReLU, for vectors whose last columns may be codes of categories.

    A code is a whole number from 1 to the number of categories of its column, and has a learned vector; any other value
    is the code 0, of unknown categories. Numbers between are rounded.

    x_shape: (features,) of one input. outputs: number of outputs. categories: how many there are in each of the last
    columns; default: all columns are numbers. embedding: width of a category's vector. hidden: widths of the hidden
    layers. layer_norm: between each hidden layer and its ReLU.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        outputs: int,
        categories: list[Annotated[int, Gt(0)]] | None = None,
        embedding: Annotated[int, Gt(0)] = 8,
        hidden: list[Annotated[int, Gt(0)]] = [64, 64],  # noqa: B006
        layer_norm: bool = False,
    ):
        super().__init__()
        if len(x_shape) != 1:
            raise UserError(f"model tabular-mlp needs vectors (features,), not inputs of shape {x_shape}")
        counts = categories or []
        if len(counts) > x_shape[0]:
            raise UserError(
                f"model tabular-mlp: categories = {counts} are those of {len(counts)} columns, and inputs have "
                f"{x_shape[0]}; allowed: at most as many"
            )
        layers: list[nn.Module] = [Codes(counts, embedding)] if counts else []
        widths = [x_shape[0] + len(counts) * (embedding - 1), *hidden]
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), *([nn.LayerNorm(after)] if layer_norm else []), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, features) to (n, outputs)."""
        return self.head(self.features(x))


class Codes(nn.Module):
    """A vector in place of every code; one table has those of all columns, one after another."""

    counts: Tensor
    starts: Tensor

    def __init__(self, counts: list[int], width: int):
        super().__init__()
        self.most = max(counts)
        self.vectors = nn.Embedding(sum(counts) + len(counts), width)
        self.register_buffer("counts", torch.tensor(counts), persistent=False)
        starts = list(accumulate((count + 1 for count in counts[:-1]), initial=0))
        self.register_buffer("starts", torch.tensor(starts), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, numbers + codes) to (n, numbers + codes * width). Raises UserError where x is too coarse for codes."""
        if self.most * torch.finfo(x.dtype).eps > 2:
            raise UserError(
                f"model tabular-mlp: {x.dtype} cannot tell {self.most} categories apart; allowed: another "
                "training.precision, or fewer categories"
            )
        numbers, codes = x.split([x.shape[1] - len(self.counts), len(self.counts)], 1)
        codes = codes.round()
        known = (codes >= 1) & (codes <= self.counts)
        rows = torch.where(known, codes, 0).long() + self.starts
        return torch.cat([numbers, self.vectors(rows).flatten(1)], 1)
