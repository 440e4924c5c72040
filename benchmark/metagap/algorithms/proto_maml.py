"""Proto-MAML."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat
from torch import nn

from metagap.algorithms.base import Params
from metagap.algorithms.maml import MAML
from metagap.errors import UserError
from metagap.tasks.episode import Support, TaskSpec


class ProtoMAML(MAML):
    """MAML whose head starts, on every task, as the prototypical classifier of the support set.

    With c_k the mean feature of class k, the head starts as weight 2 c_k and bias -|c_k|^2, whose logits are those of a
    prototypical network (Snell et al. 2017) up to a constant; then all weights adapt (Triantafillou et al. 2020, where
    it is introduced). The outer loop reaches the features through the prototypes too, also in first order; the
    network's own head is never used. The defaults are what the authors found by search for ImageNet.
    """

    paper: ClassVar[str] = "Triantafillou et al. (2020), Meta-Dataset, ICLR"

    takes_apart: ClassVar[bool] = True

    first_order: bool = Field(default=True, description="take the inner gradients as constants of the outer loop")
    inner_lr: PositiveFloat = Field(default=0.0054, description="step size of the inner loop")
    inner_steps: NonNegativeInt = Field(default=6, description="inner steps on each task during meta-training")

    def bind(self, network: nn.Module, spec: TaskSpec, precision: torch.dtype | None = None) -> Self:
        """This algorithm for a network and a form of task; raises UserError for regression."""
        if not spec.kind.has_ways:
            raise UserError(f"algorithm ProtoMAML needs classes: it is for classification, not for {spec.kind}")
        return super().bind(network, spec, precision)

    def check_network(self) -> None:
        """Raises UserError where the network is not in two parts, with a linear head that has a bias."""
        super().check_network()
        self.part("features")
        if self.linear_head(replaced=True).bias is None:
            model = type(self.network).__name__
            raise UserError(f"algorithm ProtoMAML needs a head with a bias, and that of model {model} has none")

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Gradient descent on everything, from the head that the prototypes make."""
        return super().adapt_path({**meta, **self.prototype_head(meta, support)}, support, steps)

    def prototype_head(self, meta: Params, support: Support) -> Params:
        """The head's weight (ways, width) and bias (ways,)."""
        features = self.features(meta, support.x)
        member = support.y == torch.arange(self.spec.ways, device=support.y.device)[:, None]
        prototypes = member.to(features.dtype) @ features / member.sum(1, keepdim=True)
        return {"head.weight": 2 * prototypes, "head.bias": -prototypes.square().sum(1)}
