"""The tensors beneath function transforms.

Checked on torch 2.15. Uses `torch._C._functorch`: `is_functorch_wrapped_tensor` and `get_unwrapped`. The public way,
where these are gone: `Tensor.detach`. What `grad` wraps around a tensor stays there, and lets go of it once `grad` is
over; a tensor inside of `vmap` cannot be looked at then.
"""

from __future__ import annotations

from torch import Tensor

try:
    import torch._C._functorch as functorch
except ImportError:
    functorch = None


def bare(value: Tensor) -> Tensor:
    """The tensor beneath what function transforms wrap around it, detached."""
    while functorch is not None and functorch.is_functorch_wrapped_tensor(value):
        value = functorch.get_unwrapped(value)
    return value.detach()
