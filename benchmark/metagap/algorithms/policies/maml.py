"""MAML for policies, with the outer rules that go by other names."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.func import grad

from metagap.algorithms.base import Params
from metagap.algorithms.policies.learner import Experience, PolicyLearner, outer_rule

Estimator = Literal["score", "ratio", "dice"]


def estimator(default: str) -> Any:
    """The option `estimator`, with another default."""
    return Field(
        default=default,
        description="of the inner gradient. All have the same first derivative; the second is, of score (log "
        "probabilities), biased; of ratio (likelihood ratios: the low-variance curvature of Rothfuss et al. 2019), "
        "unbiased where the horizon is 1; of dice (Foerster et al. 2018), unbiased, with more variance",
    )


class MAMLTRPO(PolicyLearner):
    """Learns a policy from which a few policy-gradient steps solve a task.

    An inner step is a step of REINFORCE with advantages, on rollouts of the policy so far; the outer loop descends the
    surrogate after the last one, through the inner steps, within a trust region (Finn et al. 2017, algorithm 3).
    """

    paper: ClassVar[str] = "Finn, Abbeel, Levine (2017), Model-Agnostic Meta-Learning for Fast Adaptation, ICML"

    outer: Literal["gradient", "ppo", "trpo"] = outer_rule("trpo")
    first_order: bool = Field(default=False, description="take the inner gradients as constants of the outer loop")
    estimator: Estimator = estimator("score")

    def inner_loss(self, fast: Params, stage: Experience) -> Tensor:
        """Its gradient is the policy gradient, whatever the estimator; they differ in the second derivative."""
        return -stage.mean(self._weight(fast, stage) * stage.advantage)

    def _weight(self, fast: Params, stage: Experience) -> Tensor:
        """Of the advantages (H, R)."""
        if self.estimator == "ratio":
            return self.ratio(fast, stage)
        log_prob = self.log_prob(fast, stage)
        if self.estimator == "score":
            return log_prob
        # An action changes what is met after it as well: its advantage counts by the ratio of the rollout up to it,
        # less the ratio of the rollout before it.
        change = log_prob - log_prob.detach()
        so_far = (change * stage.alive).cumsum(0)
        return so_far.exp() - (so_far - change).exp()

    def inner_step(self, fast: Params, stage: Experience, step: int) -> Params:
        """One step of gradient ascent on the return."""
        gradient = grad(self.inner_loss)(fast, stage)
        if self.first_order:
            gradient = {name: value.detach() for name, value in gradient.items()}
        return {name: value - self.step_size(step) * gradient[name] for name, value in fast.items()}


class FOMAMLTRPO(MAMLTRPO):
    """MAML-TRPO without second derivatives.

    The outer gradient is the policy gradient of the adapted policies (Finn et al. 2017, section 5.2, "first-order
    approximation", for policies).
    """

    first_order: bool = Field(default=True, description="take the inner gradients as constants of the outer loop")


class MAMLPPO(MAMLTRPO):
    """MAML with PPO in place of the trust region.

    The outer rule makes several steps on the clipped surrogate, on the same rollouts (Schulman et al. 2017, equation
    7), as in the comparisons of Rothfuss et al. (2019).
    """

    outer: Literal["gradient", "ppo", "trpo"] = outer_rule("ppo")
