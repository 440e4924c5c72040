"""Another class for a layer of a network.

Checked on Python 3.11 and torch 2.15. Uses assignment to `module.__class__`, which keeps every reference to the layer.
The public way, where Python refuses that: a layer of the other class that shares everything with the first, put in its
place by `nn.Module.set_submodule`. What else refers to the first goes on with it, slower and with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def reclassed(network: nn.Module, other: Callable[[nn.Module], type[nn.Module] | None]) -> nn.Module:
    """`network`, changed: each layer has the class that `other` gives for it; None: the one it has."""
    for module in list(network.modules()):
        kind = other(module)
        if kind is not None:
            try:
                _assign(module, kind)
            except TypeError:
                network = _replaced(network, module, kind)
    return network


def _assign(module: nn.Module, kind: type[nn.Module]) -> None:
    module.__class__ = kind


def _replaced(network: nn.Module, module: nn.Module, kind: type[nn.Module]) -> nn.Module:
    twin = kind.__new__(kind)
    vars(twin).update(vars(module))  # the same weights, buffers and hooks
    for name in [name for name, found in network.named_modules(remove_duplicate=False) if found is module]:
        if not name:
            return twin
        network.set_submodule(name, twin)
    return network
