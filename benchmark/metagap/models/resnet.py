"""The residual networks of basic blocks that few-shot papers call ResNet-10 and ResNet-18."""

from __future__ import annotations

from typing import Annotated, ClassVar

from annotated_types import Gt
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from metagap.models.parts import batch_norm, convolution, image_shape, initialise


class ResNet18(nn.Module):
    """Two basic blocks in each of four stages of 64, 128, 256 and 512 channels (He et al. 2016).

    As Chen et al. (2019) publish it, which is torchvision's resnet18 but for the head: a 7x7 convolution and a max-pool
    that halve the image twice, stages that halve it three times, and the mean over what remains. Made for 224 pixels;
    at 84 the last stage has 3x3 positions. Batch norm uses the statistics of the batch, always.

    x_shape: (channels, height, width) of one input. outputs: number of classes. filters: channels of the first stage,
    doubled from stage to stage.
    """

    blocks: ClassVar[int] = 2
    """In each stage."""

    def __init__(self, x_shape: tuple[int, ...], outputs: int, filters: Annotated[int, Gt(0)] = 64):
        super().__init__()
        channels, _, _ = image_shape(type(self).__name__.lower(), x_shape)
        stem = [convolution(channels, filters, 7, 2), batch_norm(filters), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        widths = [filters * 2**i for i in range(4)]
        stages = [
            self._stage(before, after, 1 if i == 0 else 2)
            for i, (before, after) in enumerate(zip([filters, *widths], widths, strict=False))
        ]
        self.features = nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(widths[-1], outputs)
        initialise(self)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, outputs)."""
        return self.head(self.features(x))

    def _stage(self, before: int, after: int, stride: int) -> nn.Sequential:
        shortcut = None
        if stride > 1:
            shortcut = nn.Sequential(convolution(before, after, 1, stride), batch_norm(after))
        first = BasicBlock(before, after, stride, shortcut, norm_layer=batch_norm)
        rest = [BasicBlock(after, after, norm_layer=batch_norm) for _ in range(self.blocks - 1)]
        return nn.Sequential(first, *rest)


class ResNet10(ResNet18):
    """One basic block in each of four stages of 64, 128, 256 and 512 channels; otherwise as resnet18.

    The ResNet-10 of Chen et al. (2019), which Guo et al. (2020) have for BSCD-FSL, at 224 pixels.

    x_shape: (channels, height, width) of one input. outputs: number of classes. filters: channels of the first stage,
    doubled from stage to stage.
    """

    blocks = 1
