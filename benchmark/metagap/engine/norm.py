"""Batch norm with a second derivative in a few passes over the data; torch writes it as some fifty."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class BatchNorm(nn.BatchNorm2d):
    """Batch norm with the statistics of the batch, and a second derivative in a few passes over the data."""

    @staticmethod
    def knows(module: nn.BatchNorm2d) -> bool:
        """Whether it uses the statistics of the batch, always, and has a shift; it may have no scale."""
        return module.running_mean is None and module.bias is not None

    def forward(self, input: Tensor) -> Tensor:
        """(n, C, H, W) to the same."""
        weight = torch.ones_like(self.bias) if self.weight is None else self.weight
        return _Normalise.apply(input, weight, self.bias, self.eps)[0]


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
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad, *_ = grad_outputs
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
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """grad_outputs: cotangents u, a, b of the three gradients.

        They meet the gradients in S = sum(u * gradient_x) + a * E + b * D, which with A = sum(u * grad), B = sum(u) and
        C = sum(u * z) is, in a channel, weight * scale * (A - D B / m - E C / m) + a E + b D. What follows is the
        derivative of S: through z, which depends on every x of the channel, and through scale.
        """
        u, a, b = grad_outputs
        grad, x, weight, mean, scale, E, D = ctx.saved_tensors
        addcmul, k = torch.addcmul, x.shape[1] / x.numel()
        to_grad, C, B = _native_backward(u, x, weight, mean, scale, ctx.eps)
        A = (u * grad).sum((0, 2, 3))
        d, e, s = D * k, E * k, weight * scale
        rest = addcmul(addcmul(A, d, B, value=-1), e, C, value=-1)
        # Per channel: to_z = p * grad - q * u, and its projection away from 1 and z; then the part through scale.
        p, q = addcmul(a, s, C, value=-k), s * e
        sum_1, sum_z = addcmul(p * d, q, B, value=-k), addcmul(p * e, q, C, value=-k)
        r = scale.square() * addcmul(sum_z, s, rest, value=k)
        to_x = addcmul(_wide(addcmul(r * mean, scale, sum_1, value=-1)), x, _wide(r), value=-1)
        to_x = addcmul(addcmul(to_x, grad, _wide(p * scale)), u, _wide(q * scale), value=-1)
        a = a * scale
        to_grad = addcmul(to_grad + _wide(addcmul(b, a, mean, value=-1)), x, _wide(a))
        return to_grad, to_x, scale * rest, None, None, None


def _native_backward(grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, eps: float) -> Any:
    arguments = (None, None, mean, scale, True, eps, [True, True, True])
    return torch.ops.aten.native_batch_norm_backward(grad, x, weight, *arguments)


def _wide(channel: Tensor) -> Tensor:
    return channel.view(-1, 1, 1)
