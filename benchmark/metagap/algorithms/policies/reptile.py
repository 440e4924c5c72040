"""Reptile for policies."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.algorithms.policies.learner import outer_rule
from metagap.algorithms.policies.maml import MAMLTRPO
from metagap.tasks.episode import Episode


class PolicyReptile(MAMLTRPO):
    """Moves the policy towards what a few policy-gradient steps on a task make of it.

    The outer step of Reptile (Nichol, Achiam, Schulman 2018, algorithm 2) with inner steps on a stage of rollouts each.
    The paper has no reinforcement learning in its results; this is its rule, applied to policies.
    """

    paper: ClassVar[str] = "Nichol, Achiam, Schulman (2018), On First-Order Meta-Learning Algorithms"

    inner_steps: NonNegativeInt = Field(default=3, description="inner steps on each task during meta-training")
    outer: Literal["gradient"] = outer_rule("gradient")  # pyright: ignore[reportIncompatibleVariableOverride]

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """phi - W, with the return after adaptation for the record."""
        trials = self.trials(meta, episode)
        fast, _ = self.adapted(meta, trials)
        return {name: meta[name] - fast[name].detach() for name in meta}, self.metrics(trials)
