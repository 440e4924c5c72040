"""MAML and its first-order approximation."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from metagap.algorithms.base import Algorithm, GradientLearner, Params
from metagap.tasks.episode import Episode, Support


class MAML(GradientLearner):
    """Learns an initialisation from which a few gradient steps solve a task.

    The inner loop is theta' = theta - alpha * grad L_support(theta); the outer loop descends L_query(theta') with
    respect to theta, through the inner gradients (Finn et al. 2017, equations 1 and 4).
    """

    paper: ClassVar[str] = "Finn, Abbeel, Levine (2017), Model-Agnostic Meta-Learning for Fast Adaptation, ICML"

    first_order: bool = Field(default=False, description="take the inner gradients as constants of the outer loop")

    def inner_step(self, fast: Params, support: Support, step: int) -> Params:
        """One step of gradient descent on the support loss."""
        gradient = self.support_gradient(fast, support)
        if self.first_order:
            gradient = {name: value.detach() for name, value in gradient.items()}
        return {name: value - self.inner_lr * gradient[name] for name, value in fast.items()}

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The derivative of the query loss; in first order there is nothing to compute again on the way back."""
        return (
            Algorithm.meta_gradient(self, meta, episode) if self.first_order else super().meta_gradient(meta, episode)
        )


class FOMAML(MAML):
    """MAML without second derivatives: the outer gradient is the query gradient at the adapted weights.

    Finn et al. 2017, section 5.2, "first-order approximation".
    """

    first_order: bool = Field(default=True, description="take the inner gradients as constants of the outer loop")
