"""Whoever acts in tasks that answer back: what learners of policies and policies that learn nothing share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor

from metagap.algorithms.base import Algorithm, Params
from metagap.tasks.episode import Support
from metagap.tasks.world import Rollouts, Seen, World, remembered, rollouts

Share = Annotated[float, Ge(0), Le(1)]


class Actor(Algorithm):
    """An algorithm that acts. Its functions are pure, of one task, as those of `Algorithm` are.

    A task is its `World`, which is in `spec`, and rollouts to be: all their randomness is an argument. A subclass
    implements `act`, and says how it adapts.
    """

    acts: ClassVar[bool] = True
    derivative: ClassVar[Literal["exact", "first-order", "other"]] = "other"

    @property
    def world(self) -> World:
        """Of a bound algorithm."""
        return self.spec.world

    @classmethod
    def input_shape(cls, tasks: Any) -> tuple[int, ...]:
        """What the network is given: an observation."""
        return (tasks.world.observed,)

    @classmethod
    def outputs(cls, tasks: Any, ways: int) -> int:
        """What the network gives: means, or logits."""
        return tasks.world.actions.size

    def start(self, fast: Params, runs: int) -> Any:
        """What the policy remembers before the first of `runs` rollouts; here nothing."""
        return None

    @abstractmethod
    def act(self, fast: Params, seen: Seen) -> tuple[Tensor, Any]:
        """The distribution of the next action (R, parameters), and what the policy remembers."""

    def run(self, fast: Params, x: Tensor) -> Rollouts:
        """The rollouts (H, R, ...) of these rollouts to be (R, numbers); nothing in it is differentiated."""
        fast = {name: value.detach() for name, value in fast.items()}
        return rollouts(self.world, self.world.control(x), lambda seen: self.act(fast, seen), self.start(fast, len(x)))

    def stage(self, support: Support, step: int) -> Tensor:
        """The rollouts to be (shots, numbers) of a stage."""
        return support.x[step * self.spec.shots : (step + 1) * self.spec.shots]

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """What `steps` stages of rollouts make of the meta-parameters."""
        return self.adapt_path(meta, support, steps)[-1]

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """The undiscounted returns (n, 1) that an adapted policy earns in these rollouts to be."""
        return self.run(fast, query_x).returns[:, None]


class Unadapted(Actor):
    """Is the same whatever stages of rollouts it was given."""

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """The meta-parameters at every point."""
        return [meta] * (steps + 1)


MEMORY = "memory/start"
"""Parameters (size,): what is remembered before a rollout."""


class Remembering(Actor):
    """Adapts to a task by what it remembers of it, and by nothing else.

    A stage is `shots` rollouts one after another; what is remembered goes on from rollout to rollout, and every scored
    rollout begins with it. Before the first rollout it is the meta-parameter `MEMORY`.
    """

    def start(self, fast: Params, runs: int) -> Tensor:
        """The memory (runs, size)."""
        return fast[MEMORY].expand(runs, -1)

    def continued(self, fast: Params, x: Tensor, memory: Tensor) -> tuple[Rollouts, Seen, Tensor]:
        """Rollouts of `x` (R, numbers), what was seen in the end, and what is remembered then (R, size)."""
        fast = {name: value.detach() for name, value in fast.items()}
        found, last = remembered(self.world, self.world.control(x), lambda seen: self.act(fast, seen), memory)
        with torch.no_grad():
            return found, last, self.act(fast, last)[1]

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """The meta-parameters, with what is remembered after every stage."""
        path = [meta]
        for step in range(steps):
            memory = path[-1][MEMORY][None]
            for x in self.stage(support, step).unbind(0):
                memory = self.continued(meta, x[None], memory)[2]
            path.append({**meta, MEMORY: memory[0]})
        return path
