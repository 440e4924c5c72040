"""Controls: what policies reach without meta-learning, and what they could reach if they were told the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.algorithms.controls import AT_TEST
from metagap.algorithms.policies.actor import Unadapted
from metagap.algorithms.policies.learner import Experience, PolicyLearner, outer_rule
from metagap.algorithms.policies.maml import MAMLTRPO
from metagap.tasks.actions import Actions
from metagap.tasks.world import Seen, Step, World


class PolicyScratch(MAMLTRPO):
    """No training at all: the same adaptation from a random policy network.

    What remains of a return when nothing was learned beforehand; one initialisation per seed.
    """

    paper: ClassVar[str] = "none: a control, to tell what was learned from what adaptation alone is worth"
    trains: ClassVar[bool] = False

    inner_steps: NonNegativeInt = Field(default=1, description=AT_TEST)


class PolicyPretrain(MAMLTRPO):
    """One policy for all tasks, then the same adaptation.

    It is trained by the outer rule alone, without inner steps, on rollouts of all tasks of a meta-batch (the
    "pretrained" of Finn et al. 2017, section 5.3).
    """

    paper: ClassVar[str] = "Finn, Abbeel, Levine (2017), section 5.3, baseline 'pretrained'"

    inner_steps: NonNegativeInt = Field(default=0, description="inner steps on each task during meta-training")


class PolicyOracle(Unadapted, PolicyLearner):
    """Is told the task: its network sees the parameters of the task beside every observation, and nothing adapts.

    What adaptation could reach at best with this network, this outer rule and this budget (the "oracle" of Finn et al.
    2017, section 5.3).
    """

    paper: ClassVar[str] = "Finn, Abbeel, Levine (2017), section 5.3, 'oracle'"

    inner_steps: NonNegativeInt = Field(default=0, description="of no effect: nothing adapts")
    outer: Literal["gradient", "ppo", "trpo"] = outer_rule("trpo")

    @property
    def world(self) -> World:
        """That of the tasks, seen with their parameters."""
        return Told(self.spec.world)

    @classmethod
    def input_shape(cls, tasks: Any) -> tuple[int, ...]:
        """An observation and the parameters of the task."""
        return (Told(tasks.world).observed,)

    def inner_step(self, fast: Params, stage: Experience, step: int) -> Params:
        """Nothing."""
        return fast


class PolicyRandom(Unadapted):
    """Random actions: of a standard normal, or uniform choices.

    The return that every normalised return calls zero.
    """

    paper: ClassVar[str] = "none: a control, to tell what a policy is worth"
    trains: ClassVar[bool] = False

    inner_steps: NonNegativeInt = Field(default=0, description="of no effect: nothing adapts")

    def act(self, fast: Params, seen: Seen) -> tuple[Tensor, None]:
        """The same distribution whatever is seen."""
        return self.world.at_random(seen)


@dataclass(frozen=True)
class Told(World):
    """A world in which the parameters of the task are seen beside every observation."""

    world: World
    parameters: dict[str, int] = field(init=False, hash=False)
    actions: Actions = field(init=False)
    horizon: int = field(init=False)
    noises: int = field(init=False)

    def __post_init__(self) -> None:
        for name in ("parameters", "actions", "horizon", "noises"):
            object.__setattr__(self, name, getattr(self.world, name))

    @cached_property
    def observed(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """An observation and the parameters."""
        return self.world.observed + sum(self.parameters.values())

    def reset(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """As the world's."""
        return self.world.reset(task, noise)

    def observe(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        """The observation and the parameters."""
        return torch.cat([self.world.observe(task, state), *task.values()], -1)

    def step(self, task: dict[str, Tensor], state: Tensor, action: Tensor, noise: Tensor) -> Step:
        """As the world's."""
        return self.world.step(task, state, action, noise)
