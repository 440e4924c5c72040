"""The residual network that few-shot papers call ResNet-12."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from annotated_types import Gt
from torch import Tensor, nn

from metagap.errors import UserError
from metagap.models.parts import batch_norm, convolution, image_shape, initialise

SLOPE = 0.1


class ResNet12(nn.Module):
    """Four blocks of three 3x3 convolutions, each of which halves the image by max-pooling.

    The network of Lee et al. (2019) for 84 pixels, after Oreshkin et al. (2018): leaky ReLU of slope 0.1, a 1x1
    convolution parallel to each block, and the mean over what remains. Widths of 64, 128, 256 and 512 are common too.
    DropBlock, which they train it with, is left out. Batch norm uses the statistics of the batch, always.

    x_shape: (channels, height, width) of one input. outputs: number of classes. widths: channels of each block.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        outputs: int,
        widths: tuple[Annotated[int, Gt(0)], ...] = (64, 160, 320, 640),
    ):
        super().__init__()
        channels, height, width = image_shape("resnet12", x_shape)
        if not widths or min(height, width) < 2 ** len(widths):
            raise UserError(
                f"model resnet12 with {len(widths)} widths halves images {len(widths)} times, which does not go with "
                f"{height} x {width} pixels; allowed: one width or more, and 2 pixels to the power of their number"
            )
        blocks = [Block(before, after) for before, after in pairwise([channels, *widths])]
        self.features = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(widths[-1], outputs)
        initialise(self, "leaky_relu", SLOPE)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, outputs)."""
        return self.head(self.features(x))


class Block(nn.Module):
    """Three convolutions and one parallel to them, added up and pooled."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.path = nn.Sequential(
            *(convolution(before, after), batch_norm(after), nn.LeakyReLU(SLOPE)),
            *(convolution(after, after), batch_norm(after), nn.LeakyReLU(SLOPE)),
            *(convolution(after, after), batch_norm(after)),
        )
        self.shortcut = nn.Sequential(convolution(before, after, 1), batch_norm(after))
        # Leaky ReLU after the pooling is the same as before it, on a quarter of the values.
        self.end = nn.Sequential(nn.MaxPool2d(2), nn.LeakyReLU(SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, channels, height // 2, width // 2)."""
        return self.end(self.path(x) + self.shortcut(x))
