"""Wide residual networks."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from annotated_types import Gt
from torch import Tensor, nn

from metagap.errors import UserError
from metagap.models.parts import batch_norm, convolution, image_shape, initialise


class WideResNet(nn.Module):
    """WRN-28-10: three stages of four wide blocks, normalised before each convolution (Zagoruyko and Komodakis 2016).

    The stages have 16, 32 and 64 channels times `width`; the second and the third halve the image, and the mean over
    what remains is the feature. Few-shot papers have it at 80 or 84 pixels, some with a stage or a stride more; dropout
    is left out. Batch norm uses the statistics of the batch, always.

    x_shape: (channels, height, width) of one input. outputs: number of classes. depth: number of convolutional layers
    and the head, 6 n + 4 for n blocks in each stage. width: factor of the channels.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        outputs: int,
        depth: Annotated[int, Gt(0)] = 28,
        width: Annotated[int, Gt(0)] = 10,
    ):
        super().__init__()
        channels, _, _ = image_shape("wrn28-10", x_shape)
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise UserError(f"model wrn28-10: depth = {depth}; allowed: 10, 16, 22, 28, ... (6 n + 4)")
        widths = [16, 16 * width, 32 * width, 64 * width]
        stages = [
            Block(before if i == 0 else after, after, stride if i == 0 else 1)
            for stride, (before, after) in zip((1, 2, 2), pairwise(widths), strict=True)
            for i in range(blocks)
        ]
        end = [batch_norm(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.features = nn.Sequential(convolution(channels, widths[0]), *stages, *end)
        self.head = nn.Linear(widths[-1], outputs)
        initialise(self)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, outputs)."""
        return self.head(self.features(x))


class Block(nn.Module):
    """Two 3x3 convolutions, each after batch norm and ReLU, added to the input or a 1x1 convolution of it."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.start = nn.Sequential(batch_norm(before), nn.ReLU())
        self.path = nn.Sequential(
            convolution(before, after, stride=stride), batch_norm(after), nn.ReLU(), convolution(after, after)
        )
        self.shortcut = convolution(before, after, 1, stride) if before != after or stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, channels, height / stride, width / stride)."""
        start = self.start(x)
        return self.path(start) + (x if self.shortcut is None else self.shortcut(start))
