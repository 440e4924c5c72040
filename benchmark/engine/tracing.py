"""Tracing: a function of tensors as the bare list of its tensor operations.

Functions of one task go through several layers of torch.func (a map over tasks, derivatives of derivatives) at every
call, and for small networks that costs more than the arithmetic. A trace runs through them once and keeps the
operations alone. It holds for inputs of the same shapes and types, and for functions that do not look at values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import Tensor, fx
from torch.fx.experimental import proxy_tensor

aten = torch.ops.aten


def trace(function: Callable[[Any, Any], Any], first: Any, second: Any, *, share: bool = True) -> fx.GraphModule:
    """The operations of `function` at these two arguments (tensors in dicts, tuples and lists).

    share: compute equal operations once. That keeps their results for longer, so that a function which computes
    something twice to save memory needs share = False. Raises what torch raises where the function looks at values.
    """

    def called(first: Any, second: Any) -> Any:  # tracing looks at the signature, which a bound method hides
        return function(first, second)

    with torch.no_grad(), mock.patch.object(proxy_tensor, "extract_val", _shape_of, create=True):
        module = proxy_tensor.make_fx(called)(first, second)
    graph = module.graph
    written = _written(graph)
    _drop_idle(graph, written)
    if share:
        _share(graph, written)
    graph.eliminate_dead_code()
    module.recompile()
    return module


_extract_val = getattr(proxy_tensor, "extract_val", None)


def _shape_of(value: Any, *args: Any, **kwargs: Any) -> Any:
    """What torch notes of a result, without data. Its own way makes a mode of fake tensors for each one, and with it a
    stack trace, which takes two thirds of the time of a trace."""
    if isinstance(value, Tensor) and value.layout is torch.strided:
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return _extract_val(value, *args, **kwargs)


def storages(graph: fx.Graph) -> dict[fx.Node, fx.Node]:
    """For every node the one whose memory it lies in: itself, but for views and for what is written in place."""
    root: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        base = next(iter(node.all_input_nodes), None) if _aliases(node) else None
        root[node] = root[base] if base is not None else node
    return root


def _aliases(node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    schema = getattr(node.target, "_schema", None)
    return schema is None or any(value.alias_info is not None for value in schema.returns)  # None: an item of a tuple


def _written(graph: fx.Graph) -> set[fx.Node]:
    """The nodes in memory that some operation writes in place; what they hold depends on when they are read."""
    root = storages(graph)
    roots = set()
    for node in graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable:
            for argument, value in zip(node.target._schema.arguments, node.args, strict=False):
                if argument.alias_info is not None and argument.alias_info.is_write and isinstance(value, fx.Node):
                    roots.add(root[value])
    return {node for node in root if root[node] in roots}


_IDLE = {aten.alias.default, aten.detach.default, aten.lift_fresh.default, aten.lift_fresh_copy.default}
_SAME_SHAPE = {aten.expand.default, aten.view.default, aten.reshape.default, aten._unsafe_view.default}


def _drop_idle(graph: fx.Graph, written: set[fx.Node]) -> None:
    """Remove operations that give what they are given."""
    for node in graph.nodes:
        source = node.args[0] if node.op == "call_function" and node.args else None
        if not isinstance(source, fx.Node) or node in written or source in written:
            continue
        if node.target is aten.transpose.int and source.target is aten.transpose.int:
            if source.args[1:] == node.args[1:] and source.args[0] not in written:
                node.replace_all_uses_with(source.args[0])
        elif node.target is aten.add.Tensor and not node.kwargs and _is_zero(source) and _same(node, node.args[1]):
            node.replace_all_uses_with(node.args[1])
        elif (node.target in _IDLE or node.target in _SAME_SHAPE) and _same(node, source):
            node.replace_all_uses_with(source)


def _is_zero(node: fx.Node) -> bool:
    return node.target in (aten.zeros_like.default, aten.zeros.default)


def _same(node: fx.Node, other: Any) -> bool:
    """Whether the results have the same shape, type and place in memory; False where that is not known."""
    if not isinstance(other, fx.Node):
        return False
    a, b = node.meta.get("tensor_meta"), other.meta.get("tensor_meta")
    return a is not None and b is not None and (a.shape, a.stride, a.dtype) == (b.shape, b.stride, b.dtype)


def _share(graph: fx.Graph, written: set[fx.Node]) -> None:
    """Compute equal operations once; random ones are never equal."""
    seen: dict[Any, fx.Node] = {}
    for node in graph.nodes:
        if node.op != "call_function" or node in written or _random(node.target):
            continue
        if any(used in written for used in node.all_input_nodes):
            continue
        key = (node.target, _hashable(node.args), _hashable(node.kwargs))
        if key in seen:
            node.replace_all_uses_with(seen[key])
        else:
            seen[key] = node


def _random(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in target.tags


def _hashable(value: Any) -> Any:
    if isinstance(value, fx.Node):
        return value
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(_hashable, value))
    if isinstance(value, dict):
        return tuple((key, _hashable(item)) for key, item in sorted(value.items()))
    return (type(value).__name__, repr(value))
