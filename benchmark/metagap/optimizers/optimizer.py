"""What an outer optimizer is: a name, and a function that makes an optimizer of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from metagap import registry


@dataclass(frozen=True, kw_only=True)
class OuterOptimizer:
    """Moves the meta-parameters along the mean meta-gradient of a meta-batch."""

    name: str
    """As suites say it."""
    about: str
    """One sentence on what it is, with its source."""
    make: str | Callable[..., Any]
    """The function, or `package.module:name` of it, so that suites are read without torch.

    Of a list of meta-parameters, the step size `lr` and the `options` that a suite sets it gives a
    `torch.optim.Optimizer`. On a GPU `lr` is a tensor, which every captured step reads: pass it on. The schedule sets
    the `lr` of every parameter group, gradients are contiguous and clipped before, and the state of the optimizer is in
    checkpoints.
    """
    options: tuple[str, ...] = ()
    """The keys of `[training]` that `make` takes where they are set, such as `eps`."""

    def made(self, parameters: list[Any], lr: Any, training: Mapping[str, Any]) -> Any:
        """The optimizer of these meta-parameters. training: the settings of that section of a suite."""
        make = registry.function(self.make, f"outer optimizer '{self.name}': its function")
        chosen = {key: training[key] for key in self.options if training.get(key) is not None}
        return make(parameters, lr=lr, **chosen)
