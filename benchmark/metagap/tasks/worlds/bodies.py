"""Bodies that MuJoCo simulates, as worlds: what they have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Annotated, NamedTuple

import torch
from annotated_types import Ge, Gt, Le
from pydantic import Field
from torch import Generator, Tensor

from metagap.tasks.control import ControlSource, ControlTasks
from metagap.tasks.source import Part
from metagap.tasks.world import Step, World
from metagap.tasks.worlds.physics import Physics, require

Factor = Annotated[float, Gt(0), Le(100)]

WANDERED = 32
"""Rollouts of random actions, whose mean return is what random actions earn."""


@dataclass(frozen=True)
class BodyWorld(World):
    """A body that moves by the torques of its joints.

    limit: actions of plus and minus this are the greatest torques. A state is that of `Physics`, in float64 whatever
    the precision of the network. Everything random is in where a rollout begins.
    """

    physics: Physics
    horizon: int
    limit: float

    @property
    def noises(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As many as there are positions and velocities, for the reset; steps use none."""
        return self.physics.nq + self.physics.nv

    @abstractmethod
    def reward(self, task: dict[str, Tensor], before: Tensor, after: Tensor, torque: Tensor) -> Tensor:
        """Of a step (...), from state to state (..., numbers) by torques (..., actions) in [-1, 1]."""

    def done(self, state: Tensor) -> Tensor:
        """Whether the rollout ends here (...); here never."""
        return torch.zeros_like(state[..., 0], dtype=torch.bool)

    def start(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Displacements (R, nq) and velocities (R, nv) of gym's reset: uniform in 0.1, and normal times 0.1."""
        places, velocities = noise.split([self.physics.nq, self.physics.nv], -1)
        return 0.2 * torch.special.ndtr(places) - 0.1, 0.1 * velocities

    def reset(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """The initial position, displaced."""
        return self.physics.reset(*self.start(noise.double()))

    def torque(self, action: Tensor) -> Tensor:
        """Those of actions, in [-1, 1], float64."""
        return (action.double() / self.limit).clamp(-1, 1)

    def step(self, task: dict[str, Tensor], state: Tensor, action: Tensor, noise: Tensor) -> Step:
        """A step of the simulation."""
        torque = self.torque(action)
        after = self.physics.step(state, torque)
        return Step(after, self.reward(task, state, after, torque).to(action), self.done(after))

    def random(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """The mean return over the same rollouts of random actions for all tasks, which are simulated once."""
        rows, which = torch.cat([*task.values()], -1).unique(dim=0, return_inverse=True)
        tasks = rows.split([value.shape[-1] for value in task.values()], -1)
        before, after, torque, alive = wandered(self)
        returns = [
            (self.reward(dict(zip(task, one, strict=True)), before, after, torque) * alive).sum(0).mean()
            for one in zip(*(part.double().unbind(0) for part in tasks), strict=True)
        ]
        return torch.stack(returns).to(noise)[which]


class Wandered(NamedTuple):
    """Rollouts of random actions: states before and after each step, torques, and whether the step was taken."""

    before: Tensor
    after: Tensor
    torque: Tensor
    alive: Tensor


@cache
def wandered(world: BodyWorld) -> Wandered:
    """The same ones always: (H, WANDERED, ...)."""
    generator = Generator().manual_seed(0)
    state = world.reset({}, torch.randn(WANDERED, world.noises, generator=generator))
    alive = torch.ones(WANDERED, dtype=torch.float64)
    steps = []
    for _ in range(world.horizon):
        torque = world.torque(torch.randn(WANDERED, world.actions.size, generator=generator))
        after = world.physics.step(state, torque)
        steps.append((state, after, torque, alive))
        state, alive = after, alive * (1 - world.done(after).double())
    return Wandered(*(torch.stack(values) for values in zip(*steps, strict=True)))


def forwards_or_backwards(count: int, generator: Generator) -> dict[str, Tensor]:
    """Tasks (count, 1): forwards (1) and backwards (-1), equally likely."""
    forwards = torch.rand(count, 1, generator=generator, device=generator.device) < 0.5
    return {"direction": 2.0 * forwards - 1.0}


class BodySource(ControlSource):
    """A family of tasks of a body; needs the extra `metagap[mujoco]`."""

    mass: Factor = Field(default=1.0, description="factor of the mass and inertia of all parts of the body")
    friction: Factor = Field(default=1.0, description="factor of the friction of the ground and of all parts")
    damping: Annotated[float, Ge(0), Le(100)] = Field(default=1.0, description="factor of the damping of all joints")
    horizon: Annotated[int, Ge(1), Le(10_000)] = Field(default=200, description="steps in a rollout")

    licence = "made on the fly"

    def tasks(self, part: Part, device: torch.device | str) -> ControlTasks:
        """The tasks of a part. Raises UserError where the simulator is not installed."""
        require()
        return super().tasks(part, device)
