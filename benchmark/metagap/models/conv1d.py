"""The four-module convolutional network, for series."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Gt
from torch import Tensor, nn

from metagap.errors import UserError
from metagap.models.parts import batch_norm, series_shape

BLOCKS = 4


class Conv1d(nn.Module):
    """Four modules of convolution over time, batch norm and ReLU, and the mean over the time that remains.

    What conv4 is for images. Each module halves the series, by max-pooling or by a strided convolution, and rounds up,
    so that any length will do. Batch norm uses the statistics of the batch, always; convolutions have no bias, for
    batch norm takes it away again. A series is computed as an image of one row, whose layers the engine has fast forms
    of.

    x_shape: (channels, time) of one input. outputs: number of outputs. filters: channels of every module. kernel: time
    steps that a convolution sees, an odd number. pooling: "max" or "stride".
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        outputs: int,
        filters: Annotated[int, Gt(0)] = 64,
        kernel: Annotated[int, Gt(0)] = 5,
        pooling: Literal["max", "stride"] = "max",
    ):
        super().__init__()
        channels, _ = series_shape("conv1d", x_shape)
        if kernel % 2 == 0:
            raise UserError(f"model conv1d: kernel = {kernel}; allowed: odd numbers")
        stride, pools = (1, [nn.MaxPool2d((1, 2), ceil_mode=True)]) if pooling == "max" else (2, [])
        modules: list[nn.Module] = [nn.Unflatten(1, (channels, 1))]
        for before in [channels] + [filters] * (BLOCKS - 1):
            convolution = nn.Conv2d(before, filters, (1, kernel), (1, stride), (0, kernel // 2), bias=False)
            modules += [convolution, batch_norm(filters), *pools, nn.ReLU()]
        self.features = nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(filters, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, time) to (n, outputs)."""
        return self.head(self.features(x))
