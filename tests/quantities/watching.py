"""Small learners to measure quantities of, and their inner loop written out again with modules and autograd."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Generator, Tensor, nn

from metagap.models.conv4 import Conv4
from metagap.models.mlp import MLP
from metagap.quantities.quantity import Watched
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.functions import Sinusoid
from metagap.tasks.source import Part

IMAGES = TaskSpec("classification", 3, 2, 3)
POINTS = TaskSpec("regression", 1, 5, 6)
CLASSES = 7
TASKS = 4


def images(spec: TaskSpec, tasks: int, dtype: torch.dtype = torch.float64) -> Episode:
    """Tasks of noise in which the classes differ in brightness."""
    generator = torch.Generator().manual_seed(1)
    n, k = spec.ways * spec.shots, spec.ways * spec.queries
    x = torch.randn(tasks, n + k, 1, 12, 12, generator=generator, dtype=dtype)
    y = torch.arange(spec.ways).repeat(tasks, spec.shots + spec.queries)
    x[:, :, :, :6] += y[:, :, None, None, None] * torch.rand(tasks, 1, 1, 1, 1, generator=generator, dtype=dtype)
    classes = torch.rand(tasks, CLASSES, generator=generator).argsort(1)[:, : spec.ways]
    return Episode(x[:, :n], y[:, :n], x[:, n:], y[:, n:], classes)


def points(spec: TaskSpec, tasks: int, dtype: torch.dtype = torch.float64) -> Episode:
    waves = Sinusoid().tasks(Part(), "cpu")
    return waves.episode(waves.draw(tasks, spec, torch.Generator().manual_seed(2)), spec).to("cpu", dtype)


def watched(
    algorithm: Any,
    spec: TaskSpec = IMAGES,
    network: nn.Module | None = None,
    *,
    steps: int = 2,
    tasks: int = TASKS,
    dtype: torch.dtype = torch.float64,
) -> Watched:
    """An algorithm before training on some tasks; by default with a conv4 or an mlp."""
    torch.manual_seed(0)
    has_ways = spec.kind.has_ways
    if network is None:
        network = Conv4((1, 12, 12), spec.ways, filters=4) if has_ways else MLP((1,), 1, [6, 5])
    bound = algorithm.bind(network.to(dtype), spec)
    bound.check_network()
    meta = bound.init(network, CLASSES if has_ways else 0, torch.Generator().manual_seed(3))
    meta = {name: value.to(dtype) for name, value in meta.items()}
    episodes = (images if has_ways else points)(spec, tasks, dtype)

    def of(count: int) -> Episode:
        return episodes.tasks(0, count)

    def generator(purpose: str) -> Generator:
        return torch.Generator().manual_seed(len(purpose))

    nothing: Any = None
    return Watched(
        algorithm=bound,
        meta=meta,
        initial=meta,
        steps=steps,
        spec=spec,
        training=Training(iterations=1),
        iteration=0,
        source=of,
        target=of,
        source_tasks=nothing,
        target_tasks=nothing,
        episodes=tasks,
        generator=generator,
    )


class Plain:
    """Gradient descent on one task by torch.optim and autograd, of the weights whose names begin with a prefix."""

    def __init__(self, watched: Watched, prefix: str = ""):
        self.network = copy.deepcopy(watched.algorithm.network)
        self.prefix, self.rate, self.steps = prefix, watched.algorithm.inner_lr, watched.steps
        self.loss = nn.CrossEntropyLoss() if watched.spec.kind.has_ways else nn.MSELoss()
        with torch.no_grad():
            for name, value in self.network.named_parameters():
                value.copy_(watched.meta[name])

    @property
    def weights(self) -> list[nn.Parameter]:
        return [value for name, value in self.network.named_parameters() if name.startswith(self.prefix)]

    def vector(self) -> Tensor:
        return nn.utils.parameters_to_vector(self.weights).detach()

    def at(self, vector: Tensor) -> Plain:
        """The same network with other weights."""
        moved = copy.deepcopy(self)
        nn.utils.vector_to_parameters(vector, moved.weights)
        return moved

    def adapted(self, x: Tensor, y: Tensor, steps: int | None = None) -> Plain:
        moved = copy.deepcopy(self)
        descent = torch.optim.SGD(moved.weights, self.rate)
        for _ in range(self.steps if steps is None else steps):
            descent.zero_grad()
            self.loss(moved.network(x), y).backward()
            descent.step()
        return moved

    def gradient(self, x: Tensor, y: Tensor) -> Tensor:
        found = torch.autograd.grad(self.loss(self.network(x), y), self.weights)
        return torch.cat([value.flatten() for value in found])

    def curvature(self, x: Tensor, y: Tensor, vector: Tensor) -> float:
        """v' H v / v' v by central differences of the gradient."""
        step = 1e-6 * vector / vector.norm()
        ahead, behind = (self.at(self.vector() + s).gradient(x, y) for s in (step, -step))
        return float((ahead - behind) @ step / (2 * step @ step))


def tasks_of(watched: Watched) -> list[Episode]:
    episodes = watched.target(watched.episodes)
    return [Episode(*(field[i] for field in episodes)) for i in range(watched.episodes)]
