"""Forms of a network's layers: the same functions with the same weights, arranged for speed.

A form changes how a layer is computed and nothing else. Which form is fast depends on the device and on the shapes, so
the engine chooses one by timing (see `plan`). Layers that a form does not know stay as they are.
"""

from __future__ import annotations

import copy
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.algorithms.base import Algorithm

Form = Literal["plain", "channels-last", "gemm"]
"""plain: as the model is written. channels-last: images in memory as (n, H, W, C), as the convolution, norm and pooling
kernels of a CPU want them. gemm: convolutions as matrix products of image patches, which batch over tasks with weights
of their own (a grouped convolution does so badly on a GPU), and fuse when compiled."""

FORMS: tuple[Form, ...] = get_args(Form)


def in_form(algorithm: Algorithm, form: Form) -> Algorithm:
    """A bound algorithm with its network in this form."""
    return algorithm.bind(formed(algorithm.network, form), algorithm.spec, algorithm.precision)


def formed(network: nn.Module, form: Form) -> nn.Module:
    """A copy of `network` in this form; its parameters keep their names and shapes."""
    if form == "plain":
        return network
    network = copy.deepcopy(network)
    for module in network.modules():
        for known, replacement in _REPLACEMENTS[form].items():
            if type(module) is known and replacement.knows(module):
                module.__class__ = replacement
    return network


def unknown(network: nn.Module, form: Form) -> list[str]:
    """The kinds of layers with weights that this form leaves as they are."""
    known = {*_REPLACEMENTS.get(form, {}), nn.Linear}
    leaves = (module for module in network.modules() if next(module.parameters(recurse=False), None) is not None)
    return sorted({type(module).__name__ for module in leaves if type(module) not in known})


class BatchNorm(nn.BatchNorm2d):
    """Batch norm with the statistics of the batch, and a second derivative in a few passes over the data."""

    @staticmethod
    def knows(module: nn.BatchNorm2d) -> bool:
        """Whether it uses the statistics of the batch, always, and has weights."""
        return module.running_mean is None and module.weight is not None

    def forward(self, input: Tensor) -> Tensor:
        """(n, C, H, W) to the same."""
        return _Normalise.apply(input, self.weight, self.bias, self.eps)[0]


class ChannelsLastConv(nn.Conv2d):
    """A convolution that has its input and its weights in memory channel by channel."""

    @staticmethod
    def knows(module: nn.Conv2d) -> bool:
        """Whether it is an ordinary one."""
        return module.groups == 1

    def forward(self, input: Tensor) -> Tensor:
        """(n, C, H, W) to (n, O, H', W')."""
        if self.in_channels == 1 and GemmConv.knows(self):
            return self._of_one_channel(input)
        return self._conv_forward(_channels_last(input), _channels_last(self.weight), self.bias)

    def _of_one_channel(self, input: Tensor) -> Tensor:
        """Where memory does not tell channels-last from not: a matrix product of patches, which gives it."""
        patches = F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)
        output = F.linear(patches.transpose(1, 2), self.weight.flatten(1), self.bias)
        return output.unflatten(1, _output_size(self, input)).movedim(-1, 1)


class GemmConv(nn.Conv2d):
    """A convolution as one matrix product of its weights with the patches of its input."""

    @staticmethod
    def knows(module: nn.Conv2d) -> bool:
        """Whether it is an ordinary one with zeros around the image."""
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)

    def forward(self, input: Tensor) -> Tensor:
        """(n, C, H, W) to (n, O, H', W')."""
        patches = F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)
        output = self.weight.flatten(1) @ patches
        if self.bias is not None:
            output = output + self.bias[:, None]
        return output.unflatten(-1, _output_size(self, input))


def _output_size(conv: nn.Conv2d, input: Tensor) -> list[int]:
    sizes = zip(input.shape[2:], conv.kernel_size, conv.stride, conv.padding, conv.dilation, strict=True)
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes]


def _channels_last(x: Tensor) -> Tensor:
    return x.movedim(1, -1).contiguous().movedim(-1, 1)  # the memory format itself is unknown to vmap


_REPLACEMENTS: dict[Form, dict[type, Any]] = {
    "channels-last": {nn.Conv2d: ChannelsLastConv, nn.BatchNorm2d: BatchNorm},
    "gemm": {nn.Conv2d: GemmConv},
}


# Batch norm. torch writes its second derivative as some fifty passes over the data; these need about eight.


class _Normalise(torch.autograd.Function):
    """weight * (x - mean) * scale + bias, with the mean and scale = 1 / std of every channel; gives these as well."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        return torch.ops.aten.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, weight, _, ctx.eps = inputs
        _, mean, scale = output
        ctx.mark_non_differentiable(mean, scale)
        ctx.save_for_backward(x, weight, mean, scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        return (*_NormaliseBackward.apply(grad, x, weight, mean, scale, ctx.eps), None)


class _NormaliseBackward(torch.autograd.Function):
    """The gradients of `_Normalise` with respect to x, weight and bias.

    With z = (x - mean) * scale and sums over the m values of a channel: D = sum(grad), E = sum(grad * z), and
    gradient_x = weight * scale * (grad - D / m - z * E / m), gradient_weight = E, gradient_bias = D.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, eps: float) -> Any:
        return _native_backward(grad, x, weight, mean, scale, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        grad, x, weight, mean, scale, ctx.eps = inputs
        _, grad_weight, grad_bias = output
        ctx.save_for_backward(grad, x, weight, mean, scale, grad_weight, grad_bias)

    @staticmethod
    def backward(ctx: Any, u: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor | None, ...]:
        """u, a, b: cotangents of the three gradients.

        They meet the gradients in S = sum(u * gradient_x) + a * E + b * D, which with A = sum(u * grad), B = sum(u) and
        C = sum(u * z) is, in a channel, weight * scale * (A - D B / m - E C / m) + a E + b D. What follows is the
        derivative of S: through z, which depends on every x of the channel, and through scale.
        """
        grad, x, weight, mean, scale, E, D = ctx.saved_tensors
        m = x.numel() // x.shape[1]
        to_grad, C, B = _native_backward(u, x, weight, mean, scale, ctx.eps)
        A = (u * grad).sum((0, 2, 3))
        rest = A - D * B / m - E * C / m
        to_weight = scale * rest
        # Per channel: to_z = p * grad + q * u, and its projection away from 1 and z; then the part through scale.
        p, q = a - weight * scale * C / m, -weight * scale * E / m
        sum_1, sum_z = (p * D + q * B) / m, (p * E + q * C) / m
        of_z = -scale * (sum_z + weight * rest * scale / m)
        to_x = torch.addcmul(_wide(-scale * sum_1 - of_z * scale * mean), x, _wide(of_z * scale))
        to_x = torch.addcmul(torch.addcmul(to_x, grad, _wide(p * scale)), u, _wide(q * scale))
        to_grad = torch.addcmul(to_grad + _wide(b - a * scale * mean), x, _wide(a * scale))
        return to_grad, to_x, to_weight, None, None, None


def _native_backward(grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, eps: float) -> Any:
    arguments = (None, None, mean, scale, True, eps, [True, True, True])
    return torch.ops.aten.native_batch_norm_backward(grad, x, weight, *arguments)


def _wide(channel: Tensor) -> Tensor:
    return channel[:, None, None]
