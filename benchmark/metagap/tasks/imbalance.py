"""Support sets with more examples of some classes than of others: how many there are of each.

Whatever the distribution, a support set has `ways * shots` examples, so that `shots` is the mean over its classes, and
each class has from 1 to `2 * shots - 1` of them. Queries stay balanced.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Generator, Tensor

BALANCED = "none"


def _linear(size: Tensor, shots: int, generator: Generator) -> Tensor:
    """Evenly spaced from 1 to 2 shots - 1, in random order (Ochal et al. 2023)."""
    return _shuffled(_ladder(size.shape[1], shots, size.device), size, generator)


def _step(size: Tensor, shots: int, generator: Generator) -> Tensor:
    """1 for half of the classes and 2 shots - 1 for the others, in random order (Ochal et al. 2023).

    Where ways are odd, one class has the shots.
    """
    return _shuffled(_stair(size.shape[1], shots, size.device), size, generator)


def _shuffled(counts: Tensor, size: Tensor, generator: Generator) -> Tensor:
    """Counts (ways,) in an order of its own for each task."""
    return counts[torch.rand(size.shape, dtype=torch.float64, generator=generator, device=size.device).argsort(1)]


def _random(size: Tensor, shots: int, generator: Generator) -> Tensor:
    """All numbers from 1 to 2 shots - 1 that have the right sum are equally likely.

    Class after class, in proportion to in how many ways the classes after it can share what is left.
    """
    tasks, ways = size.shape
    left, counts = torch.full((tasks,), ways * shots, device=size.device), []
    for further in reversed(_sharing(ways, shots, size.device)):
        rest = left[:, None] - torch.arange(1, 2 * shots, device=size.device)
        share = torch.where(rest >= 0, further[rest.clamp(min=0)], 0.0).cumsum(1)
        uniform = torch.rand(tasks, 1, dtype=torch.float64, generator=generator, device=size.device)
        counts.append(1 + (share <= uniform * share[:, -1:]).sum(1).clamp(max=2 * shots - 2))
        left = left - counts[-1]
    return torch.stack(counts, 1)


# Kept, so that an iteration that is captured on a GPU copies nothing there.


@lru_cache
def _ladder(ways: int, shots: int, device: torch.device) -> Tensor:
    """From 1 to 2 shots - 1, evenly spaced (ways,); what is rounded off is made up for by the next one."""
    steps = torch.linspace(1, 2 * shots - 1, ways, dtype=torch.float64).cumsum(0).round()
    return steps.diff(prepend=steps.new_zeros(1)).long().to(device)


@lru_cache
def _stair(ways: int, shots: int, device: torch.device) -> Tensor:
    """1 for the first half, 2 shots - 1 for the second (ways,)."""
    return (shots + torch.linspace(-1, 1, ways, dtype=torch.float64).sign().long() * (shots - 1)).to(device)


@lru_cache
def _sharing(ways: int, shots: int, device: torch.device) -> list[Tensor]:
    """In how many ways 0, 1, ... classes can share so many examples (ways * shots + 1,), up to a factor."""
    sharing = [torch.zeros(ways * shots + 1, dtype=torch.float64)]
    sharing[0][0] = 1
    for _ in range(ways - 1):
        before = torch.cat([torch.zeros(2 * shots - 1, dtype=torch.float64), sharing[-1]])
        windows = before.unfold(0, 2 * shots - 1, 1)[:-1].sum(1)  # of 1 to 2 shots - 1 less
        sharing.append(windows / windows.max())
    return [one.to(device) for one in sharing]


def _meta_dataset(size: Tensor, shots: int, generator: Generator) -> Tensor:
    """In proportion to the size of a class times a factor that is log-uniform from 1/2 to 2, as in Meta-Dataset.

    These are shares of what is left when each class has one (Triantafillou et al. 2020, appendix C.2), here in whole
    numbers by the method of Sainte-Laguë.
    """
    uniform = torch.rand(size.shape, dtype=torch.float64, generator=generator, device=size.device)
    weight = size * (math.log(4) * uniform - math.log(2)).exp()
    claims = weight[..., None] / (torch.arange(2 * shots - 2, device=size.device) + 0.5)
    granted = claims.flatten(1).topk(size.shape[1] * (shots - 1)).indices
    taken = torch.zeros_like(claims).flatten(1).scatter(1, granted, 1.0).view_as(claims)
    return 1 + taken.sum(-1).long()


IMBALANCES = {"linear": _linear, "step": _step, "random": _random, "meta-dataset": _meta_dataset}
"""Of how many examples each class of some tasks has (T, ways), and the shots: how many of them are support examples,
(T, ways) int64, on the device of the generator and without waiting for it."""
