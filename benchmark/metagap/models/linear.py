"""A linear map."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Gt
from torch import Tensor, nn


class Linear(nn.Module):
    """One linear map of the inputs without a bias, for tasks whose risks are known in closed form.

    What comes before its head is the inputs themselves, so that whatever adapts the head alone adapts all of it, and
    ANIL is MAML. With a `width` it is a second linear map, learned along: ANIL then adapts on features that it learned,
    which bends its inner loop, and MAML adapts both, so that its predictions are no longer linear in the targets.

    x_shape: shape of one input, flattened first. outputs: number of outputs. width: of the linear features; default:
    none are learned.
    """

    def __init__(self, x_shape: tuple[int, ...], outputs: int, width: Annotated[int, Gt(0)] | None = None):
        super().__init__()
        inputs = math.prod(x_shape)
        learned = [] if width is None else [nn.Linear(inputs, width, bias=False)]
        self.features = nn.Sequential(nn.Flatten(), *learned)
        self.head = nn.Linear(inputs if width is None else width, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, *x_shape) to (n, outputs)."""
        return self.head(self.features(x))
