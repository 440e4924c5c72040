"""The network of R2-D2."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Len, Lt
from torch import Tensor, nn

from metagap.errors import UserError
from metagap.models.parts import batch_norm, convolution, image_shape


class R2D2Embedding(nn.Module):
    """Four convolutional modules, of which the last two make the features (Bertinetto et al. 2019, section 4.1).

    As their code has it: 3x3 convolution, batch norm, 2x2 max-pooling and leaky ReLU, where the fourth module pools
    without halving the image; so is the output of the third one pooled once more before it becomes a feature. Dropout
    after the last two is left out. Batch norm uses the statistics of the batch, always.

    x_shape: (channels, height, width) of one input. outputs: number of classes. filters: channels of each module; the
    authors' smaller network has 64 in all. slope: of the leaky ReLU below zero.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        outputs: int,
        filters: Annotated[list[Annotated[int, Gt(0)]], Len(4, 4)] = [96, 192, 384, 512],  # noqa: B006
        slope: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ):
        super().__init__()
        channels, height, width = image_shape("r2d2-embedding", x_shape)
        if min(height, width) < 16:
            raise UserError(
                f"model r2d2-embedding halves images three times and pools them once more: it needs images of 16 "
                f"pixels or more, not {height} x {width}"
            )
        self.features = Features([channels, *filters], slope)
        self.head = nn.Linear(sum(filters[2:]) * (height // 8 - 1) * (width // 8 - 1), outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, outputs)."""
        return self.head(self.features(x))


class Features(nn.Module):
    """The convolutional modules."""

    def __init__(self, widths: list[int], slope: float):
        super().__init__()
        strides = (2, 2, 2, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(convolution(before, after), batch_norm(after), nn.MaxPool2d(2, stride), nn.LeakyReLU(slope))
            for (before, after), stride in zip(pairwise(widths), strides, strict=True)
        )
        self.pool = nn.MaxPool2d(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, width of the features)."""
        first, second, third, fourth = self.blocks
        third_output = third(second(first(x)))
        return torch.cat([self.pool(third_output).flatten(1), fourth(third_output).flatten(1)], 1)
