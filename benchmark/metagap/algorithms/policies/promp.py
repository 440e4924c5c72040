"""ProMP: MAML with a low-variance inner gradient, and a penalty on how far the policies before adaptation move."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn

from metagap.algorithms.base import CARRIED, Params
from metagap.algorithms.policies.learner import Experience, Surrogate, outer_rule
from metagap.algorithms.policies.maml import MAMLTRPO, Estimator, estimator

KL_WEIGHT = CARRIED + "kl_weight"
"""(inner_steps,): of the divergence of the policy before each inner step."""
TOLERANCE, FACTOR = 1.5, 2.0
"""A weight changes by the factor where its divergence is not within the tolerance of the target."""


class ProMP(MAMLTRPO):
    """MAML by several proximal steps on the same rollouts, with credit for how a policy was adapted.

    The inner gradient is that of likelihood ratios, whose derivative says how actions before adaptation change what
    comes of it (low-variance curvature); the outer loop descends the clipped surrogate, and a penalty keeps the
    policies before adaptation close to those that collected (Rothfuss et al. 2019, algorithm 1).
    """

    paper: ClassVar[str] = "Rothfuss, Lee, Clavera, Asfour, Abbeel (2019), ProMP: Proximal Meta-Policy Search, ICLR"

    inner_steps: PositiveInt = Field(default=1, description="inner steps on each task during meta-training")
    outer: Literal["ppo"] = outer_rule("ppo")  # pyright: ignore[reportIncompatibleVariableOverride]
    estimator: Estimator = estimator("ratio")
    kl_weight: NonNegativeFloat = Field(default=0.01, description="of the penalty, at the start of meta-training")
    adaptive_kl: bool = Field(default=True, description="whether the weight follows the divergence, by factors of 2")
    kl_target: PositiveFloat = Field(default=0.01, description="the divergence that the adaptive weight is to keep")

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The policy, and the weight of the penalty for every inner step."""
        weight = torch.full((self.inner_steps,), self.kl_weight)
        return {**super().init(network, class_count, generator), KL_WEIGHT: weight}

    def surrogate(self, meta: Params, trials: list[Experience]) -> Surrogate:
        """The clipped surrogate with the penalty."""
        found = super().surrogate(meta, trials)
        return found._replace(loss=found.loss + (meta[KL_WEIGHT].detach() * found.inner_kl).mean())

    def carried(self, meta: Params, found: Surrogate, metrics: dict[str, Tensor]) -> Params:
        """The weight is doubled where the policies moved too far, and halved where they hardly did."""
        if not self.adaptive_kl:
            return {}
        weight = meta[KL_WEIGHT]
        weight = torch.where(found.inner_kl > self.kl_target * TOLERANCE, weight * FACTOR, weight)
        return {KL_WEIGHT: torch.where(found.inner_kl < self.kl_target / TOLERANCE, weight / FACTOR, weight)}
