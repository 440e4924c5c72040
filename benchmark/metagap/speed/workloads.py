"""What is timed: tasks of the sizes that papers use, on synthetic data that lie on the device beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from metagap.algorithms.base import Algorithm, Params
from metagap.algorithms.maml import FOMAML, MAML
from metagap.algorithms.reptile import Reptile
from metagap.models.making import make_model
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.functions import Sinusoid
from metagap.tasks.source import Part

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {"maml": MAML, "fomaml": FOMAML, "reptile": Reptile}


@dataclass(frozen=True)
class Workload:
    """One outer step over `tasks` tasks, or the evaluation of `tasks` episodes, of `steps` inner steps each."""

    name: str
    summary: str
    spec: TaskSpec
    x_shape: tuple[int, ...]
    tasks: int
    steps: int
    inner_lr: float
    model: dict[str, Any] = field(default_factory=lambda: {"name": "mlp"})
    evaluates: bool = False
    sample: int | None = None
    """How many of the tasks are timed on a CPU, where all would take too long; the time is scaled."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What it is run for; the inner loop of an evaluation is the same for all of them."""
        return ("maml",) if self.evaluates else tuple(ALGORITHMS)

    @property
    def is_small(self) -> bool:
        """Whether the arithmetic is so little that what is around it counts, and compiling takes seconds."""
        return len(self.x_shape) == 1

    def timed(self, device: torch.device) -> int:
        """How many tasks are in one timed iteration."""
        return self.sample if self.sample and device.type == "cpu" else self.tasks


POINTS = TaskSpec("regression", 1, 10, 10)
IMAGES = TaskSpec("classification", 5, 1, 15)
GREY, COLOUR = (1, 28, 28), (3, 84, 84)
STRIDED: dict[str, Any] = {"name": "conv4", "filters": 64}
POOLED: dict[str, Any] = {"name": "conv4", "filters": 32, "pooling": "max"}

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("sinusoid-1", "25 tasks of 10 points, MLP 40-40, 1 inner step", POINTS, (1,), 25, 1, 0.01),
        Workload("sinusoid-5", "the same, 5 inner steps", POINTS, (1,), 25, 5, 0.01),
        Workload("omniglot-1", "32 tasks 5-way 1-shot, 28x28, conv4 of 64 filters, 1 inner step",
                 IMAGES, GREY, 32, 1, 0.4, STRIDED),
        Workload("omniglot-5", "16 tasks of the same, 5 inner steps", IMAGES, GREY, 16, 5, 0.1, STRIDED),
        Workload("mini-imagenet-5", "4 tasks 5-way 1-shot, 84x84 in colour, conv4 of 32 filters, 5 inner steps",
                 IMAGES, COLOUR, 4, 5, 0.01, POOLED),
        Workload("evaluate-sinusoid", "1,000 episodes of 10 points, MLP 40-40, 10 inner steps",
                 POINTS, (1,), 1000, 10, 0.01, evaluates=True),
        Workload("evaluate-omniglot", "1,000 episodes 5-way 1-shot, 28x28, conv4 of 64 filters, 3 inner steps",
                 IMAGES, GREY, 1000, 3, 0.4, STRIDED, evaluates=True, sample=50),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A workload for an algorithm, made: the network with its initial weights, and the episodes."""

    workload: Workload
    algorithm: str
    network: nn.Module
    episodes: Episode

    @classmethod
    def of(
        cls,
        workload: Workload,
        algorithm: str,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        tasks: int | None = None,
    ) -> Problem:
        """The same weights and episodes for everybody; with `tasks`, only that number of episodes, the first ones."""
        torch.manual_seed(0)
        network = make_model(workload.model, workload.x_shape, workload.spec.ways).network.to(device, dtype)
        count = workload.timed(device)
        episodes = _episodes(workload, count).tasks(0, min(tasks or count, count)).to(device, dtype)
        return cls(workload, algorithm, network, episodes)

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.episodes.support_x.device

    @property
    def first_order(self) -> bool:
        """Whether the inner gradients are constants of the outer loop."""
        return self.algorithm == "fomaml"

    def bound(self) -> Algorithm:
        """The algorithm for this network; Reptile with plain gradient descent on the whole support set."""
        plain = {"inner_optimizer": "sgd", "inner_batch": 0} if self.algorithm == "reptile" else {}
        made = ALGORITHMS[self.algorithm](inner_lr=self.workload.inner_lr, inner_steps=self.workload.steps, **plain)
        return made.bind(self.network, self.workload.spec)

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy, or mean squared error."""
        return self.workload.spec.kind.loss_function()(output, y)


def _episodes(workload: Workload, count: int) -> Episode:
    """Seeded episodes: waves, or noise in place of images."""
    spec, generator = workload.spec, torch.Generator().manual_seed(1)
    if not spec.kind.has_ways:
        waves = Sinusoid().tasks(Part(), "cpu")
        return waves.episode(waves.draw(count, spec, generator), spec)
    x = torch.rand(count, spec.ways * (spec.shots + spec.queries), *workload.x_shape, generator=generator)
    labels, support = torch.arange(spec.ways), spec.ways * spec.shots
    support_y, query_y = (labels.repeat(count, n) for n in (spec.shots, spec.queries))
    return Episode(x[:, :support], support_y, x[:, support:], query_y, labels.repeat(count, 1))


def flat_gradient(network: nn.Module) -> Tensor:
    """The gradients that autograd has left at a network's parameters, as one vector: see `flat`."""
    found = {name: parameter.grad for name, parameter in network.named_parameters()}
    return flat({name: value for name, value in found.items() if value is not None})


def flat(tensors: Params) -> Tensor:
    """Named tensors as one vector on the CPU, in the order of their names."""
    return torch.cat([tensors[name].detach().flatten().cpu() for name in sorted(tensors)])
