"""Point navigation in the plane."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from pydantic import Field, model_validator
from torch import Generator, Tensor

from metagap.tasks.actions import Actions, Gaussian
from metagap.tasks.control import ControlSource
from metagap.tasks.world import Rollouts, Step, World

PLANE = Gaussian(2)
Distance = Annotated[float, Ge(0), Le(100)]


@dataclass(frozen=True)
class NavigationWorld(World):
    """A point that starts at the origin and is to go to a goal that it is not told.

    An observation is the position, an action the velocity, cut to a box; the reward is minus the distance to the goal
    after the move, and within `reach` of it a rollout ends.
    """

    horizon: int = 100
    speed: float = 0.1
    reach: float = 0.01
    observation_noise: float = 0.0
    actions: Actions = PLANE
    observed: int = 2
    noises: int = 2
    parameters: dict[str, int] = field(default_factory=lambda: {"goal": 2, "turn": 4, "wind": 2}, hash=False)

    def reset(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """Position and what is seen of it: (R, 4)."""
        return torch.cat([torch.zeros_like(noise), self.observation_noise * noise], -1)

    def observe(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        """The position, blurred (R, 2)."""
        return state[:, 2:]

    def step(self, task: dict[str, Tensor], state: Tensor, action: Tensor, noise: Tensor) -> Step:
        """Moves by the turned velocity and the wind."""
        turn = task["turn"].unflatten(-1, (2, 2))
        velocity = (turn @ action.clamp(-self.speed, self.speed).unsqueeze(-1)).squeeze(-1)
        position = state[:, :2] + velocity + task["wind"]
        distance = (position - task["goal"]).square().sum(-1).sqrt()
        seen = position + self.observation_noise * noise
        return Step(torch.cat([position, seen], -1), -distance, distance < self.reach)

    def best(self, task: dict[str, Tensor]) -> Tensor:
        """A bound: straight to the goal at full speed in both coordinates of the box, with the wind known."""
        turn = task["turn"].unflatten(-1, (2, 2))
        # In the frame of the actions each coordinate goes its own way, and distances are those of the plane, for a turn
        # is a rotation or a reflection times a speed.
        size = turn.square().sum((-2, -1)).div(2).sqrt()
        frame = torch.stack([task["goal"], task["wind"]], -1)
        goal, wind = ((turn.mT @ frame) / size.square()[:, None, None]).unbind(-1)
        left, returns = goal, torch.zeros_like(size)
        for _ in range(self.horizon):
            left = left - wind
            left = left - left.clamp(-self.speed, self.speed)
            returns = returns - size * left.square().sum(-1).sqrt()
        return returns

    def ideal(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        """Straight to the goal in the frame of the actions, against the wind."""
        turn = task["turn"].unflatten(-1, (2, 2))
        size = turn.square().sum((-2, -1), keepdim=True) / 2
        left = (task["goal"] - task["wind"] - state[:, :2]).unsqueeze(-1)
        return (turn.mT @ left / size).squeeze(-1).clamp(-self.speed, self.speed)

    def shown(self, found: Rollouts) -> dict[str, Tensor]:
        """The way through the plane, as it is seen."""
        return {"path": found.observation[..., :2]}


class Navigation(ControlSource):
    """Point navigation: a point in the plane goes to a goal that it has to find by its reward (Finn et al. 2017).

    The defaults are the paper's: goals in a square around the start, a hundred steps of at most 0.1 a coordinate. Every
    option is a shift parameter.
    """

    half_side: Distance = Field(default=0.5, description="goals are uniform in a square of this half side")
    ring: tuple[Distance, Distance] | None = Field(
        default=None, description="goals are uniform in angle and distance in a ring of these radii instead"
    )
    speed: Annotated[float, Gt(0), Le(100)] = Field(default=1.0, description="factor of every move")
    rotation: Annotated[float, Ge(-360), Le(360)] = Field(
        default=0.0, description="degrees by which every move is turned"
    )
    mirrored: bool = Field(default=False, description="whether moves are mirrored left to right")
    wind: tuple[float, float] = Field(default=(0.0, 0.0), description="added to the position at every step")
    observation_noise: Distance = Field(default=0.0, description="standard deviation of the noise on what is seen")
    horizon: Annotated[int, Ge(1), Le(10_000)] = Field(default=100, description="steps in a rollout")

    licence = "made on the fly"
    citation = "Finn, Abbeel, Levine (2017), Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks"

    @model_validator(mode="after")
    def _ordered(self) -> Navigation:
        if self.ring is not None and self.ring[0] > self.ring[1]:
            raise ValueError(f"ring = {list(self.ring)}: the smaller radius comes first")
        return self

    def world(self) -> NavigationWorld:
        """The plane with this horizon and blur."""
        return NavigationWorld(horizon=self.horizon, observation_noise=self.observation_noise)

    def draw(self, count: int, part: str, generator: Generator) -> dict[str, Tensor]:
        """Goals; moves are the same for all tasks."""
        uniform = torch.rand(count, 2, generator=generator, device=generator.device)
        if self.ring is None:
            goal = (2 * uniform - 1) * self.half_side
        else:
            radius = self.ring[0] + (self.ring[1] - self.ring[0]) * uniform[:, 0]
            angle = 2 * math.pi * uniform[:, 1]
            goal = radius[:, None] * torch.stack([angle.cos(), angle.sin()], -1)
        c, s = math.cos(math.radians(self.rotation)), math.sin(math.radians(self.rotation))
        turn = torch.tensor([[c, -s], [s, c]]) @ torch.diag(torch.tensor([-1.0 if self.mirrored else 1.0, 1.0]))
        turn, wind = self.speed * turn.flatten(), torch.tensor(self.wind)
        return {"goal": goal} | {
            name: value.to(generator.device).expand(count, -1) for name, value in (("turn", turn), ("wind", wind))
        }
