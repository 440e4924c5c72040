"""Bernoulli bandits."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from pydantic import Field
from scipy.integrate import quad
from scipy.special import betainc
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from metagap.tasks.actions import Actions, Categorical
from metagap.tasks.control import ControlSource, numpy_generator
from metagap.tasks.world import Rollouts, Step, World
from metagap.tasks.worlds import bandit_optimum

Shape = Annotated[float, Gt(0), Le(1000)]


@dataclass(frozen=True)
class BanditWorld(World):
    """Arms that pay 1 with probabilities that it does not tell, and else 0; there is nothing to observe.

    alpha, beta: of the prior of the arms, which are independent. What is best depends on it, and so does what random
    actions are worth: both are expected values over tasks of this prior, the same for every task.
    """

    horizon: int
    alpha: float
    beta: float
    actions: Actions
    parameters: dict[str, int] = field(hash=False)
    observed: int = 1
    noises: int = 1

    def reset(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """Nothing: (R, 1)."""
        return torch.zeros_like(noise)

    def observe(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        """Zero (R, 1)."""
        return state

    def step(self, task: dict[str, Tensor], state: Tensor, action: Tensor, noise: Tensor) -> Step:
        """Whether the arm that was pulled pays."""
        paid = torch.special.ndtr(noise[:, 0]) < (task["means"] * action).sum(-1)
        return Step(state, paid.to(state), torch.zeros_like(paid))

    def best(self, task: dict[str, Tensor]) -> Tensor:
        """What the Bayes optimum earns, expected over the prior.

        Where the game is too large for that, see `bandit_optimum`, what the best arm pays, expected over the prior: a
        bound that nobody reaches who has to find that arm.
        """
        arms, prior = self.actions.size, (self.alpha, self.beta)
        value = bandit_optimum.value(arms, self.horizon, *prior)
        if value is None:
            value = self.horizon * best_arm(arms, *prior)
        return torch.full_like(task["means"][:, 0], value)

    def random(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """What a random arm pays, expected over the prior."""
        return torch.full_like(task["means"][:, 0], self.horizon * self.alpha / (self.alpha + self.beta))

    def ideal(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        """The best arm, of one who is told the probabilities."""
        return one_hot(task["means"].argmax(-1), self.actions.size).to(state)

    def shown(self, found: Rollouts) -> dict[str, Tensor]:
        """The arm of every pull, and whether it paid."""
        return {"choice": found.action.argmax(-1).to(torch.int16), "reward": found.reward}


class Bandits(ControlSource):
    """Bernoulli bandits: arms that pay or do not, with probabilities that have to be found out (Duan et al. 2016).

    A rollout is a whole game of `horizon` pulls, so that what a policy learns in it by remembering what paid is scored
    by itself, without any inner step. Of small games, such as five arms and ten pulls, the best expected return is the
    Bayes optimum under the source's own prior; of large ones, what the best arm pays, which is a bound.
    """

    arms: Annotated[int, Ge(2), Le(1000)] = Field(default=5, description="choices at every pull")
    horizon: Annotated[int, Ge(1), Le(10_000)] = Field(default=10, description="pulls in a rollout")
    alpha: Shape = Field(default=1.0, description="of the Beta prior of every arm's probability: more pays more often")
    beta: Shape = Field(default=1.0, description="of the same: more pays less often")

    licence = "made on the fly"
    citation = "Duan, Schulman, Chen, Bartlett, Sutskever, Abbeel (2016), RL2: Fast RL via Slow RL, section 3.1"

    def world(self) -> BanditWorld:
        """The game with this prior."""
        return BanditWorld(self.horizon, self.alpha, self.beta, Categorical(self.arms), {"means": self.arms})

    def draw(self, count: int, part: str, generator: Generator) -> dict[str, Tensor]:
        """The probability of every arm (count, arms)."""
        means = numpy_generator(generator).beta(self.alpha, self.beta, (count, self.arms))
        return {"means": torch.from_numpy(means.astype(np.float32)).to(generator.device)}


@cache
def best_arm(arms: int, alpha: float, beta: float) -> float:
    """The expected probability of the best of independent arms."""
    return 1 - quad(lambda x: betainc(alpha, beta, x) ** arms, 0, 1, limit=200)[0]
