"""Which layer of a network is being computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook


class Layers:
    """The layers of a network that are being computed, from the whole one inwards."""

    def __init__(self, network: nn.Module | None):
        self._names = {module: name for name, module in network.named_modules()} if network is not None else {}
        self.open: list[nn.Module] = []

    def where(self) -> str:
        """The innermost one, as a part of a sentence; empty where no layer is being computed."""
        inside = [module for module in self.open if self._names.get(module)]
        return f" in its layer '{self._names[inside[-1]]}' ({type(inside[-1]).__name__})" if inside else ""


@contextmanager
def last_layer(network: nn.Module | None) -> Iterator[Layers]:
    """Notes which layers are being computed: what is left after an error is where it came from."""
    layers = Layers(network)

    def enter(module: nn.Module, _: object) -> None:
        layers.open.append(module)

    def leave(module: nn.Module, *_: object) -> None:
        if layers.open and layers.open[-1] is module:
            layers.open.pop()

    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    try:
        yield layers
    finally:
        for hook in hooks:
            hook.remove()
