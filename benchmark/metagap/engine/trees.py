"""Tensors in dicts, tuples and lists, as functions of one task return them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def tree_leaves(tree: Any) -> list[Any]:
    """What is in it, in order."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in tree_leaves(value)]
    if isinstance(tree, list | tuple):
        return [leaf for value in tree for leaf in tree_leaves(value)]
    return [tree]


def tree_map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """A tree of the same shape with `function` of each leaf, and of those at its place in other trees of this shape."""
    if isinstance(tree, dict):
        return {key: tree_map(function, tree[key], *(other[key] for other in others)) for key in tree}
    if isinstance(tree, list | tuple):
        values = [tree_map(function, *items) for items in zip(tree, *others, strict=True)]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)
    return function(tree, *others)


def count(tasks: Any) -> int:
    """How many tasks there are in a batch, a tree of tensors with a leading task dimension."""
    return len(tree_leaves(tasks)[0])


def cut(tasks: Any, start: int, stop: int) -> Any:
    """The tasks start..stop-1 of a batch."""
    return tree_map(lambda leaf: leaf[start:stop], tasks)


def devices(tasks: Any) -> list[Any]:
    """The GPU that a batch is on, as `torch.random.fork_rng` wants it."""
    first = tree_leaves(tasks)[0]
    return [first.device] if first.is_cuda else []


def tree_filled(tree: Any, leaves: list[Any]) -> Any:
    """A tree of this shape with other leaves, in order."""
    rest = iter(leaves)
    return tree_map(lambda _: next(rest), tree)
