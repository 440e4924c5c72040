"""Convolutions arranged for speed."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelsLastConv(nn.Conv2d):
    """A convolution that has its input and its weights in memory channel by channel, in all its derivatives."""

    @staticmethod
    def knows(module: nn.Conv2d) -> bool:
        """Whether it is an ordinary one with zeros around the image."""
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)

    def forward(self, input: Tensor) -> Tensor:
        """(n, C, H, W) to (n, O, H', W')."""
        if self.in_channels == 1:
            output = self._of_one_channel(input)
        else:
            output = _Convolve.apply(_channels_last(input), _channels_last(self.weight), _Geometry.of(self))
        return output if self.bias is None else output + self.bias[:, None, None]

    def _of_one_channel(self, input: Tensor) -> Tensor:
        """Where memory does not tell channels-last from not: a matrix product of patches, which gives it.

        The weights are its second factor, row by row: their gradient is then a product that libraries are fast at.
        """
        patches = F.unfold(input, self.kernel_size, self.dilation, padding_of(self), self.stride)
        output = patches.transpose(1, 2) @ self.weight.flatten(1).t().contiguous()
        return output.unflatten(1, output_size(self, input)).movedim(-1, 1)


class GemmConv(nn.Conv2d):
    """A convolution as one matrix product of its weights with the patches of its input."""

    knows = staticmethod(ChannelsLastConv.knows)

    def forward(self, input: Tensor) -> Tensor:
        """(n, C, H, W) to (n, O, H', W')."""
        patches = F.unfold(input, self.kernel_size, self.dilation, padding_of(self), self.stride)
        output = self.weight.flatten(1) @ patches
        if self.bias is not None:
            output = output + self.bias[:, None]
        return output.unflatten(-1, output_size(self, input))


def output_size(conv: nn.Conv2d, input: Tensor) -> list[int]:
    """(H', W') of a convolution's output."""
    sizes = zip(input.shape[2:], conv.kernel_size, conv.stride, padding_of(conv), conv.dilation, strict=True)
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes]


def padding_of(conv: nn.Conv2d) -> tuple[int, ...]:
    """Rows and columns of zeros around the image."""
    assert not isinstance(conv.padding, str)  # as `knows` says
    return conv.padding


def _channels_last(x: Tensor) -> Tensor:
    return x.movedim(1, -1).contiguous().movedim(-1, 1)  # the memory format itself is unknown to vmap


# A convolution is linear in its input and in its weights, and so are both of its gradients: three maps that are the
# derivatives of each other. torch writes second derivatives with convolutions of transposed tensors, which are slow.


class _Geometry(NamedTuple):
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, conv: nn.Conv2d) -> _Geometry:
        return cls(conv.stride, padding_of(conv), conv.dilation)


class _Convolve(torch.autograd.Function):
    """y(x, w)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, w: Tensor, how: _Geometry) -> Tensor:
        return torch.ops.aten.convolution(x, w, None, *how, False, [0, 0], 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, w, ctx.how = inputs
        ctx.save_for_backward(x, w)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = grad_outputs
        (x, w), y = ctx.saved_tensors, _channels_last(y)
        return _ToInput.apply(y, w, x, ctx.how), _ToWeight.apply(y, x, w, ctx.how), None


class _ToInput(torch.autograd.Function):
    """x(y, w), the gradient of the input; `like` has its shape."""

    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor, w: Tensor, like: Tensor, how: _Geometry) -> Tensor:
        return _backward(y, like, w, how, [True, False, False])[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        y, w, _, ctx.how = inputs
        ctx.save_for_backward(y, w)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = grad_outputs
        (y, w), x = ctx.saved_tensors, _channels_last(x)
        return _Convolve.apply(x, w, ctx.how), _ToWeight.apply(y, x, w, ctx.how), None, None


class _ToWeight(torch.autograd.Function):
    """w(y, x), the gradient of the weights; `like` has their shape."""

    generate_vmap_rule = True

    @staticmethod
    def forward(y: Tensor, x: Tensor, like: Tensor, how: _Geometry) -> Tensor:
        return _backward(y, x, like, how, [False, True, False])[1]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        y, x, _, ctx.how = inputs
        ctx.save_for_backward(y, x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (w,) = grad_outputs
        (y, x), w = ctx.saved_tensors, _channels_last(w)
        return _Convolve.apply(x, w, ctx.how), _ToInput.apply(y, w, x, ctx.how), None, None


def _backward(y: Tensor, x: Tensor, w: Tensor, how: _Geometry, which: list[bool]) -> tuple[Tensor, ...]:
    return torch.ops.aten.convolution_backward(y, x, w, None, *how, False, [0, 0], 1, which)
