"""Adam, the default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metagap.optimizers.optimizer import OuterOptimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


def _make(parameters: list[Tensor], lr: float | Tensor, eps: float = 1e-8) -> Optimizer:
    from torch.optim import Adam

    return Adam(parameters, lr=lr, eps=eps, fused=True, capturable=parameters[0].is_cuda)


ADAM = OuterOptimizer(
    name="adam",
    about="Adam (Kingma & Ba 2015), with torch's betas of 0.9 and 0.999.",
    make=_make,
    options=("eps",),
)
