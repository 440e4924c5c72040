"""Task2Vec: a task as the diagonal of the Fisher information of a network with a head for that task."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from metagap.algorithms.base import Params
from metagap.engine.kernels import differentiable
from metagap.errors import UserError
from metagap.models.making import BATCH_NORMS, copied

EXAMPLES = 25
"""Of a task over which the Fisher information is averaged, the first ones; the head is fitted to all."""
MEMORY = 2**26
"""Numbers that the derivatives of some examples may take at a time."""

Classifier = tuple[Tensor, Tensor]
"""A linear head: weight (outputs, width) and bias (outputs,)."""


def embedding(features: nn.Module, weights: Params, x: Tensor, y: Tensor, *, classes: bool) -> Tensor:
    """The embedding (filters,) of the task of these examples, float64: Achille et al. (2019), section 3.

    features: the network without its head, whose `weights` stay as they are; x (n, ...), y (n,) or (n, k). It is the
    mean over the examples, and over the outputs that the fitted network expects for them, of the squared derivative of
    the log-probability with respect to each weight of the linear and convolutional layers, averaged over the weights of
    each filter. Batch norm keeps to the statistics of all examples of the task.
    """
    features = standing(features, weights, x)
    with torch.no_grad(), differentiable():
        z = functional_call(features, weights, (x,))
    if not z.isfinite().all():
        raise UserError("the features have values that are not finite: training diverged")
    weight, bias = (torch.from_numpy(one).to(z) for one in fitted_head(z, y, classes=classes))
    trained = {name: value for name, value in weights.items() if value.ndim > 1}

    def of_one(own: Params, one: Tensor) -> Tensor:
        return functional_call(features, {**weights, **own}, (one[None],))[0]

    information = fisher(of_one, trained, (weight, bias), x[:EXAMPLES], classes=classes)
    return torch.cat([value.flatten() for value in information.values()]).double().cpu()


def fisher(
    features: Callable[[Params, Tensor], Tensor], weights: Params, head: Classifier, x: Tensor, *, classes: bool
) -> Params:
    """The diagonal of the Fisher information, averaged over the weights of each filter: (filters,) of each weight.

    features: of one example. The expectation over the network's own outputs is taken exactly: of classes with their
    probabilities, or of a Gaussian of variance 1 around the outputs.
    """

    def outputs(weights: Params, one: Tensor) -> Tensor:
        return features(weights, one) @ head[0].T + head[1]

    def of_one(one: Tensor) -> Params:
        slopes = jacrev(outputs)(weights, one)
        chance = outputs(weights, one).softmax(-1) if classes else None
        return {name: _expected_square(slope, chance).flatten(1).mean(1) for name, slope in slopes.items()}

    size = len(head[1]) * sum(value.numel() for value in weights.values())
    with torch.no_grad(), differentiable():
        found = vmap(of_one, chunk_size=max(1, MEMORY // size))(x)
    return {name: value.mean(0) for name, value in found.items()}


def _expected_square(slopes: Tensor, chance: Tensor | None) -> Tensor:
    """E[(d log p(y) / dw)^2] from the derivatives (outputs, ...) of all outputs."""
    if chance is None:
        return slopes.square().sum(0)
    mean = torch.tensordot(chance, slopes, 1)
    return torch.tensordot(chance, (slopes - mean).square(), 1)


def fitted_head(z: Tensor, y: Tensor, *, classes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of logistic (C = 1) or ridge regression (alpha = 1) on features z (n, width) of variance 1."""
    from sklearn.linear_model import LogisticRegression, Ridge

    z_, y_ = z.double().cpu().numpy(), y.double().cpu().numpy()
    scale = np.sqrt(z_.var(0).sum()) or 1.0
    if not classes:
        ridge = Ridge().fit(z_ / scale, y_.reshape(len(y_), -1))
        return np.atleast_2d(ridge.coef_) / scale, np.atleast_1d(ridge.intercept_)
    model = LogisticRegression(max_iter=1000).fit(z_ / scale, y_)
    weight, bias = model.coef_ / scale, model.intercept_
    return (weight, bias) if len(weight) > 1 else (np.concatenate([-weight, weight]) / 2, np.append(-bias, bias) / 2)


def standing(features: nn.Module, weights: Params, x: Tensor) -> nn.Module:
    """A copy whose batch norms keep to the statistics of the batch x, so that examples do not influence each other."""
    copy = copied(features)
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    norms = {name: m for name, m in copy.named_modules() if isinstance(m, BATCH_NORMS) and m.running_mean is None}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, given: seen.update({name: _statistics(given[0])})

    hooks = [norm.register_forward_pre_hook(watch(name)) for name, norm in norms.items()]
    with torch.no_grad(), differentiable():
        functional_call(copy, weights, (x,))
    for hook in hooks:
        hook.remove()
    for name, norm in norms.items():
        if name in seen:
            copy.set_submodule(name, _Standing(norm, *seen[name]))
    return copy


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (channels,) over everything else of (n, channels, ...)."""
    rest = [0, *range(2, x.ndim)]
    return x.mean(rest), x.var(rest, correction=0)


class _Standing(nn.Module):
    """A batch norm with given statistics."""

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d, mean: Tensor, variance: Tensor):
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.mean, self.factor = mean, (variance + norm.eps).rsqrt()

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, ...) to the same."""
        shape = (1, -1, *[1] * (x.ndim - 2))
        x = (x - self.mean.view(shape)) * self.factor.view(shape)
        x = x if self.weight is None else x * self.weight.view(shape)
        return x if self.bias is None else x + self.bias.view(shape)
