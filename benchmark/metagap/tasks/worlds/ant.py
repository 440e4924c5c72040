"""The ant: to walk in a direction, or to a place, whichever it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

import torch
from annotated_types import Ge, Le
from pydantic import Field, model_validator
from torch import Generator, Tensor

from metagap.tasks.actions import Actions, Gaussian
from metagap.tasks.worlds.bodies import BodySource, BodyWorld, forwards_or_backwards
from metagap.tasks.worlds.physics import Physics

JOINTS = Gaussian(8)
CONTACT_COST = 5e-4
LIMIT = 10.0
"""Actions of plus and minus this are the greatest torques, as in ProMP's code."""

Radius = Annotated[float, Ge(0), Le(100)]


@dataclass(frozen=True)
class AntWorld(BodyWorld):
    """A body on four legs with eight joints. `parameters` says whether it is to walk in a direction or to a goal."""

    parameters: dict[str, int] = field(hash=False)
    observed: int
    actions: Actions = JOINTS

    def contact(self, state: Tensor) -> Tensor:
        """The forces on its parts, cut to [-1, 1]: (..., numbers)."""
        return self.physics.measurements(state)[..., 3:].clamp(-1, 1)

    def place(self, state: Tensor) -> Tensor:
        """Where the rewards have its torso, which is a step of the simulator behind in gym: (..., 2)."""
        return self.physics.measurements(state)[..., :2]

    def observe(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        """Positions, velocities and forces; where it is only goals make a difference to."""
        physics, hidden = self.physics, 0 if "goal" in self.parameters else 2
        seen = [physics.positions(state)[:, hidden:], physics.velocities(state), self.contact(state)]
        return torch.cat(seen, -1).to(next(iter(task.values())))

    def reward(self, task: dict[str, Tensor], before: Tensor, after: Tensor, torque: Tensor) -> Tensor:
        """Velocity in the direction and 1 for being upright; or minus the distance to the goal, in both coordinates."""
        effort, contact = torque.square().sum(-1), CONTACT_COST * self.contact(after).square().sum(-1)
        if "goal" in task:
            return -(self.place(after) - task["goal"]).abs().sum(-1) - 0.1 * effort - contact
        velocity = (self.place(after) - self.place(before))[..., 0] / self.physics.time
        return task["direction"][..., 0] * velocity + 1 - 0.5 * effort - contact

    def done(self, state: Tensor) -> Tensor:
        """Where it is to walk in a direction: once it has fallen over, or is no longer simulated."""
        if "goal" in self.parameters:
            return super().done(state)
        return ~((state[..., 2] >= 0) & (state[..., 2] <= 1))


class Ant(BodySource):
    """The ant of gymnasium on the simulator MuJoCo, as Rothfuss et al. (2019) used it, with steps of 0.05 s."""

    citation = "Rothfuss, Lee, Clavera, Asfour, Abbeel (2019), ProMP: Proximal Meta-Policy Search"

    def made(self, aim: str, size: int, observed: int) -> AntWorld:
        """The world whose tasks are told apart by some numbers of this name."""
        physics = Physics("ant", 5, "torso and forces", self.mass, self.friction, self.damping)
        return AntWorld(physics, self.horizon, LIMIT, {aim: size}, observed)


class AntDirection(Ant):
    """Ant forwards or backwards: the two tasks are the same in meta-training and meta-testing."""

    def world(self) -> AntWorld:
        """The ant with these options."""
        return self.made("direction", 1, 105)

    def draw(self, count: int, part: str, generator: Generator) -> dict[str, Tensor]:
        """Forwards (1) and backwards (-1), equally likely."""
        return forwards_or_backwards(count, generator)


class AntGoal(Ant):
    """Ant to a place that it is not told; the distances are a shift parameter."""

    radii: tuple[Radius, Radius] = Field(
        default=(0.0, 3.0), description="goals are uniform in the ring between circles of these radii"
    )

    @model_validator(mode="after")
    def _ordered(self) -> AntGoal:
        if self.radii[0] > self.radii[1]:
            raise ValueError(f"radii = {list(self.radii)}: the smaller one comes first")
        return self

    def world(self) -> AntWorld:
        """The ant with these options."""
        return self.made("goal", 2, 107)

    def draw(self, count: int, part: str, generator: Generator) -> dict[str, Tensor]:
        """Goals (count, 2)."""
        uniform = torch.rand(count, 2, generator=generator, device=generator.device)
        near, far = (radius**2 for radius in self.radii)
        radius, angle = (near + (far - near) * uniform[:, :1]).sqrt(), 2 * math.pi * uniform[:, 1:]
        return {"goal": radius * torch.cat([angle.cos(), angle.sin()], -1)}
