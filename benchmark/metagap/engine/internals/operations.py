"""What the operations of a trace do with memory, values and random numbers.

Checked on torch 2.15. Uses `OpOverload._schema`: which results lie in the memory of an argument, and which arguments
are written in place. Where an operation has no schema to be read, the worst is taken for granted: its result has memory
of its own and all its arguments are written, so that nothing is left out of a trace or computed once, not twice.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch import Tensor, fx

aten = torch.ops.aten
OpOverload = type(aten.add.Tensor)

IDLE = {aten.lift_fresh.default, aten.lift_fresh_copy.default}
"""They give what they are given."""
VIEWS = {
    aten.alias.default, aten.detach.default, aten.permute.default, aten.transpose.int, aten.t.default,
    aten.view.default, aten._unsafe_view.default, aten.expand.default, aten.unsqueeze.default,
    aten.squeeze.dim, aten.squeeze.dims,
}  # fmt: skip
"""They give other views of the same memory, from its beginning."""


def aliases(node: fx.Node) -> bool:
    """Whether the result lies in the memory of the first argument."""
    if node.op != "call_function":
        return False
    if not isinstance(node.target, OpOverload):  # an item of a tuple
        return True
    if node.target is aten._unsafe_view.default:  # its schema does not say so, and linear layers write in its result
        return True
    schema = _schema(node.target)
    return schema is not None and any(value.alias_info is not None for value in schema.returns)


def written_by(node: fx.Node) -> list[fx.Node]:
    """The arguments that it writes in place."""
    if not isinstance(node.target, OpOverload):
        return []
    schema = _schema(node.target)
    if schema is None:
        return node.all_input_nodes
    if not schema.is_mutable:
        return []
    found: list[fx.Node] = []
    for i, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = node.args[i] if i < len(node.args) else node.kwargs.get(argument.name)
            found += [item for item in (value if isinstance(value, list | tuple) else [value]) if _is_node(item)]
    return found


def _is_node(value: Any) -> TypeGuard[fx.Node]:
    return isinstance(value, fx.Node)


def _schema(operation: Any) -> Any:
    return getattr(operation, "_schema", None)


def is_random(node: fx.Node) -> bool:
    """Whether it draws random numbers."""
    return isinstance(node.target, OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags


def has_shape_by_values(node: fx.Node) -> bool:
    """Whether the number of results depends on values; of indexing that is so with a mask alone."""
    if not isinstance(node.target, OpOverload) or torch.Tag.dynamic_output_shape not in node.target.tags:
        return False
    if node.target is not aten.index.Tensor:
        return True
    indices = node.args[1]
    assert isinstance(indices, list | tuple)
    found = [index.meta.get("val") for index in indices if isinstance(index, fx.Node)]
    return any(isinstance(value, Tensor) and value.dtype in (torch.bool, torch.uint8) for value in found)
