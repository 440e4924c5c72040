"""Sources of tasks that answer back."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor

from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.showing import SHOWN, references, scene
from metagap.tasks.source import Part, Source
from metagap.tasks.world import World

SCATTERED = 100
"""Tasks whose parameters are in a sample."""


@dataclass(frozen=True)
class ControlDraw:
    """The parameters (T, size) of each task, and the seed (T,) of all its noise."""

    task: dict[str, Tensor]
    seeds: Tensor

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, tasks: slice) -> ControlDraw:
        return ControlDraw({name: value[tasks] for name, value in self.task.items()}, self.seeds[tasks])


class ControlSource(Source):
    """A family of worlds: a subclass declares its options, gives the `world`, and draws the parameters of tasks."""

    kind: Literal["control"] = "control"

    @abstractmethod
    def world(self) -> World:
        """The world with these options."""

    @abstractmethod
    def draw(self, count: int, part: str, generator: Generator) -> dict[str, Tensor]:
        """Parameters (count, size) of tasks of a part: train, val, test or all; on the generator's device."""

    def digest(self, classes: str = "all") -> str:
        """Nothing is read: options and revision determine everything."""
        return f"revision {self.revision}"

    def tasks(self, part: Part, device: torch.device | str) -> ControlTasks:
        """The tasks of a part."""
        self.check_part(part, ["train", "val", "test", "all"])
        return ControlTasks(self, part.classes, torch.device(device))


@dataclass(frozen=True)
class ControlTasks:
    """A distribution of tasks that answer back.

    An example is a rollout to be: the parameters of its task and its noise, see `World.packed`. The support set are the
    rollouts of `stages` stages of collecting, one stage after another; the queries are those that are scored. The
    targets (n, 2) are the returns of random actions and of the best ones, NaN where these are not known.
    """

    family: ControlSource
    part: str
    device: torch.device
    class_count = 0
    independent = True

    @cached_property
    def world(self) -> World:
        """The world of all these tasks."""
        return self.family.world()

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of a rollout to be."""
        return self.world.x_shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of an observation."""
        return (self.world.observed,)

    def formed(self, spec: TaskSpec, stages: int) -> TaskSpec:
        """`spec` for these worlds, with this number of stages."""
        return spec._replace(world=self.world, stages=max(1, stages))

    def draw(self, count: int, spec: TaskSpec, generator: Generator) -> ControlDraw:
        """`count` independent tasks."""
        task = self.family.draw(count, self.part, generator)
        return ControlDraw(task, torch.randint(2**62, (count,), generator=generator, device=generator.device))

    def draw_open(self, count: int, spec: TaskSpec, generator: Generator) -> None:
        """Tasks share no rollout: every draw is an open one."""
        return None

    def episode(self, draw: ControlDraw, spec: TaskSpec) -> Episode:
        """The rollouts to be. More stages leave the noise of the earlier ones and of the queries as it is."""
        world = self.world
        task = {name: value.cpu() for name, value in draw.task.items()}
        noise = torch.stack([self._noise(seed, spec) for seed in draw.seeds.tolist()])
        x = world.packed(task, noise)
        y = self._references(x).to(self.device)
        x = x.to(self.device)
        classes = torch.empty(len(draw), 0, dtype=torch.long, device=self.device)
        n = spec.queries
        return Episode(x[:, n:], y[:, n:], x[:, :n], y[:, :n], classes)

    def _noise(self, seed: int, spec: TaskSpec) -> Tensor:
        """That of one task, queries first: (n, numbers)."""
        generator, (rows, each) = Generator().manual_seed(seed), self.world.noise_shape
        counts = [spec.queries, *[spec.shots] * spec.stages]
        return torch.cat([torch.randn(count, rows * each, generator=generator) for count in counts])

    def _references(self, x: Tensor) -> Tensor:
        """The returns of random and of the best actions (T, n, 2)."""
        control = self.world.control(x.flatten(0, 1))
        random, best = self.world.random(*control), self.world.best(control.task)
        best = torch.full_like(random, torch.nan) if best is None else best
        return torch.stack([random, best], -1).view(*x.shape[:2], 2)

    def sample(self, draw: ControlDraw, spec: TaskSpec) -> dict[str, np.ndarray]:
        """The first of these tasks, with what random actions and, where they are known, the best ones do in them."""
        tasks = min(SHOWN, len(draw))
        queries = self.episode(draw[:tasks], spec).query_x[:, :1].cpu()
        more = {f"task-{name}": value[:SCATTERED].cpu().numpy() for name, value in draw.task.items()}
        return scene(self.world, queries, references(self.world, queries)) | more


def numpy_generator(generator: Generator) -> np.random.Generator:
    """One of numpy's, for what torch draws from no generator that it is given; seeded by the next number of torch's."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=generator, device=generator.device)))
