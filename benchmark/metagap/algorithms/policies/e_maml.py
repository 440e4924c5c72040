"""E-MAML: rollouts before adaptation are credited with the return after it."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Generator, Tensor, nn

from metagap.algorithms.base import CARRIED, Params
from metagap.algorithms.policies.learner import Experience, Surrogate, outer_rule
from metagap.algorithms.policies.maml import MAMLTRPO

MEAN, SPREAD = CARRIED + "mean", CARRIED + "spread"
"""Of the tasks' returns after adaptation in the meta-batch before, (): what a return is compared with."""


class EMAML(MAMLTRPO):
    """MAML-TRPO that also rewards exploration: what was done before adaptation is credited with what came of it.

    To the surrogate comes the mean log probability of all actions before adaptation, times the return after it, in
    standard deviations over tasks from the mean of the meta-batch before (Stadie et al. 2018).
    """

    paper: ClassVar[str] = (
        "Stadie, Yang, Houthooft, Chen, Duan, Wu, Abbeel, Sutskever (2018), Some Considerations on "
        "Learning to Explore via Meta-Reinforcement Learning, NeurIPS"
    )

    outer: Literal["ppo", "trpo"] = outer_rule("trpo")  # pyright: ignore[reportIncompatibleVariableOverride]
    exploration: NonNegativeFloat = Field(
        default=1.0,
        description="weight of the term for exploration; the number of rollouts before adaptation leaves no bias where "
        "returns and advantages are in the same unit, but much variance",
    )

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The policy, and what returns are compared with: nothing yet."""
        return {**super().init(network, class_count, generator), MEAN: torch.zeros(()), SPREAD: torch.zeros(())}

    def surrogate(self, meta: Params, trials: list[Experience]) -> Surrogate:
        """That of MAML, and the term for exploration."""
        found = super().surrogate(meta, trials)
        fast, told = meta, trials[-1].reward.new_zeros(())
        for step, stage in enumerate(trials[:-1]):
            if step:
                fast = self.inner_step(fast, trials[step - 1], step - 1)
            told = told + stage.mean(self.log_prob(fast, stage))
        return found._replace(loss=found.loss - self.exploration * self.credit(meta, trials[-1]) * told)

    def credit(self, meta: Params, last: Experience) -> Tensor:
        """How good the return after adaptation is, (); 0 as long as there is nothing to compare it with."""
        mean, spread = meta[MEAN].detach(), meta[SPREAD].detach()
        return torch.where(spread > 0, (last.returns.mean() - mean) / spread.clamp(min=1e-8), 0.0)

    def carried(self, meta: Params, found: Surrogate, metrics: dict[str, Tensor]) -> Params:
        """The mean and the standard deviation over tasks of this meta-batch."""
        return {MEAN: metrics["score"].mean(), SPREAD: metrics["score"].std(correction=0)}
