"""What a cell consists of, made from its configuration: network, algorithm, training tasks, meta-parameters."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import nn

from metagap import digests, registry
from metagap.algorithms.base import Algorithm, Params
from metagap.engine.choice import choose, convolutional, for_compiling
from metagap.engine.layouts import in_layout
from metagap.engine.memory import within
from metagap.engine.strategy import Strategy, parse
from metagap.machine import Machine
from metagap.models.making import for_test, make_model
from metagap.runner import randomness
from metagap.runner.deadline import Deadline
from metagap.suite import Cell, Split, Task, make_source
from metagap.tasks import corruptions
from metagap.tasks.episode import Tasks, TaskSpec, formed
from metagap.tasks.groups import Grouped
from metagap.tasks.images import pixel_statistics
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part

log = logging.getLogger("metagap")

Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

COMPILE_FROM = 20_000
"""Iterations from which on compiling the meta-step is repaid."""
TRACE_FROM = 200
"""Iterations, or pieces of an evaluation, from which on tracing is repaid."""


@dataclass
class Learner:
    """A network and an algorithm in their states of training and of test, and the meta-parameters before training."""

    network: nn.Module
    network_at_test: nn.Module
    algorithm: Algorithm
    algorithm_at_test: Algorithm
    meta: Params
    notes: list[str]
    """In what the network differs from what its author wrote."""

    @classmethod
    def of(cls, cell: Cell, tasks: Tasks[Any]) -> Learner:
        """That of a cell, seeded, on the CPU. Raises UserError where network and algorithm do not go together.

        tasks: those of meta-training.
        """
        suite = cell.suite
        randomness.seed(cell.seed)
        make = registry.load("algorithm", cell.algorithm)
        make.check_kind(suite.kind)
        algorithm = make(**cell.hyperparameters)
        specs = training_specs(cell, tasks)
        ways = max(suite.task.ways, *(spec.ways for spec in specs))
        made = make_model(suite.model, algorithm.input_shape(tasks), algorithm.outputs(tasks, ways))
        bound = algorithm.bind(made.network, specs[0])
        bound.check_network()
        generator = torch.Generator().manual_seed(seed_of("meta-parameters", cell.seed))
        meta = bound.init(made.network, tasks.class_count, generator)
        frozen = {name for name, value in made.network.named_parameters() if not value.requires_grad}
        meta = {name: value for name, value in meta.items() if name not in frozen}  # whatever a plugin's init says
        at_test = make(**cell.hyperparameters | cell.evaluation.settings)
        return cls(made.network, for_test(made.network), algorithm, at_test, meta, made.notes)

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move everything there, in place."""
        self.meta = {name: value.to(device, dtype) for name, value in self.meta.items()}
        for network in (self.network, self.network_at_test):
            network.to(device)
            network.double() if dtype == torch.float64 else network.float()  # complex buffers stay complex


class TrainingContext:
    """A cell's network, algorithm and training tasks, seeded, and its meta-parameters before meta-training."""

    def __init__(self, cell: Cell, machine: Machine):
        self.cell, self.machine, self.device = cell, machine, torch.device(machine.device)
        self.deadline = Deadline(machine.time_limit)
        self.shortages: list[str] = []
        """What was done because memory was short, see `engine.memory.watching_memory`."""
        suite, precision = cell.suite, cell.training.precision
        self.dtype = torch.float64 if precision == "float64" else torch.float32
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"

        source = make_source(suite.source)
        self.training_tasks = source.tasks(Part(suite.training_classes, source.trained_images), self.device)
        if getattr(source, "normalise", False):
            self.training_tasks = self.training_tasks.normalised(*pixel_statistics(self.training_tasks))
        self.training_specs = training_specs(cell, self.training_tasks)

        self.learner = Learner.of(cell, self.training_tasks)
        self.learner.to(self.device, self.dtype)
        for note in self.learner.notes:
            log.warning(note)

    @property
    def training_spec(self) -> TaskSpec:
        """The form of the tasks in meta-training, the largest where there are several."""
        return self.training_specs[0]

    @property
    def network(self) -> nn.Module:
        """As it is in meta-training."""
        return self.learner.network

    @property
    def algorithm(self) -> Algorithm:
        """As it is in meta-training, not bound."""
        return self.learner.algorithm

    @property
    def meta(self) -> Params:
        """The meta-parameters."""
        return self.learner.meta

    @property
    def points(self) -> list[int]:
        """The iterations that snapshots and scores are wanted of, the untrained start first; none by default."""
        points = self.cell.evaluation.points(self.cell.training.iterations)
        return points if self.algorithm.trains else points[:1]

    @cached_property
    def strategy(self) -> Strategy:
        """How tasks are mapped and layers are laid out, in training and in evaluation.

        It is chosen for the tasks of training; where these are pooled and nothing is mapped, for those of the test.
        """
        machine = self.machine
        spec = self.training_spec
        if self.algorithm.pooled:
            spec = formed(self.training_tasks, spec_of(self.cell.suite.task), 1)
        episodes = Sampler(self.training_tasks, spec, 0, self.device).episodes(self.cell.training.meta_batch)
        episodes = episodes.to(self.device, self.dtype)
        algorithm = self.bind(spec)
        strategy = choose(algorithm, self.meta, episodes, engine=machine.engine)
        if machine.memory is not None and algorithm.mappable:
            strategy = within(
                machine.memory, in_layout(algorithm, strategy.layout).meta_gradient, self.meta, episodes, strategy
            )
        return strategy

    @property
    def training_strategy(self) -> Strategy:
        """The strategy for meta-training: traced or compiled where that is repaid."""
        iterations, compile = self.cell.training.iterations, self.machine.compile
        if compile is None:
            small = self.device.type == "cuda" or not convolutional(self.network)
            compile = small and iterations >= COMPILE_FROM
        if compile:
            strategy = for_compiling(self.strategy, self.network, self.device)
        else:
            passes = iterations * self.algorithm.passes
            strategy = self.strategy._replace(backend="traced" if passes >= TRACE_FROM else "eager")
        return parse(self.machine.engine, strategy)

    def evaluation_strategy(self, episodes: int) -> Strategy:
        """The strategy for scoring this many episodes."""
        pieces = episodes / self.strategy.at_once
        return parse(self.machine.engine, self.strategy._replace(backend="traced" if pieces >= TRACE_FROM else "eager"))

    @property
    def captures(self) -> bool:
        """Whether an iteration can be one CUDA graph: on a GPU, of pure functions, with the images there, the same
        every time."""
        if len(self.training_specs) > 1:
            return False
        streamed = isinstance(self.training_tasks, Grouped) and self.training_tasks.streamed
        # Rollouts to be are made on the CPU, and a line search looks at values.
        return self.device.type == "cuda" and self.algorithm.mappable and not streamed and not self._acts

    def bind(self, spec: TaskSpec, *, test: bool = False) -> Algorithm:
        """The algorithm with the network, for tasks of this form; test: with its settings for evaluation."""
        precision = torch.bfloat16 if self.cell.training.precision == "bfloat16" else None
        if test:
            return self.learner.algorithm_at_test.bind(self.learner.network_at_test, spec, precision)
        return self.algorithm.bind(self.network, spec, precision)

    def tasks(self, source: dict[str, Any], part: Part) -> Any:
        """The tasks of a part of a source, on the device, with inputs scaled as those of the training tasks."""
        return like(make_source(source).tasks(part, self.device), self.training_tasks)

    def spec(self, split: Split) -> TaskSpec:
        """The form of a split's tasks."""
        tasks = make_source(split.source).tasks(Part(split.classes, split.images), "cpu") if self._acts else None
        return formed(tasks, spec_of(self.cell.suite.split_task(split)), self.cell.evaluation.path_steps)

    def sampler(self, split: Split, purpose: str) -> Sampler:
        """The episodes of a split, drawn on the CPU: the same ones on every device."""
        tasks = shifted(self.tasks(split.source, Part(split.classes, split.images)), split)
        return Sampler(tasks, self.spec(split), self.seed(split, purpose))

    @property
    def _acts(self) -> bool:
        return self.cell.suite.kind.acts

    def seed(self, split: Split, purpose: str) -> int:
        """What a split's episodes are drawn from. It belongs to the split: all algorithms and seeds get the same."""
        name = split.name if split.dose is None else split.dose.reference  # the same tasks, but for the shift
        return seed_of(f"{purpose} {self.cell.suite.task.model_dump_json()}", name)

    @property
    def is_transductive(self) -> bool:
        """Whether predictions depend on the batch that they are made in: by the algorithm, or by the network."""
        norms = torch.nn.BatchNorm1d | torch.nn.BatchNorm2d | torch.nn.BatchNorm3d
        return self.algorithm.transductive or any(
            isinstance(module, norms) and module.running_mean is None for module in self.network.modules()
        )


def like(tasks: Any, training: Any) -> Any:
    """Tasks with inputs that are scaled as those of the training tasks."""
    return tasks.like(training) if isinstance(tasks, Grouped) and type(tasks) is type(training) else tasks


def shifted(tasks: Any, split: Split) -> Any:
    """The tasks of a split as it shows them: with corrupted images, where it asks for that."""
    shift = split.shift
    return tasks if shift is None else tasks.shifted(partial(corruptions.find(shift.kind), severity=shift.severity))


def spec_of(task: Task) -> TaskSpec:
    """The form of a task, for samplers and algorithms."""
    return TaskSpec(task.kind, task.ways, task.shots, task.queries, imbalance=task.imbalance)


def training_specs(cell: Cell, tasks: Tasks[Any]) -> list[TaskSpec]:
    """The forms of the tasks in meta-training, which may be others than the suite's; the largest first."""
    steps = int(cell.hyperparameters.get("inner_steps", 1))
    return [formed(tasks, spec_of(form), steps) for form in cell.training.forms(cell.suite.task)]


def seed_of(purpose: str, seed: int | str) -> int:
    """A stream of random numbers of its own for every purpose of a seed."""
    return digests.number(f"{purpose} {seed}")
