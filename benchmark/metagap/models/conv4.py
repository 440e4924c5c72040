"""The four-module convolutional network of few-shot classification."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Len, Lt
from torch import Tensor, nn

from metagap.errors import UserError
from metagap.models.parts import batch_norm, convolution, image_shape


class Conv4(nn.Module):
    """Four modules of 3x3 convolution, batch norm and ReLU, in both forms of the MAML paper (section 5.2).

    pooling "stride" halves the image by strided convolution and averages over what remains (Omniglot); "max" halves it
    by 2x2 max-pooling and flattens what remains (mini-ImageNet). Batch norm uses the statistics of the batch, always.
    Convolutions have no bias: batch norm takes it away again, and an adaptive inner optimizer would blow up the
    rounding noise of its gradient, which is zero.

    x_shape: (channels, height, width) of one input. outputs: number of classes. filters: channels of every module, or
    of each of the four. slope: that of a leaky ReLU below zero; 0 is ReLU. norm_scale: whether batch norm has a scale
    besides its shift; norm_eps: what it adds to the variance. The MAML authors' code has no scale, and 0.001. head_std:
    the head's weights are drawn from a normal distribution of this standard deviation, as that code does for Omniglot
    with 1; by default as the others (Glorot and Bengio 2010). flatten: with strides, what remains is flattened, too.
    round_up: pooling keeps the last row and column of an odd number. Both are what Reptile's authors have.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        outputs: int,
        filters: Annotated[int, Gt(0)] | Annotated[list[Annotated[int, Gt(0)]], Len(4, 4)] = 64,
        pooling: Literal["stride", "max"] = "stride",
        slope: Annotated[float, Ge(0), Lt(1)] = 0.0,
        norm_scale: bool = True,
        norm_eps: Annotated[float, Gt(0)] = 1e-5,
        head_std: Annotated[float, Gt(0)] | None = None,
        flatten: bool = False,
        round_up: bool = False,
    ):
        super().__init__()
        channels, height, width = image_shape("conv4", x_shape)
        if pooling == "max" and min(height, width) < 16:
            raise UserError(
                f"model conv4 with pooling = 'max' needs images of 16 pixels or more, not {height} x {width}"
            )
        modules: list[nn.Module] = []
        for after in [filters] * 4 if isinstance(filters, int) else filters:
            modules += [
                convolution(channels, after, stride=2 if pooling == "stride" else 1),
                batch_norm(after, norm_scale, norm_eps),
            ]
            # ReLU after the pooling is the same as before it, on a quarter of the values; leaky ReLU too.
            activation = nn.LeakyReLU(slope) if slope else nn.ReLU()
            modules += [nn.MaxPool2d(2, ceil_mode=round_up), activation] if pooling == "max" else [activation]
            channels = after
        if pooling == "stride" and not flatten:
            modules.append(nn.AdaptiveAvgPool2d(1))
        self.features = nn.Sequential(*modules, nn.Flatten())
        high, wide = (-(-side // 16) if pooling == "stride" or round_up else side // 16 for side in (height, width))
        self.head = nn.Linear(channels * (1 if pooling == "stride" and not flatten else high * wide), outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        if head_std is not None:
            nn.init.normal_(self.head.weight, std=head_std)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, outputs)."""
        return self.head(self.features(x))
