"""Worlds: tasks that answer back. Everything random is an argument, so that a rollout is a pure function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from metagap.tasks.actions import Actions


class Step(NamedTuple):
    """What a world answers: its next state, the reward (R,), and whether this was the last step (R,)."""

    state: Tensor
    reward: Tensor
    done: Tensor


class World(ABC):
    """A family of Markov decision processes that differ in `parameters`; a subclass is a frozen dataclass.

    Its methods are pure functions of R rollouts at once, each with the parameters of its task: a task is a dict of
    tensors (R, size), and noise is standard normal. They are mapped over tasks: no control flow may depend on values.
    """

    mappable: ClassVar[bool] = True
    """False: it is no pure function of tensors, such as a simulator; tasks are then run one at a time."""

    actions: Actions
    horizon: int
    """Steps in a rollout, at most."""
    observed: int
    """Numbers in an observation."""
    noises: int
    """Standard normal numbers that one step takes, in addition to those of the action; the reset takes as many."""
    parameters: dict[str, int]
    """What differs between tasks: names, and numbers of each."""

    @abstractmethod
    def reset(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """The first state (R, ...) of noise (R, noises)."""

    @abstractmethod
    def observe(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        """What a policy sees of a state: (R, observed)."""

    @abstractmethod
    def step(self, task: dict[str, Tensor], state: Tensor, action: Tensor, noise: Tensor) -> Step:
        """The answer to actions (R, actions.size) with noise (R, noises)."""

    def best(self, task: dict[str, Tensor]) -> Tensor | None:
        """The greatest expected return (R,), or one that nothing surpasses; None where it is not known."""
        return None

    def random(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """The return (R,) of random actions; noise: (horizon + 1, R, all). Override it where it is known."""
        return rollouts(self, Control(task, noise), self.at_random, None).returns

    def at_random(self, seen: Seen) -> tuple[Tensor, None]:
        """The policy that knows nothing, as an `Act`."""
        return self.actions.random().to(seen.action).expand(len(seen.action), -1), None

    def ideal(self, task: dict[str, Tensor], state: Tensor) -> Tensor | None:
        """The best action (R, actions.size) of one who knows the task; None where it is not known. It is only shown."""
        return None

    def shown(self, found: Rollouts) -> dict[str, Tensor]:
        """What people are shown of rollouts, by name, (H, R, ...) each; its name says how it is drawn.

        `path` (H, R, 2): in the plane. `choice` (H, R), whole numbers from 0: a square for each step, and the parameter
        of the task that has a number for each choice beside it. `reward` (H, R): the return so far. Others are kept in
        the records and not drawn.
        """
        return {"reward": found.reward}

    # A rollout to be, as one example of a task: the parameters of its task, then its noise.

    @property
    def noise_shape(self) -> tuple[int, int]:
        """Of a rollout: one row for the reset, and one for each step."""
        return self.horizon + 1, self.actions.size + self.noises

    @property
    def x_shape(self) -> tuple[int]:
        """The shape of a rollout to be."""
        rows, each = self.noise_shape
        return (sum(self.parameters.values()) + rows * each,)

    def packed(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        """Rollouts to be (..., n, numbers), of parameters (..., size) and noise (..., n, numbers of noise)."""
        of_task = torch.cat([task[name] for name in self.parameters], -1)
        of_task = of_task.unsqueeze(-2).expand(*noise.shape[:-1], of_task.shape[-1])
        return torch.cat([of_task.to(noise), noise], -1)

    def control(self, x: Tensor) -> Control:
        """The task and the noise in rollouts to be (R, numbers)."""
        sizes = [*self.parameters.values()]
        *values, noise = x.split([*sizes, x.shape[-1] - sum(sizes)], -1)
        noise = noise.unflatten(-1, self.noise_shape).transpose(0, 1)
        return Control(dict(zip(self.parameters, values, strict=True)), noise)


class Control(NamedTuple):
    """A task that answers back: parameters (R, size) by name, and all randomness of R rollouts (horizon + 1, R, n)."""

    task: dict[str, Tensor]
    noise: Tensor


class Seen(NamedTuple):
    """What a policy may look at: the observation (R, observed), what came of the step before, and its own memory.

    Before the first step action (R, size) and reward (R,) are zero, and alive (R,) is one until a rollout has ended.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    alive: Tensor
    memory: Any


class Rollouts(NamedTuple):
    """R rollouts of H steps: observations (H, R, observed), actions (H, R, size) and the distributions they were
    sampled from (H, R, parameters), rewards (H, R), and whether the step was taken at all (H, R), as 0 or 1."""

    observation: Tensor
    action: Tensor
    policy: Tensor
    reward: Tensor
    alive: Tensor

    @property
    def returns(self) -> Tensor:
        """The undiscounted sums of rewards (R,)."""
        return self.reward.sum(0)


Act = Callable[[Seen], tuple[Tensor, Any]]
"""Of what is seen it gives the distribution of the action (R, parameters), and what is to be remembered."""


def rollouts(world: World, control: Control, act: Act, memory: Any) -> Rollouts:
    """Run a policy; `memory` is what it remembers before the first step. Nothing in it is differentiated."""
    return remembered(world, control, act, memory)[0]


def remembered(world: World, control: Control, act: Act, memory: Any) -> tuple[Rollouts, Seen]:
    """The same, and what the policy has seen in the end, after the last step."""

    def choose(state: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Tensor, Any]:
        policy, memory = act(seen)
        return policy, world.actions.sample(policy, noise), memory

    return stepped(world, control, choose, memory)


Choose = Callable[[Tensor, Seen, Tensor], tuple[Tensor, Tensor, Any]]
"""Of the state, what is seen, and noise (R, actions.size) it gives the distribution of the action (R, parameters), the
action (R, actions.size), and what is to be remembered."""


@torch.no_grad()
def stepped(world: World, control: Control, choose: Choose, memory: Any) -> tuple[Rollouts, Seen]:
    """Rollouts of whoever chooses, who may know the state, and what is seen in the end, after the last step."""
    task, noise = control
    own = world.actions.size
    state = world.reset(task, noise[0, :, own:])
    reward = noise.new_zeros(noise.shape[1])
    action, alive = noise.new_zeros(noise.shape[1], own), torch.ones_like(reward)
    steps = []
    for row in noise[1:].unbind(0):
        observation = world.observe(task, state)
        policy, action, memory = choose(state, Seen(observation, action, reward, alive, memory), row[:, :own])
        state, reward, done = world.step(task, state, action, row[:, own:])
        reward = reward * alive
        steps.append((observation, action, policy, reward, alive))
        alive = alive * (1 - done.to(alive))
    last = Seen(world.observe(task, state), action, reward, alive, memory)
    return Rollouts(*(torch.stack(values) for values in zip(*steps, strict=True))), last
