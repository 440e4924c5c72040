"""Tracing: a function of tensors as the bare list of its tensor operations.

Functions of one task go through several layers of torch.func (a map over tasks, derivatives of derivatives) at every
call, and for small networks that costs more than the arithmetic. A trace runs through them once and keeps the
operations alone. It holds for inputs of the same shapes and types, and for functions that do not look at values. Those
that do are refused, for a trace of them would be wrong for other values.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from metagap.engine.internals import operations
from metagap.engine.internals.recording import record

aten = torch.ops.aten

MORE_MEMORY = 1.5
"""How many times the memory is not too much for saving time."""


def trace(function: Callable[[Any, Any], Any], first: Any, second: Any, *, share: bool | None = None) -> fx.GraphModule:
    """The operations of `function` at these two arguments (tensors in dicts, tuples and lists).

    share: compute equal operations once. That keeps their results for longer, while a function may compute something
    twice to save memory; None: where that takes less than `MORE_MEMORY`. Raises ValueError where the function looks at
    values, and what torch raises where it cannot be traced.
    """
    module = record(function, first, second)
    graph = module.graph
    for node in graph.nodes:
        if operations.has_shape_by_values(node):
            raise ValueError(f"the shape of what {node.target} gives depends on values")
    written = _written(graph)
    _drop_idle(graph, written)
    graph.eliminate_dead_code()
    if share is not False:
        alone = peak_bytes(module)
        module.graph = copy.deepcopy(graph)
        _share(module.graph, _written(module.graph))
        module.graph.eliminate_dead_code()
        if share is None and peak_bytes(module) > MORE_MEMORY * alone:
            module.graph = graph
    module.recompile()
    return module


def storages(graph: fx.Graph) -> dict[fx.Node, fx.Node]:
    """For every node the one whose memory it lies in: itself, but for views and for what is written in place."""
    root: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        base = next(iter(node.all_input_nodes), None) if operations.aliases(node) else None
        root[node] = root[base] if base is not None else node
    return root


def peak_bytes(module: fx.GraphModule) -> int:
    """The most that the results of a trace's operations take at the same time, its inputs left out.

    Counted from the shapes, a result living until its last use; what a single operation takes for itself is not seen.
    """
    root = storages(module.graph)
    nodes = list(module.graph.nodes)
    last_use = {root[used]: i for i, node in enumerate(nodes) for used in node.all_input_nodes}
    ending: dict[int, list[fx.Node]] = {}
    for node, i in last_use.items():
        ending.setdefault(i, []).append(node)
    now = peak = 0
    for i, node in enumerate(nodes):
        if root[node] is node and node.op == "call_function":
            now += _size(node.meta.get("val"))
            peak = max(peak, now)
            if node not in last_use:
                now -= _size(node.meta.get("val"))
        now -= sum(_size(done.meta.get("val")) for done in ending.get(i, []) if done.op == "call_function")
    return peak


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 0


def _written(graph: fx.Graph) -> set[fx.Node]:
    """The nodes in memory that some operation writes in place; what they hold depends on when they are read."""
    root = storages(graph)
    roots = {root[value] for node in graph.nodes for value in operations.written_by(node)}
    return {node for node in root if root[node] in roots}


def _drop_idle(graph: fx.Graph, written: set[fx.Node]) -> None:
    """Remove operations that give what there is already, and join a product by a number to the sum that takes it."""
    for node in graph.nodes:
        source = node.args[0] if node.op == "call_function" and node.args else None
        if not isinstance(source, fx.Node) or node in written or source in written:
            continue
        if node.target is aten.add.Tensor and not node.kwargs and _is_zero(source) and _same(node, node.args[1]):
            node.replace_all_uses_with(node.args[1])
        elif node.target in (aten.add.Tensor, aten.sub.Tensor) and not node.kwargs:
            _join(node)
        elif node.target in operations.IDLE and _same(node, source):
            node.replace_all_uses_with(source)
        while node.target in operations.VIEWS and isinstance(source, fx.Node) and source not in written:
            if _same(node, source):
                node.replace_all_uses_with(source)
            if source.target not in operations.VIEWS:
                break
            source = source.args[0]


def _join(node: fx.Node) -> None:
    """a + number * b as one pass over the data."""
    product = node.args[1]
    if not isinstance(product, fx.Node) or product.target is not aten.mul.Tensor:
        return
    if isinstance(product.args[1], float) and _same(node, product) and _same(node, node.args[0]):
        node.kwargs = {"alpha": product.args[1]}
        node.args = (node.args[0], product.args[0])


def _is_zero(node: fx.Node) -> bool:
    return node.target in (aten.zeros_like.default, aten.zeros.default)


def _same(node: fx.Node, other: Any) -> bool:
    """Whether the results have the same shape, type and place in memory; False where that is not known."""
    if not isinstance(other, fx.Node):
        return False
    a, b = node.meta.get("tensor_meta"), other.meta.get("tensor_meta")
    return a is not None and b is not None and (a.shape, a.stride, a.dtype) == (b.shape, b.stride, b.dtype)


def _share(graph: fx.Graph, written: set[fx.Node]) -> None:
    """Compute equal operations once; random ones are never equal.

    torch has two passes for this. `fx.passes.dialect.common.cse_pass` takes 1 for 1.0, and 0.0 for -0.0. That of
    `functorch` is right, but shares nothing across an operation that writes in place: steps took 1.02 to 1.23 times as
    long.
    """
    seen: dict[Any, fx.Node] = {}
    for node in graph.nodes:
        if node.op != "call_function" or node in written or operations.is_random(node):
            continue
        if any(used in written for used in node.all_input_nodes):
            continue
        key = (node.target, _hashable(node.args), _hashable(node.kwargs))
        if key in seen:
            node.replace_all_uses_with(seen[key])
        else:
            seen[key] = node


def is_random(graph: fx.Graph) -> bool:
    """Whether some operation draws random numbers."""
    return any(map(operations.is_random, graph.nodes))


def _hashable(value: Any) -> Any:
    if isinstance(value, fx.Node):
        return value
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(_hashable, value))
    if isinstance(value, dict):
        return tuple((key, _hashable(item)) for key, item in sorted(value.items()))
    return (type(value).__name__, repr(value))
