"""Spaces of actions: what a network's outputs say of them, and how noise becomes one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Actions(Protocol):
    """A space of actions with a family of distributions over it.

    A distribution is a tensor (..., parameters), an action a tensor (..., size). Everything is elementwise in the
    leading dimensions.
    """

    @property
    def size(self) -> int:
        """Numbers in an action."""
        ...

    @property
    def parameters(self) -> int:
        """Numbers that say what a distribution is."""
        ...

    def random(self) -> Tensor:
        """The distribution of the policy that knows nothing: (parameters,)."""
        ...

    def sample(self, distribution: Tensor, noise: Tensor) -> Tensor:
        """An action (..., size) of standard normal noise (..., size)."""
        ...

    def log_prob(self, distribution: Tensor, action: Tensor) -> Tensor:
        """Its logarithmic probability or density (...)."""
        ...

    def kl(self, p: Tensor, q: Tensor) -> Tensor:
        """The divergence KL(p || q) (...)."""
        ...

    def entropy(self, distribution: Tensor) -> Tensor:
        """In nats (...)."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Real vectors; a distribution is independent normals, means first and logarithmic standard deviations then."""

    size: int

    @property
    def parameters(self) -> int:
        """Means and logarithmic standard deviations."""
        return 2 * self.size

    def random(self) -> Tensor:
        """The standard normal."""
        return torch.zeros(self.parameters)

    def sample(self, distribution: Tensor, noise: Tensor) -> Tensor:
        """mean + standard deviation * noise."""
        mean, log_std = distribution.chunk(2, -1)
        return mean + log_std.exp() * noise

    def log_prob(self, distribution: Tensor, action: Tensor) -> Tensor:
        """The logarithmic density (...)."""
        mean, log_std = distribution.chunk(2, -1)
        z = (action - mean) * (-log_std).exp()
        return (-0.5 * z.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def kl(self, p: Tensor, q: Tensor) -> Tensor:
        """KL(p || q) in closed form (...)."""
        (p_mean, p_log), (q_mean, q_log) = p.chunk(2, -1), q.chunk(2, -1)
        scaled = ((2 * p_log).exp() + (p_mean - q_mean).square()) * (-2 * q_log).exp()
        return (q_log - p_log + 0.5 * (scaled - 1)).sum(-1)

    def entropy(self, distribution: Tensor) -> Tensor:
        """In nats (...)."""
        return (distribution.chunk(2, -1)[1] + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


@dataclass(frozen=True)
class Categorical:
    """One of `size` choices as a one-hot vector; a distribution is its logits."""

    size: int

    @property
    def parameters(self) -> int:
        """The logits."""
        return self.size

    def random(self) -> Tensor:
        """The uniform distribution."""
        return torch.zeros(self.size)

    def sample(self, distribution: Tensor, noise: Tensor) -> Tensor:
        """The greatest of the logits after Gumbel noise was added to them (Gumbel 1954), one-hot."""
        # The upper tail of a uniform number in float32 is coarse: its complement is as good a one.
        uniform = torch.special.ndtr(noise).clamp(1e-20, 1 - 1e-7)
        choice = (distribution - (-uniform.log()).log()).argmax(-1, keepdim=True)
        return torch.zeros_like(distribution).scatter(-1, choice, 1.0)

    def log_prob(self, distribution: Tensor, action: Tensor) -> Tensor:
        """The logarithmic probability (...); zero logits of minus infinity count as impossible choices."""
        return torch.where(action > 0, distribution.log_softmax(-1), 0.0).sum(-1)

    def kl(self, p: Tensor, q: Tensor) -> Tensor:
        """KL(p || q) (...)."""
        p, q = p.log_softmax(-1), q.log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)

    def entropy(self, distribution: Tensor) -> Tensor:
        """In nats (...)."""
        p = distribution.log_softmax(-1)
        return -(p.exp() * p).sum(-1)
