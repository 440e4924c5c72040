"""Advantages of rollouts: what an action was better than expected."""

from __future__ import annotations

import torch
from torch import Tensor

from metagap.tasks.world import Rollouts

RIDGE = 1e-5
"""Of the mean squares of features, which may be constant or say the same."""


def advantages(rollouts: Rollouts, discount: float, gae_lambda: float) -> Tensor:
    """Generalized advantage estimates over a linear baseline of these rollouts, of mean 0 and variance 1: (H, R).

    Schulman et al. (2016), equation 16, with the value function of Duan et al. (2016): returns regressed on features of
    observation and time. Steps that were not taken count for nothing.
    """
    alive, count = rollouts.alive, rollouts.alive.sum()
    values = baseline(rollouts, to_go(rollouts.reward, discount)) * alive
    after = torch.cat([values[1:], torch.zeros_like(values[:1])])
    found = to_go((rollouts.reward + discount * after - values) * alive, discount * gae_lambda)
    centred = (found - (found * alive).sum() / count) * alive
    return centred / ((centred.square().sum() / count).sqrt() + 1e-8)


def to_go(reward: Tensor, discount: float) -> Tensor:
    """The discounted sums of what comes at and after each step: (H, R)."""
    steps = torch.arange(len(reward), device=reward.device)
    ahead = steps - steps[:, None]
    weight = torch.where(ahead >= 0, torch.tensor(discount, dtype=reward.dtype) ** ahead.clamp(min=0), 0.0)
    return weight.to(reward) @ reward


def baseline(rollouts: Rollouts, target: Tensor) -> Tensor:
    """Least squares of targets (H, R) on linear features of observation and time, at the same steps: (H, R)."""
    horizon, runs = target.shape
    # In float64, for the squares of large observations stand beside constants.
    seen = rollouts.observation.double().clamp(-10, 10)
    time = (torch.arange(horizon, device=target.device).double() / 100)[:, None, None].expand(horizon, runs, 1)
    features = torch.cat([seen, seen.square(), time, time**2, time**3, torch.ones_like(time)], -1).flatten(0, 1)
    taken = rollouts.alive.flatten()[:, None].double()
    weighted = features * taken / taken.sum()
    gram = weighted.T @ features + RIDGE * torch.eye(features.shape[1]).to(features)
    # What has no solution is not a number: that run has diverged, and is recorded as such.
    solution = torch.linalg.solve_ex(gram, weighted.T @ target.double().flatten()[:, None])[0]
    return (features @ solution).view(horizon, runs).to(target)
