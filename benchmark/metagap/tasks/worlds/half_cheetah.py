"""The half-cheetah: to run forwards or backwards, or at a velocity, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from pydantic import Field, model_validator
from torch import Generator, Tensor

from metagap.tasks.actions import Actions, Gaussian
from metagap.tasks.worlds.bodies import BodySource, BodyWorld, forwards_or_backwards
from metagap.tasks.worlds.physics import Physics

JOINTS = Gaussian(6)
COST = 0.05
"""Of a squared torque."""

Velocity = Annotated[float, Ge(-100), Le(100)]


@dataclass(frozen=True)
class HalfCheetahWorld(BodyWorld):
    """A planar runner with six joints. The reward is its velocity in the direction of the task, or minus how far that
    is from the velocity of the task, and the cost of its torques is taken off."""

    parameters: dict[str, int] = field(hash=False)
    of_centre: bool
    """Whether the velocity is that of the centre of mass after the step, which is seen too; or else the mean velocity
    of the torso over the step."""
    observed: int
    actions: Actions = JOINTS

    def start(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """As rllab and gym do it."""
        if not self.of_centre:
            return super().start(noise)
        places, velocities = noise.split([self.physics.nq, self.physics.nv], -1)
        return 0.01 * places, 0.1 * velocities

    def observe(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        """Positions of the joints without that along the track, velocities, and where the centre of mass is."""
        physics = self.physics
        seen = [physics.positions(state)[:, 1:], physics.velocities(state), physics.measurements(state)[:, :3]]
        return torch.cat(seen, -1).to(next(iter(task.values())))

    def velocity(self, before: Tensor, after: Tensor) -> Tensor:
        """Along the track (...)."""
        if self.of_centre:
            return self.physics.measurements(after)[..., 3]
        return (after[..., 0] - before[..., 0]) / self.physics.time

    def reward(self, task: dict[str, Tensor], before: Tensor, after: Tensor, torque: Tensor) -> Tensor:
        """See the class."""
        velocity, (aim,) = self.velocity(before, after), task.values()
        run = aim[..., 0] * velocity if "direction" in task else -(velocity - aim[..., 0]).abs()
        return run - COST * torque.square().sum(-1)


class HalfCheetah(BodySource):
    """The half-cheetah of gymnasium on the simulator MuJoCo, in one of two versions.

    rllab: as Finn et al. (2017) used it: a step is 0.01 s, and the reward goes by the centre of mass, whose position is
    seen too (20 numbers). gym: as Rothfuss et al. (2019) used it: a step is 0.05 s, the reward goes by the torso, and
    actions of plus and minus 10 are the greatest torques (17 numbers).
    """

    version: Literal["rllab", "gym"] = Field(
        default="rllab", description="rllab: steps of 0.01 s, as in MAML's code; gym: of 0.05 s, as in ProMP's"
    )

    citation = (
        "Finn, Abbeel, Levine (2017), Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks; "
        "Rothfuss et al. (2019), ProMP: Proximal Meta-Policy Search"
    )

    def made(self, aim: str) -> HalfCheetahWorld:
        """The world whose tasks are told apart by one number of this name."""
        old, factors = self.version == "rllab", (self.mass, self.friction, self.damping)
        physics = Physics("half_cheetah", 1 if old else 5, "mass centre" if old else "nothing", *factors)
        return HalfCheetahWorld(physics, self.horizon, 1.0 if old else 10.0, {aim: 1}, old, 20 if old else 17)


class HalfCheetahDirection(HalfCheetah):
    """Half-cheetah forwards or backwards: the two tasks are the same in meta-training and meta-testing."""

    def world(self) -> HalfCheetahWorld:
        """The half-cheetah with these options."""
        return self.made("direction")

    def draw(self, count: int, part: str, generator: Generator) -> dict[str, Tensor]:
        """Forwards (1) and backwards (-1), equally likely."""
        return forwards_or_backwards(count, generator)


class HalfCheetahVelocity(HalfCheetah):
    """Half-cheetah at a velocity that it is not told; the range of velocities is a shift parameter."""

    velocities: tuple[Velocity, Velocity] = Field(
        default=(0.0, 2.0), description="velocities in m/s are uniform between these; ProMP's code has 0 to 3"
    )

    @model_validator(mode="after")
    def _ordered(self) -> HalfCheetahVelocity:
        if self.velocities[0] > self.velocities[1]:
            raise ValueError(f"velocities = {list(self.velocities)}: the smaller one comes first")
        return self

    def world(self) -> HalfCheetahWorld:
        """The half-cheetah with these options."""
        return self.made("velocity")

    def draw(self, count: int, part: str, generator: Generator) -> dict[str, Tensor]:
        """Velocities (count, 1)."""
        low, high = self.velocities
        return {"velocity": low + (high - low) * torch.rand(count, 1, generator=generator, device=generator.device)}
