"""A world: a cart that is to run at a speed which it is not told; and the source of such tasks."""

from dataclasses import dataclass, field

import torch
from metagap.tasks.actions import Actions, Gaussian
from metagap.tasks.control import ControlSource
from metagap.tasks.world import Step, World
from pydantic import Field

PUSH = Gaussian(1)


@dataclass(frozen=True)
class CartWorld(World):
    """The action is a push; the reward is minus how far the speed is from the one that is wanted."""

    horizon: int
    actions: Actions = PUSH
    observed: int = 1
    noises: int = 1
    parameters: dict[str, int] = field(default_factory=lambda: {"speed": 1}, hash=False)

    def reset(self, task, noise):
        return torch.zeros_like(noise)

    def observe(self, task, state):
        return state

    def step(self, task, state, action, noise):
        state = state + 0.2 * action.clamp(-1, 1) + 0.02 * noise
        return Step(state, -(state - task["speed"]).abs()[:, 0], torch.zeros(len(state)))

    def ideal(self, task, state):
        return (5 * (task["speed"] - state)).clamp(-1, 1)


class Cart(ControlSource):
    """Speeds are uniform between two bounds."""

    slowest: float = Field(default=-1.0, description="the least speed that is wanted")
    fastest: float = Field(default=1.0, description="the greatest")
    horizon: int = Field(default=20, gt=0, description="steps of a rollout")
    licence = "made on the fly"
    citation = "none"

    def world(self):
        return CartWorld(self.horizon)

    def draw(self, count, part, generator):
        share = torch.rand(count, 1, generator=generator, device=generator.device)
        return {"speed": self.slowest + (self.fastest - self.slowest) * share}
