"""A batch of tasks computed by several processes, each with its portion: what they tell each other.

The processes run the same program on the same random numbers, and stay equal, for all of them go on from the same sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch import distributed as dist

from metagap.engine.memory import first_line
from metagap.engine.trees import tree_filled, tree_leaves


class UnreachableError(Exception):
    """Another process of the group has ended, or does not answer: what a process sees of a failure elsewhere."""


class Group(NamedTuple):
    """The processes that compute together, as one of them sees them: its number, and how many there are."""

    rank: int
    size: int

    @property
    def leads(self) -> bool:
        """Whether it is this one that reports and writes files."""
        return self.rank == 0

    def portion(self, tasks: int) -> Portion | None:
        """What this process computes of a batch; None: all of it, alone or because it is too small for the group."""
        return Portion(self.rank, self.size, tasks) if 1 < self.size <= tasks else None

    def check_equal(self, tensors: Iterable[Tensor]) -> None:
        """Raises RuntimeError where these tensors are not the same in all processes, as they should be."""
        if self.size == 1:
            return
        sums = torch.stack([value.double().sum() for value in tensors]).nan_to_num()
        extremes = torch.cat([sums, -sums])
        _all_reduce(extremes, dist.ReduceOp.MAX)
        most, least = extremes.chunk(2)
        if not torch.equal(most, -least):
            raise RuntimeError("the devices of this cell no longer have the same weights; are they of the same model?")


ALONE = Group(0, 1)


class Portion(NamedTuple):
    """The consecutive tasks that a process of a group computes of a batch; no process has more than the first one."""

    rank: int
    size: int
    tasks: int
    """Of the whole batch."""

    @property
    def most(self) -> int:
        """The tasks of the first process."""
        return self._begin(1)

    def of(self, batch: Any) -> Any:
        """The portion of something that can be sliced by tasks."""
        return batch[self._begin(self.rank) : self._begin(self.rank + 1)]

    def summed(self, tree: Any) -> Any:
        """The sums over all processes of the tensors in a tree, by one message."""
        leaves = tree_leaves(tree)
        return tree_filled(tree, _summed(leaves))

    def joined(self, tree: Any) -> Any:
        """The results (tasks, ...) for the whole batch, from those for the portions (some tasks, ...), by one message.

        It is a sum with zeros in place of what others have computed, and therefore exact.
        """
        padded = []
        for leaf in tree_leaves(tree):
            padded.append(leaf.new_zeros(self.tasks, *leaf.shape[1:]))
            self.of(padded[-1]).copy_(leaf)
        return tree_filled(tree, _summed(padded))

    def _begin(self, rank: int) -> int:
        return -(-rank * self.tasks // self.size)


def _summed(leaves: list[Tensor]) -> list[Tensor]:
    dtype = reduce(torch.promote_types, (leaf.dtype for leaf in leaves), torch.float32)
    buffer = torch.cat([leaf.reshape(-1).to(dtype) for leaf in leaves])
    _all_reduce(buffer)
    parts = buffer.split([leaf.numel() for leaf in leaves])
    return [part.view(leaf.shape).to(leaf.dtype) for part, leaf in zip(parts, leaves, strict=True)]


def _all_reduce(buffer: Tensor, operation: Any = dist.ReduceOp.SUM) -> None:
    try:
        dist.all_reduce(buffer, operation)
    except RuntimeError as error:
        raise UnreachableError(first_line(error)) from error
