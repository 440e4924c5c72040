"""Random tabular Markov decision processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from pydantic import Field
from torch import Generator, Tensor

from metagap.tasks.actions import Actions, Categorical
from metagap.tasks.control import ControlSource, numpy_generator
from metagap.tasks.world import Step, World


@dataclass(frozen=True)
class TabularWorld(World):
    """A few states and actions; which transitions and rewards they bring is not told. What is observed is the state.

    A task has the probabilities of its transitions, by state, action and next state, and its mean rewards, by state and
    action. Every rollout begins in the first state.
    """

    horizon: int
    reward_noise: float
    observed: int
    actions: Actions
    parameters: dict[str, int] = field(hash=False)
    noises: int = 2

    def reset(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """The first state, one-hot (R, states)."""
        return (torch.arange(self.observed, device=noise.device) == 0).to(noise).expand(len(noise), -1)

    def observe(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        """The state, one-hot (R, states)."""
        return state

    def step(self, task: dict[str, Tensor], state: Tensor, action: Tensor, noise: Tensor) -> Step:
        """To a state by the inverse of the distribution function, for a noisy reward."""
        transitions, means = self._tables(task)
        here = state[:, :, None] * action[:, None, :]  # (R, states, actions)
        below = (here[..., None] * transitions).sum((1, 2)).cumsum(-1)[:, :-1]
        place = (torch.special.ndtr(noise[:, :1]) > below).sum(-1, keepdim=True)
        after = (torch.arange(self.observed, device=noise.device) == place).to(state)
        reward = (here * means).sum((1, 2)) + self.reward_noise * noise[:, 1]
        return Step(after, reward, torch.zeros_like(reward))

    def best(self, task: dict[str, Tensor]) -> Tensor:
        """What is earned by whoever knows the task: more than by any policy that has to find it out."""
        return self._value(task, lambda worth: worth.amax(-1))

    def random(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """The expected return of random actions."""
        return self._value(task, lambda worth: worth.mean(-1))

    def _value(self, task: dict[str, Tensor], chosen: Callable[[Tensor], Tensor]) -> Tensor:
        """The expected return (R,) of a choice among what actions are worth (R, states, actions), by backward steps."""
        transitions, means = self._tables(task)
        value = torch.zeros_like(means[..., 0])
        for _ in range(self.horizon):
            value = chosen(means + (transitions @ value[:, None, :, None]).squeeze(-1))
        return value[:, 0]

    def _tables(self, task: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Transitions (R, states, actions, states) and mean rewards (R, states, actions)."""
        states, actions = self.observed, self.actions.size
        return task["transitions"].unflatten(-1, (states, actions, states)), task["rewards"].unflatten(
            -1, (states, actions)
        )


class TabularMDP(ControlSource):
    """Random tabular Markov decision processes, which have to be found out and used (Duan et al. 2016).

    The defaults are the paper's: ten states, five actions, flat Dirichlet transitions, rewards of unit variance with
    means from N(1, 1), episodes of ten steps. A policy that remembers, such as RL2, gets several episodes of a task by
    inner steps: a stage is `shots` episodes. Normalised returns and regret are relative to whoever is told the task.
    """

    states: Annotated[int, Ge(2), Le(100)] = Field(default=10, description="number of states")
    actions: Annotated[int, Ge(2), Le(100)] = Field(default=5, description="number of actions")
    horizon: Annotated[int, Ge(1), Le(10_000)] = Field(default=10, description="steps in an episode")
    concentration: Annotated[float, Gt(0), Le(1000)] = Field(
        default=1.0, description="of the Dirichlet prior of transitions: 1 is flat, less is nearer to certainty"
    )
    reward_mean: Annotated[float, Ge(-100), Le(100)] = Field(default=1.0, description="mean of the mean rewards")
    reward_scale: Annotated[float, Ge(0), Le(100)] = Field(
        default=1.0, description="standard deviation of the mean rewards"
    )
    reward_noise: Annotated[float, Ge(0), Le(100)] = Field(
        default=1.0, description="standard deviation of a reward around its mean"
    )

    licence = "made on the fly"
    citation = "Duan, Schulman, Chen, Bartlett, Sutskever, Abbeel (2016), RL2: Fast RL via Slow RL, section 3.2"

    def world(self) -> TabularWorld:
        """States and actions of these numbers."""
        sizes = {"transitions": self.states**2 * self.actions, "rewards": self.states * self.actions}
        return TabularWorld(self.horizon, self.reward_noise, self.states, Categorical(self.actions), sizes)

    def draw(self, count: int, part: str, generator: Generator) -> dict[str, Tensor]:
        """Transitions (count, states * actions * states) and mean rewards (count, states * actions)."""
        rng = numpy_generator(generator)
        prior, pairs = np.full(self.states, self.concentration), self.states * self.actions
        transitions = rng.dirichlet(prior, (count, pairs)).reshape(count, -1)
        rewards = rng.normal(self.reward_mean, self.reward_scale, (count, pairs))
        return {
            name: torch.from_numpy(values.astype(np.float32)).to(generator.device)
            for name, values in (("transitions", transitions), ("rewards", rewards))
        }
