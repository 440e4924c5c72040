"""Small networks and tasks to examine an algorithm on: sinusoids, characters, worlds to act in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from metagap.algorithms.base import PROGRESS, Algorithm, Params
from metagap.checking.findings import Fault, Note, during
from metagap.kinds import find
from metagap.models.conv4 import Conv4
from metagap.models.mlp import MLP
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.functions import Sinusoid
from metagap.tasks.glyphs import Glyphs
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.worlds.bandits import Bandits
from metagap.tasks.worlds.navigation import Navigation

KINDS = ("regression", "classification")
"""Of task, by name: what algorithms are examined on that predict."""
WORLDS = {"navigation": Navigation(horizon=6), "bandits": Bandits(arms=3, horizon=4)}
"""What algorithms are examined on that act."""

GLYPHS = Glyphs(image_size=16, alphabets=10, characters=5, instances=16)
POINTS = TaskSpec("regression", 1, 5, 6)
IMAGES = TaskSpec("classification", 5, 2, 2)
ROLLOUTS = TaskSpec("control", 1, 3, 4)
MORE_STAGES = 3
"""Than inner steps in meta-training: some examinations adapt for longer."""


@dataclass(frozen=True)
class Case:
    """An algorithm with a network, a source of tasks and a form of them, and its meta-parameters before training."""

    unbound: Algorithm
    network: nn.Module
    tasks: Any
    spec: TaskSpec
    dtype: torch.dtype = torch.float64
    meta: Params = field(default_factory=dict)

    @cached_property
    def algorithm(self) -> Algorithm:
        """The algorithm for this network and this form of tasks; one object, as the engine keeps one."""
        return self.unbound.bind(self.network, self.spec)

    def __str__(self) -> str:
        shots = f"{self.spec.shots} {'shot' if self.spec.shots == 1 else 'shots'}"
        shape = f"{self.spec.ways} ways, {shots}" if self.spec.kind.has_ways else shots
        where = type(self.spec.world).__name__ if self.spec.kind.acts else self.spec.kind
        return f"{where} with {type(self.network).__name__.lower()}, {shape}"

    def seeded(self, seed: int = 0) -> Case:
        """This case with the meta-parameters that the algorithm starts from."""
        generator = torch.Generator().manual_seed(seed)
        with during(f"init on {self}"):
            meta = self.algorithm.init(self.network, self.tasks.class_count, generator)
        if not isinstance(meta, dict) or not meta or not all(isinstance(value, Tensor) for value in meta.values()):
            raise Fault(f"init on {self} does not give a dict of named tensors but {_described(meta)}")
        integers = [name for name, value in meta.items() if not value.is_floating_point()]
        if integers:
            raise Fault(f"init on {self}: '{integers[0]}' is of type {meta[integers[0]].dtype}, not of real numbers")
        if PROGRESS in meta and meta[PROGRESS].shape != ():
            raise Fault(f"init on {self}: '{PROGRESS}' has shape {tuple(meta[PROGRESS].shape)}, not ()")
        return replace(self, meta={name: value.to(self.dtype) for name, value in meta.items()})

    def like(self, **form: int) -> Case:
        """The same with another form of tasks: other ways, shots or queries."""
        return replace(self, spec=self.spec._replace(**form))

    def episodes(self, count: int, seed: int = 0) -> Episode:
        """A batch of tasks; the same ones for the same seed."""
        return Sampler(self.tasks, self.spec, seed).episodes(count).to("cpu", self.dtype)

    def task(self, seed: int = 0) -> Episode:
        """One task."""
        return alone(self.episodes(1, seed))

    def training_task(self, seed: int = 0, count: int = 2) -> Episode:
        """What `meta_gradient` is given: one task, or a meta-batch in one piece where the algorithm asks for it."""
        return alone(self.episodes(count, seed).pooled()) if self.unbound.pooled else self.task(seed)

    # What the algorithm does, as the engine has it done: without autograd outside, and from the same random numbers.

    def adapt(self, meta: Params, task: Episode, steps: int | None = None) -> Params:
        """The adapted parameters after the inner steps of meta-training, or others."""
        steps = self.unbound.inner_steps if steps is None else steps
        torch.manual_seed(0)
        with torch.no_grad(), during(f"adapt with {steps} steps on {self}"):
            return self.algorithm.adapt(meta, task.support, steps)

    def adapt_path(self, meta: Params, task: Episode, steps: int) -> list[Params]:
        """The adapted parameters after each number of inner steps."""
        torch.manual_seed(0)
        with torch.no_grad(), during(f"adapt_path with {steps} steps on {self}"):
            return self.algorithm.adapt_path(meta, task.support, steps)

    def predict(self, fast: Params, x: Tensor) -> Tensor:
        """Predictions of adapted parameters."""
        with torch.no_grad(), during(f"predict on {self}"):
            return self.algorithm.predict(fast, x)

    def predict_path(self, path: list[Params], x: Tensor) -> list[Tensor]:
        """Predictions of every point of a path."""
        with torch.no_grad(), during(f"predict_path on {self}"):
            return self.algorithm.predict_path(path, x)

    def outputs(self, meta: Params, task: Episode, steps: int | None = None) -> Tensor:
        """Predictions at the queries of a task after adaptation to it."""
        return self.predict(self.adapt(meta, task, steps), task.query_x)

    def gradient(self, meta: Params, task: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The meta-gradient of a task, and the metrics."""
        torch.manual_seed(0)
        with torch.no_grad(), during(f"meta_gradient on {self}"):
            return self.algorithm.meta_gradient(meta, task)


@dataclass
class Subject:
    """The algorithm under examination, and what the examinations so far have found out about it."""

    cls: Any
    algorithm: Any = None
    """None where no instance can be made."""
    unfit: dict[str, str] = field(default_factory=dict)
    """The kinds of tasks that it refuses or fails on."""
    random: bool = False
    """Whether it draws random numbers while it computes."""
    places: bool = False
    """Whether its predictions go by the places of the queries."""

    def cases(self, dtype: torch.dtype = torch.float64) -> Iterator[Case]:
        """A case of every kind of tasks that it can do; raises Note where there is none."""
        self.need_instance()
        kinds = [kind for kind in self.kinds if kind not in self.unfit]
        if not kinds:
            raise Note("not examined, for there are no tasks that it works on")
        return (case(self.algorithm, kind, dtype).seeded() for kind in kinds)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of tasks that it may be examined on."""
        return tuple(WORLDS) if self.algorithm.acts else KINDS

    def need_labels(self) -> None:
        """Raise Note for a learner of policies, which has rewards in place of labels."""
        self.need_instance()
        if self.algorithm.acts:
            raise Note("nothing to examine: it acts, and learns from rewards")

    def need_instance(self) -> None:
        """Raise Note where there is nothing to call."""
        if self.algorithm is None:
            raise Note("not examined, for the contract is not kept")

    def need_training(self) -> None:
        """Raise Note for a control that is not trained."""
        self.need_instance()
        if not self.algorithm.trains:
            raise Note("nothing to examine: it is not trained")


def case(algorithm: Algorithm, kind: str, dtype: torch.dtype = torch.float64, *, plain: bool = False) -> Case:
    """A case of this kind, without meta-parameters as yet. plain: with an mlp for images too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind in WORLDS:
            tasks = WORLDS[kind].tasks(Part("train"), "cpu")
            spec = tasks.formed(ROLLOUTS, algorithm.inner_steps + MORE_STAGES)
            network = MLP(algorithm.input_shape(tasks), algorithm.outputs(tasks, 1), [16, 16])
            return Case(algorithm, network, tasks, spec, dtype)
        if not find(kind).has_ways:
            return Case(algorithm, MLP((1,), 1, [16, 16]), Sinusoid().tasks(Part("train"), "cpu"), POINTS, dtype)
        tasks = GLYPHS.tasks(Part("train"), "cpu")
        make: Any = (lambda: MLP(tasks.x_shape, 5, [16])) if plain else (lambda: Conv4(tasks.x_shape, 5, filters=4))
        return Case(algorithm, make(), tasks, IMAGES, dtype)


def alone(episodes: Episode) -> Episode:
    """The first task of a batch, without a task dimension."""
    return Episode(*(value[0] for value in episodes))


def noise(value: Tensor, generator: torch.Generator) -> Tensor:
    """Normal random numbers in the shape of a tensor."""
    return torch.randn(value.shape, generator=generator, dtype=value.dtype)


def nearby(meta: Params, seed: int) -> Params:
    """Meta-parameters not far away: what a zero hides at the start, such as the factor of a product, shows here."""
    generator = torch.Generator().manual_seed(seed)
    moved = {name: value + noise(value, generator) * (0.01 + 0.1 * value.abs()) for name, value in meta.items()}
    return {**moved, PROGRESS: torch.full_like(meta[PROGRESS], seed / 2)} if PROGRESS in meta else moved


def distance(a: Tensor, b: Tensor) -> float:
    """The greatest difference of two tensors of the same shape, in units of the greater of 1 and the greatest value."""
    if not a.numel():
        return 0.0
    difference = (a - b).abs().nan_to_num(nan=float("inf")).masked_fill((a == b) | (a.isnan() & b.isnan()), 0.0)
    return float(difference.max() / b.abs().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).max().clamp(min=1.0))


def _described(value: Any) -> str:
    if not isinstance(value, dict):
        return type(value).__name__
    return "an empty one" if not value else f"one of {', '.join(sorted({type(v).__name__ for v in value.values()}))}"
