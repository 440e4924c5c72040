"""Losses and metrics as tensor functions of the outputs for one task and its targets; each gives a scalar, shape ().

They are mapped over tasks and traced, so that no control flow depends on values. Classes are counted by comparison with
0..ways-1. A row of logits that is not finite is wrong, whatever the label.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 15
"""Bins of confidence of the expected calibration error, as in Guo et al. (2017)."""


def cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy, in nats, of logits (n, ways) and class indices (n,)."""
    return F.cross_entropy(output, y)


def mean_squared_error(output: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of outputs and targets of the same shape, such as (n, 1)."""
    return F.mse_loss(output, y)


def root_mean_squared_error(output: Tensor, y: Tensor) -> Tensor:
    """Root of the mean squared error of outputs and targets of the same shape."""
    return F.mse_loss(output, y).sqrt()


def mean_absolute_error(output: Tensor, y: Tensor) -> Tensor:
    """Mean absolute error of outputs and targets of the same shape."""
    return F.l1_loss(output, y)


def accuracy(output: Tensor, y: Tensor) -> Tensor:
    """Share of right rows of logits (n, ways) for class indices (n,)."""
    return _right(output, y).to(output.dtype).mean()


def balanced_accuracy(output: Tensor, y: Tensor) -> Tensor:
    """Mean recall over the classes that are there, of logits (n, ways) and class indices (n,)."""
    predicted, true = _memberships(output, y)
    there = true.sum(0)
    recall = (predicted * true).sum(0) / there.clamp(min=1)
    return recall.sum() / (there > 0).sum()


def macro_f1(output: Tensor, y: Tensor) -> Tensor:
    """Mean F1 score over the classes that are there or predicted, of logits (n, ways) and class indices (n,)."""
    predicted, true = _memberships(output, y)
    size = predicted.sum(0) + true.sum(0)
    f1 = 2 * (predicted * true).sum(0) / size.clamp(min=1)
    return f1.sum() / (size > 0).sum()


def expected_calibration_error(output: Tensor, y: Tensor) -> Tensor:
    """Distance of confidence from accuracy over bins of confidence, of logits (n, ways) and class indices (n,).

    Guo et al. (2017), equation 3: the sum over bins of (n_b / n) |accuracy_b - confidence_b|. The bins are
    ((b - 1) / 15, b / 15]; confidence is the greatest softmax probability. A row that is not finite counts as wrong
    with full confidence.
    """
    confidence = output.softmax(-1).amax(-1)
    confidence = torch.where(output.isfinite().all(-1), confidence, torch.ones_like(confidence))
    edges = torch.linspace(0, 1, BINS + 1, dtype=output.dtype, device=output.device)
    among = (confidence[:, None] > edges[:-1]) & (confidence[:, None] <= edges[1:])
    excess = _right(output, y).to(output.dtype) - confidence
    return (among * excess[:, None]).sum(0).abs().sum() / len(y)


def _right(output: Tensor, y: Tensor) -> Tensor:
    return (output.argmax(-1) == y) & output.isfinite().all(-1)


def _memberships(output: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each example is predicted to be of each class, and whether it is: two of (n, ways), as numbers."""
    classes = torch.arange(output.shape[-1], device=output.device)
    predicted = (output.argmax(-1)[:, None] == classes) & output.isfinite().all(-1, keepdim=True)
    return predicted.to(output.dtype), (y[:, None] == classes).to(output.dtype)


def mean_return(output: Tensor, y: Tensor) -> Tensor:
    """Mean of returns (n, 1)."""
    return output.mean()


def negative_return(output: Tensor, y: Tensor) -> Tensor:
    """Minus the mean of returns (n, 1)."""
    return -output.mean()


def normalised_return(output: Tensor, y: Tensor) -> Tensor:
    """The mean of returns (n, 1) on a scale from those of random actions, 0, to the best, 1: y (n, 2)."""
    random, best = y.mean(0)
    return (output.mean() - random) / (best - random)


def regret(output: Tensor, y: Tensor) -> Tensor:
    """The best returns, y[:, 1] (n,), minus returns (n, 1), on average."""
    return y[:, 1].mean() - output.mean()
