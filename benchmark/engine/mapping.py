"""Mapping a function of one task over a batch of tasks, and how that is best done here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.func import vmap
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

from benchmark.algorithms.base import Params
from benchmark.tasks.episode import Episode

TaskFunction = Callable[[Params, Episode], Any]


class Mapping(NamedTuple):
    """How a function of one task is mapped: by vmap or by a loop, and over how many tasks at once where it is free."""

    how: Literal["vmap", "loop"]
    chunk: int


def best_mapping(network: nn.Module, x_shape: tuple[int, ...], examples: int, device: torch.device) -> Mapping:
    """vmap, but a plain loop over tasks for large convolutions on a CPU.

    vmap saves the overhead of a task's many small operations, at the price of turning convolutions with weights of
    their own for every task into grouped ones, which are slow on a CPU. examples: support and query of one task. The
    limits were found by timing; they are counts of arithmetic and not timings themselves, so that a cell is computed in
    the same way whenever it is started.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(examples, *x_shape))
    work = max(1, counter.get_total_flops())
    convolutional = any(isinstance(module, nn.Conv1d | nn.Conv2d) for module in network.modules())
    if device.type == "cpu" and convolutional and work > LOOP_FLOPS:
        return Mapping("loop", MOST_TASKS)
    return Mapping("vmap", min(MOST_TASKS, max(8, int(CHUNK_FLOPS / work))))


LOOP_FLOPS = 80e6
"""Forward arithmetic of a task above which a loop is faster: conv4, 28x28, 32 filters, between 30 and 80 images."""
CHUNK_FLOPS = 600e6
"""Forward arithmetic of the tasks that are mapped at once: more does not fit a CPU's cache."""
MOST_TASKS = 256


def over_tasks(function: TaskFunction, mapping: Mapping) -> TaskFunction:
    """`function` of one task as a function of a batch of tasks: every result gains a leading task dimension.

    The whole function is mapped, with any differentiation inside it. Differentiating a mapped function instead would
    give wrong second derivatives through batch norm.
    """
    if mapping.how == "vmap":
        return vmap(function, in_dims=(None, 0), randomness="different")

    def looped(meta: Params, episodes: Episode) -> Any:
        results = [function(meta, Episode(*task)) for task in zip(*episodes, strict=True)]
        return tree_map(lambda *leaves: torch.stack(leaves), *results)

    return looped


def mean_over_tasks(function: TaskFunction, mapping: Mapping) -> TaskFunction:
    """Like `over_tasks`, but the mean over the tasks; a loop keeps one running sum instead of all results."""
    if mapping.how == "vmap":
        mapped = over_tasks(function, mapping)
        return lambda meta, episodes: tree_map(lambda leaf: leaf.mean(0), mapped(meta, episodes))

    def looped(meta: Params, episodes: Episode) -> Any:
        total: Any = None
        for task in zip(*episodes, strict=True):
            result = function(meta, Episode(*task))
            total = result if total is None else tree_map(torch.add, total, result)
        return tree_map(lambda leaf: leaf / len(episodes.support_x), total)

    return looped
