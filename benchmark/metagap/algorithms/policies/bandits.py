"""Policies for Bernoulli bandits that learn nothing, to compare learners with: they count, and are told a prior."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat
from torch import Generator, Tensor, nn

from metagap.algorithms.base import Params
from metagap.algorithms.policies.actor import MEMORY, Remembering, Unadapted
from metagap.errors import UserError
from metagap.tasks.episode import TaskSpec
from metagap.tasks.world import Seen
from metagap.tasks.worlds import gittins
from metagap.tasks.worlds.bandits import BanditWorld


class BanditPolicy(Remembering):
    """Remembers how often every arm paid and how often it did not, (R, 2 * arms), and has no use for the network."""

    trains: ClassVar[bool] = False

    inner_steps: NonNegativeInt = Field(default=0, description="of no effect: nothing is trained")

    def bind(self, network: nn.Module, spec: TaskSpec, precision: torch.dtype | None = None) -> Self:
        """This policy for a form of task; raises UserError where that is no bandit."""
        bound = super().bind(network, spec, precision)
        if not isinstance(spec.world, BanditWorld):
            raise UserError(
                f"algorithm {type(self).__name__} plays bandits, and the tasks are a {type(spec.world).__name__}; "
                "allowed: source 'bandits'"
            )
        return bound

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network, which are not used, and counts of zero."""
        return {**super().init(network, class_count, generator), MEMORY: torch.zeros(2 * self.world.actions.size)}

    def act(self, fast: Params, seen: Seen) -> tuple[Tensor, Tensor]:
        """Count what came of the pull before, and choose."""
        paid = seen.action * seen.reward[:, None]  # before the first pull both are zero
        memory = seen.memory + torch.cat([paid, seen.action - paid], -1)
        return self.choice(*memory.chunk(2, -1)), memory

    @abstractmethod
    def choice(self, paid: Tensor, failed: Tensor) -> Tensor:
        """The logits (R, arms) of the next pull, after arms paid and failed so often (R, arms)."""


class BayesianBanditPolicy(BanditPolicy):
    """Of a prior that it is told; on tasks of another prior it still holds that, as a learner holds what it learned."""

    alpha: PositiveFloat = Field(default=1.0, description="of the Beta prior of every arm, as in the source")
    beta: PositiveFloat = Field(default=1.0, description="of the Beta prior of every arm, as in the source")


class Thompson(BayesianBanditPolicy):
    """Thompson sampling: pulls every arm as often as it is probable to be the best one, given what was seen.

    These probabilities are computed by quadrature, in place of a sample of the posterior, which makes the same policy.
    """

    paper: ClassVar[str] = "Thompson (1933), On the Likelihood that One Unknown Probability Exceeds Another, Biometrika"

    def choice(self, paid: Tensor, failed: Tensor) -> Tensor:
        """The logarithmic probabilities of being the best arm."""
        return best_arm_probabilities(self.alpha + paid, self.beta + failed).clamp(min=1e-30).log()


class UCB(BanditPolicy):
    """UCB1: pulls the arm with the greatest upper confidence bound.

    Every arm is pulled once before that. The bound is for any bandit, not for a prior, and explores longer than ten
    pulls repay.
    """

    paper: ClassVar[str] = (
        "Auer, Cesa-Bianchi, Fischer (2002), Finite-time Analysis of the Multiarmed Bandit Problem, Machine Learning"
    )

    bonus: NonNegativeFloat = Field(default=1.0, description="factor of the width of the bound; 1 in the paper")

    def choice(self, paid: Tensor, failed: Tensor) -> Tensor:
        """The arms of the greatest mean + bonus * sqrt(2 ln(all pulls) / its pulls), figure 1 of the paper."""
        pulls = paid + failed
        width = (2 * pulls.sum(-1, keepdim=True).clamp(min=1).log() / pulls.clamp(min=1)).sqrt()
        return among_greatest(torch.where(pulls > 0, paid / pulls.clamp(min=1) + self.bonus * width, torch.inf))


class Greedy(BayesianBanditPolicy):
    """Pulls an arm of the greatest posterior mean.

    It goes for what pays at once, without a thought of what can be learned. Among arms that are alike it chooses at
    random.
    """

    paper: ClassVar[str] = "none: the myopic policy, to tell what exploring is worth"

    def choice(self, paid: Tensor, failed: Tensor) -> Tensor:
        """The arms of the greatest posterior mean."""
        return among_greatest((self.alpha + paid) / (self.alpha + self.beta + paid + failed))


class Gittins(Unadapted, BayesianBanditPolicy):
    """Pulls the arm of the greatest finite-horizon Gittins index: knows how many pulls are left, and looks ahead.

    Of five arms, ten pulls and a uniform prior it is the Bayes optimum, and elsewhere it comes within 0.05% of it, as
    far as that could be computed. It plays every game by itself and takes nothing over from rollouts before.
    """

    paper: ClassVar[str] = (
        "Gittins (1979), Bandit Processes and Dynamic Allocation Indices, JRSS B; with pulls that run out: Ginebra, "
        "Clayton (1999), Small-sample Performance of Bernoulli Two-armed Bandit Bayesian Strategies, JSPI"
    )

    def bind(self, network: nn.Module, spec: TaskSpec, precision: torch.dtype | None = None) -> Self:
        """This policy for a form of task; raises UserError where that is no bandit, or has too many pulls."""
        bound = super().bind(network, spec, precision)
        if bound.world.horizon > MOST_PULLS:
            raise UserError(
                f"algorithm Gittins has a table of all that can happen to an arm, and source.horizon = "
                f"{bound.world.horizon} is too long for it; allowed: up to {MOST_PULLS}"
            )
        return bound

    def choice(self, paid: Tensor, failed: Tensor) -> Tensor:
        """The arms of the greatest index."""
        horizon = self.world.horizon
        index = torch.from_numpy(gittins.indices(horizon, self.alpha, self.beta)).to(paid)
        left = horizon - (paid + failed).sum(-1, keepdim=True)
        return among_greatest(index[left.long().expand_as(paid), paid.long(), failed.long()])


MOST_PULLS = 300


def among_greatest(index: Tensor) -> Tensor:
    """The logits (..., n) of a fair choice among the greatest of an index (..., n)."""
    return torch.where(index >= index.amax(-1, keepdim=True), 0.0, -torch.inf)


POINTS, SCALE, REACH = 160, 0.5, 5.5
"""Of the quadrature. In logits z = SCALE * sinh(t), |t| < REACH, densities of Beta distributions are smooth and fall
exponentially; the points are dense where the distributions of hundreds of pulls are narrow, and reach far enough for
parameters of 0.2."""


def best_arm_probabilities(alpha: Tensor, beta: Tensor) -> Tensor:
    """How probable every arm is to have the greatest of independent Beta variables (..., arms)."""
    t = REACH * (2 * (torch.arange(POINTS, device=alpha.device) + 0.5) / POINTS - 1).to(alpha)
    z = SCALE * t.sinh()
    log_density = (
        alpha[..., None] * torch.nn.functional.logsigmoid(z)
        + beta[..., None] * torch.nn.functional.logsigmoid(-z)
        + t.cosh().log()
    )
    mass = log_density.softmax(-1)  # (..., arms, points)
    below = (mass.cumsum(-1) - mass / 2).clamp(min=1e-30)
    others = below.log().sum(-2, keepdim=True) - below.log()
    found = (mass * others.exp()).sum(-1)
    return found / found.sum(-1, keepdim=True)
