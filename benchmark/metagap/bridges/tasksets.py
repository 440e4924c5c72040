"""learn2learn's tasksets as a source of tasks.

A user names a function in a file, `source = "path/to/file.py:tasksets"`. It is given the ways of a task and how many
examples there are of each class, support and query together, and returns learn2learn Tasksets of that form: one alone,
which is the part `all`; three, for `train`, `val` and `test`, as learn2learn.vision.benchmarks.get_tasksets does; or a
dict of them by those names. Its further arguments are the options of the source, the keys of its table. It is called
once for every form of tasks, so that data which take long to load are best loaded outside of it. learn2learn is
imported by that file and not here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, create_model
from torch import Generator, Tensor

from metagap import registry
from metagap.bridges.seeding import seeded
from metagap.errors import UserError
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.source import Part, Source

PARTS = ("train", "val", "test")


class Brought(Source):
    """A source of the tasksets that a user's function gives; its arguments are the options."""

    kind: Literal["classification"] = "classification"
    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""

    maker: ClassVar[Callable[..., Any]]

    def tasks(self, part: Part, device: torch.device | str) -> TasksetTasks:
        """The tasks of this part's taskset."""
        self.check_part(part, list(self.tasksets(2, 2)))
        return TasksetTasks(self, part.classes, torch.device(device))

    def tasksets(self, ways: int, examples: int) -> dict[str, Any]:
        """The taskset of every part, for tasks of `ways` classes with `examples` examples each; made once."""
        return _tasksets(type(self), self.model_dump_json(), ways, examples)


@dataclass(frozen=True)
class TasksetDraw:
    """Seeds (T,) of the tasks, and rows (T, ways * (shots + queries)) of the data set that they consist of."""

    seeds: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, tasks: slice) -> TasksetDraw:
        return TasksetDraw(self.seeds[tasks], self.rows[tasks])


class TasksetTasks:
    """The tasks of a Taskset, which it draws with the global random numbers of Python, NumPy and torch.

    These are seeded for every task and put back afterwards, so that a draw gives the same task again, in every process.
    A Taskset with a number of tasks has that many, each from a seed of its own; others resample for ever.
    What draws random numbers elsewhere, such as a generator of its own or a GPU, cannot be seeded: rows that change
    are an error, and nothing is known of augmentations. Tasks are sampled and loaded example by example, as
    learn2learn does.
    """

    def __init__(self, source: Brought, part: str, device: torch.device):
        self._source, self._part, self._device = source, part, device
        self._proven: set[TaskSpec] = set()

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self._x_shape

    @cached_property
    def _x_shape(self) -> tuple[int, ...]:
        taskset = self._source.tasksets(2, 2)[self._part]
        with seeded(0):
            return tuple(taskset.get_task(taskset.sample_task_description()[:1])[0].shape[1:])

    @property
    def class_count(self) -> int:
        """The number of classes in the part's data set."""
        return len(self._source.tasksets(2, 2)[self._part].dataset.labels)

    def draw(self, count: int, spec: TaskSpec, generator: Generator) -> TasksetDraw:
        """`count` independent tasks; raises UserError where the taskset gives none of this form."""
        seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device).cpu()
        rows = torch.tensor([[item.index for item in self._description(int(seed), spec)] for seed in seeds])
        draw = TasksetDraw(seeds, rows)
        if spec not in self._proven:  # whatever is wrong with the data shows now
            self.episode(draw[:1], spec)
            self._proven.add(spec)
        return draw

    def draw_open(self, count: int, spec: TaskSpec, generator: Generator) -> None:
        """A taskset cannot be asked for tasks that share no example."""
        return None

    def episode(self, draw: TasksetDraw, spec: TaskSpec) -> Episode:
        """The drawn tasks, their classes renumbered at random: the first `shots` examples of every class are its
        support, the others its queries."""
        tasks = [self._task(*task, spec) for task in zip(draw.seeds.tolist(), draw.rows.tolist(), strict=True)]
        return Episode(*(torch.stack(values).to(self._device) for values in zip(*tasks, strict=True)))

    def sample(self, draw: TasksetDraw, spec: TaskSpec) -> dict[str, np.ndarray]:
        """The first task as pictures (n, C, H, W) uint8 from its least to its greatest value, with labels (n,) and
        class names (ways,); an example that is no image is a row of pixels."""
        episode = Episode(*(value[0].cpu() for value in self.episode(draw[:1], spec)))
        low, high = episode.support_x.min(), episode.support_x.max()

        def pictures(x: Tensor) -> np.ndarray:
            x = x if x.ndim == 4 and x.shape[1] in (1, 3) else x.flatten(1)[:, None, None]
            return ((x - low) / (high - low).clamp(min=1e-9) * 255).clamp(0, 255).to(torch.uint8).numpy()

        labels = self._taskset(spec).dataset.labels
        return {
            "class_names": np.array([str(labels[index]) for index in episode.classes.tolist()]),
            "support_x": pictures(episode.support_x),
            "query_x": pictures(episode.query_x),
            "support_y": episode.support_y.numpy(),
            "query_y": episode.query_y.numpy(),
        }

    def _taskset(self, spec: TaskSpec) -> Any:
        return self._source.tasksets(spec.ways, spec.shots + spec.queries)[self._part]

    def _description(self, seed: int, spec: TaskSpec) -> list[Any]:
        """What a task consists of, by learn2learn's DataDescriptions: the same ones for the same seed."""
        taskset, examples = self._taskset(spec), spec.shots + spec.queries
        try:
            if taskset.num_tasks < 0:
                with seeded(seed):
                    description = taskset.sample_task_description()
            else:
                number = seed % taskset.num_tasks
                if number not in taskset.sampled_descriptions:
                    with seeded(number):
                        taskset.sampled_descriptions[number] = taskset.sample_task_description()
                description = taskset.sampled_descriptions[number]
        except (ValueError, IndexError, KeyError) as error:
            raise self._error(f"has no tasks of {spec.ways} ways with {examples} examples each: {error!r}") from error
        if len(description) != spec.ways * examples:
            raise self._error(
                f"gives a task of {len(description)} examples, needed are {spec.ways} ways x ({spec.shots} shots + "
                f"{spec.queries} queries); make it from the ways and examples that the function is given"
            )
        return description

    def _task(self, seed: int, rows: list[int], spec: TaskSpec) -> Episode:
        """One task, on the CPU."""
        description = self._description(seed, spec)
        if [item.index for item in description] != rows:
            raise self._error("draws other examples when it is seeded again: it has random numbers of its own")
        with seeded(seed + 1):  # for transforms of the data; another stream than that of the description
            x, labels = self._taskset(spec).get_task(description)[:2]
        if not (isinstance(x, Tensor) and isinstance(labels, Tensor)):
            raise self._error(f"gives data of type {type(x).__name__} and labels of type {type(labels).__name__}")
        given, y, counts = labels.cpu().unique(return_inverse=True, return_counts=True)
        examples = spec.shots + spec.queries
        if counts.tolist() != [examples] * spec.ways:
            found = ", ".join(f"{n} of label {label}" for n, label in zip(counts.tolist(), given.tolist(), strict=True))
            raise self._error(f"gives a task with {found}; needed are {examples} of each of {spec.ways}")
        order = y.argsort(stable=True).view(spec.ways, examples)  # row by row the examples of a class
        order = order[torch.randperm(spec.ways, generator=torch.Generator().manual_seed(seed))]
        classes = torch.tensor([self._class_of(rows[first], spec) for first in order[:, 0].tolist()])
        x = x.float()[order.T.flatten()]  # shot by shot
        y, support = torch.arange(spec.ways).repeat(examples), spec.ways * spec.shots
        return Episode(x[:support], y[:support], x[support:], y[support:], classes)

    def _class_of(self, row: int, spec: TaskSpec) -> int:
        """The index, among the classes of the part, of an example's class."""
        taskset = self._taskset(spec)
        steps = taskset.task_transforms if isinstance(taskset.task_transforms, list | tuple) else []
        loaded = next((step.dataset for step in steps if type(step).__name__ == "LoadData"), taskset.dataset)
        label = loaded.indices_to_labels[row]
        if label not in taskset.dataset.labels:
            raise self._error(
                f"draws class '{label}', which its data set does not have: its transforms are over another data set, "
                "so that the parts share classes"
            )
        return taskset.dataset.labels.index(label)

    def _error(self, fault: str) -> UserError:
        return UserError(f"source '{type(self._source).__name__}': the taskset of the part '{self._part}' {fault}")


@cache
def bridged(found: Any) -> Any:
    """The source of a function that gives tasksets; anything else unchanged."""
    if not inspect.isfunction(found):
        return found
    fields: dict[str, Any] = {
        name: (annotation, Field(default=default, description=f"argument of {found.__name__}"))
        for name, (annotation, default) in registry.options(found, given=2).items()
    }
    made = create_model(found.__name__, __base__=Brought, __module__=found.__module__, **fields)
    made.__doc__ = inspect.getdoc(found)
    made.maker = found
    return made


@cache
def _tasksets(source: type[Brought], options: str, ways: int, examples: int) -> dict[str, Any]:
    """What the function of a source gives, by parts. It is seeded, as some benchmarks split their classes at random."""
    chosen = source.model_validate_json(options)
    try:
        with seeded(0):
            made = source.maker(ways, examples, **{k: v for k, v in chosen if k != "kind"})
    except Exception as error:
        form = f"{ways} ways with {examples} examples each"
        raise UserError(f"source '{source.__name__}' fails for {form} with {error!r}") from error
    if isinstance(made, tuple | list) and len(made) == len(PARTS):
        made = dict(zip(PARTS, made, strict=True))
    elif not isinstance(made, Mapping):
        made = {"all": made}
    if unknown := [name for name in made if name not in (*PARTS, "all")]:
        raise UserError(f"source '{source.__name__}' has a part '{unknown[0]}'; allowed: {', '.join(PARTS)}, all")
    for name, taskset in made.items():
        if not all(hasattr(taskset, need) for need in ("sample_task_description", "get_task", "dataset")):
            raise UserError(
                f"source '{source.__name__}': its part '{name}' is no Taskset of learn2learn but "
                f"{type(taskset).__name__}; allowed: one, three for {', '.join(PARTS)}, or a dict of them"
            )
    return dict(made)
