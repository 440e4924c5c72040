"""The code of a trace, for a process that has only torch.

Checked on torch 2.15. Uses the source that `fx.Graph.python_code` generates and the names it counts on, by `exec`. The
public way, where it gives no such thing: the pickled `fx.GraphModule`, which takes eight times as long to load and is
traced by torch once more for that.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

Flat = Callable[..., list[Tensor]]
"""Of tensors, to the tensors that a trace gives, in order."""


class Code(NamedTuple):
    """Python code and what it refers to."""

    code: str
    names: dict[str, Any]
    constants: dict[str, Tensor]

    @classmethod
    def of(cls, trace: fx.GraphModule, flat: fx.Graph) -> Code:
        """That of a trace. Raises AttributeError where this torch generates another kind of code."""
        generated = flat.python_code("self")
        names = {name: value for name, value in generated.globals.items() if not isinstance(value, ModuleType)}
        constants = {str(node.target): getattr(trace, str(node.target)) for node in flat.nodes if node.op == "get_attr"}
        return cls(generated.src, names, constants)

    def function(self) -> Flat:
        """What computes it."""
        names = {"torch": torch, **self.names}
        exec(self.code, names)
        constants = type("Constants", (), self.constants)
        return lambda *tensors: names["forward"](constants, *tensors)


class Whole(NamedTuple):
    """A trace as a module, which pickles itself."""

    module: fx.GraphModule

    def function(self) -> Flat:
        """What computes it."""
        return self.module


def portable(trace: fx.GraphModule) -> Code | Whole:
    """A trace as a function of plain tensors that can be pickled."""
    flat = fx.Graph()
    flat.output(flat.graph_copy(trace.graph, {}))
    try:
        return Code.of(trace, flat)
    except AttributeError:
        return Whole(fx.GraphModule(trace, flat))
