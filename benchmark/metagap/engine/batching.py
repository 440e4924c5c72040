"""A function of one task as a function of some tasks at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.func import vmap

from metagap.algorithms.base import Params
from metagap.engine.kernels import differentiable
from metagap.engine.strategy import Batching
from metagap.engine.trees import tree_map

TaskFunction = Callable[[Params, Any], Any]
"""Of meta-parameters and one task, or of meta-parameters and some tasks, which have a leading dimension more. A task is
an `Episode`, or another tree of tensors."""


def batched(function: TaskFunction, batching: Batching, mean: bool) -> TaskFunction:
    """`function` of some tasks: its results stacked, or their sum where a mean is wanted; a loop takes one task.

    The whole function is mapped, with any differentiation inside it: differentiating a mapped function instead would
    give wrong second derivatives through batch norm.
    """

    def of_one(meta: Params, tasks: Any) -> Any:
        with differentiable():
            result = function(meta, tree_map(lambda leaf: leaf[0], tasks))
        return result if mean else tree_map(lambda leaf: leaf[None], result)

    def of_many(meta: Params, tasks: Any) -> Any:
        with differentiable():
            results = vmap(function, in_dims=(None, 0), randomness="different")(meta, tasks)
            return tree_map(lambda leaf: leaf.sum(0), results) if mean else results

    return of_one if batching == "loop" else of_many
