"""Examples that were read from a file, and the tasks that are made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Generator, Tensor

from metagap.errors import UserError
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.groups import GroupDraw, Grouped, Mix, choose, parted, placed, shots_in_words
from metagap.tasks.scaling import Mode, Scaling
from metagap.text import listed

CPU = torch.device("cpu")


class Records(NamedTuple):
    """What a file of examples holds, whatever form it has."""

    x: np.ndarray
    """(n, features, ...) float32, such as (n, columns) or (n, channels, time); NaN where a value is missing, if the
    source allows that."""
    y: np.ndarray
    """(n,) the class of each, 0..len(classes)-1; or (n, targets) float32 for regression."""
    classes: Sequence[str] = ()
    """The names of the classes; none for regression."""
    task: np.ndarray | None = None
    """(n,) the name of the task that each belongs to; None where tasks are made of the classes."""
    domain: np.ndarray | None = None
    """(n,) the name of the domain that each is from."""
    time: np.ndarray | None = None
    """(n,) datetime64, when each was taken."""
    notes: Sequence[str] = ()
    """What a reader of results should know of how the file was read."""
    features: Sequence[str] = ()
    """(features,) their names, where they have any."""
    levels: np.ndarray | None = None
    """(features,) 0 for a number, which is scaled; 1 for an indicator, 0 or 1; more for so many codes of a category, of
    which 0 stands for the unknown; -1 for a term frequency, (n, features) only. None: all are numbers."""
    forecasts: bool = False
    """Whether targets are later values of the last feature, so that they are scaled as it is."""


@dataclass(frozen=True)
class TaskDraw(GroupDraw):
    """A draw of tasks that the file has: `classes` says which task each of them is, (T, ways) times the same number."""

    groups: Tensor = field(kw_only=True)


@dataclass(frozen=True)
class RecordStore(Grouped):
    """Examples, and the tasks that can be drawn from them: either made of classes, or those that the file has.

    Tasks made of classes: a group is a class, and a task is any `ways` of them. Tasks of the file: a group is what a
    task has of one class, a task drawn is one of them with `ways` of its groups; in regression, a group is a task.
    """

    x: Tensor
    """(n, features, ...) float32 as they were read, grouped."""
    y: Tensor | None
    """(n, targets) float32 of regression; None where groups say the class."""
    start: Tensor
    size: Tensor
    label: Tensor
    """(groups,) the class of each; 0 in regression."""
    task: Tensor | None
    """(groups,) the task of each, in ascending order; None where tasks are made of classes."""
    classes: tuple[str, ...]
    tasks: tuple[str, ...]
    """The names of the tasks of the file."""
    levels: Tensor
    """(features,) see `Records.levels`."""
    features: tuple[str, ...] = ()
    fixed: bool = False
    """Whether class k is label k of every task; otherwise it has another label in each."""
    forecasts: bool = False
    """Whether targets are later values of the last feature."""
    scaling: Scaling | None = None
    """None: examples are as they were read."""
    borrowed: bool = False
    """Whether the scaling is that of another store."""
    mix: Mix | None = None
    device: torch.device = CPU
    _ready: dict[Any, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, records: Records, fixed: bool = False) -> RecordStore:
        """The store of all records."""
        classes, tasks, task = tuple(map(str, records.classes)), (), None
        label = np.asarray(records.y, np.int64) if classes else np.zeros(len(records.x), np.int64)
        key = label
        if records.task is not None:
            names, task = np.unique(records.task.astype(str), return_inverse=True)
            tasks, key = tuple(names.tolist()), task * (len(classes) or 1) + label
        order = np.argsort(key, kind="stable")
        _, first, size = np.unique(key[order], return_index=True, return_counts=True)
        heads = order[first]
        return cls(
            x=torch.from_numpy(np.ascontiguousarray(records.x[order], np.float32)),
            y=None if classes else torch.from_numpy(np.ascontiguousarray(records.y[order], np.float32)),
            start=torch.from_numpy(first),
            size=torch.from_numpy(size),
            label=torch.from_numpy(label[heads]),
            task=None if task is None else torch.from_numpy(task[heads]),
            classes=classes,
            tasks=tasks,
            levels=torch.zeros(records.x.shape[1]) if records.levels is None else torch.from_numpy(records.levels),
            features=tuple(records.features),
            forecasts=records.forecasts,
            fixed=fixed,
        )

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of one example: (features, ...)."""
        return tuple(self.x.shape[1:])

    @property
    def class_count(self) -> int:
        """Number of classes, 0 for regression."""
        return len(self.classes)

    @property
    def outputs(self) -> int | None:
        """How many targets a task of regression has; None for classes."""
        return None if self.y is None else self.y.shape[1]

    @property
    def units_differ(self) -> bool:
        """Whether the targets of an episode are in other units than the last feature of its inputs."""
        mode = "none" if self.scaling is None or self.outputs is None else self.scaling.mode
        return mode != "none" and not self.forecasts

    @property
    def of_file(self) -> bool:
        """Whether the tasks are those of the file, and not made of classes."""
        return self.task is not None

    @property
    def units(self) -> tuple[str, ...]:
        """What parts are made of: the names of the tasks of the file, or of the classes."""
        return self.tasks if self.of_file else self.classes

    @property
    def rows(self) -> Tensor:
        """All rows of `x` that are in a group, group by group."""
        before = self.size.cumsum(0) - self.size
        return torch.arange(int(self.size.sum())) + (self.start - before).repeat_interleave(self.size)

    @property
    def fingerprints(self) -> list[bytes]:
        """The bytes of each example, by which it is found in another file."""
        return [one.tobytes() for one in self.x[self.rows].cpu().numpy()]

    def only(self, units: Sequence[str]) -> RecordStore:
        """The store of these tasks or classes, in this order."""
        place, names = torch.full((len(self.units),), -1), {name: i for i, name in enumerate(self.units)}
        place[[names[name] for name in units]] = torch.arange(len(units))
        own = place[self.label if self.task is None else self.task]
        kept = own.argsort(stable=True)[int((own < 0).sum()) :]
        about = {"start": self.start[kept], "size": self.size[kept], "label": self.label[kept]}
        if self.task is None:
            return dataclasses.replace(self, **about | {"classes": tuple(units), "label": own[kept]})
        return dataclasses.replace(self, **about, tasks=tuple(units), task=own[kept])

    def scaled(self, mode: Mode, training: RecordStore) -> RecordStore:
        """The same examples, scaled by those of another store, or as a mode says that needs none."""
        x, y = (None if values is None else values[training.rows] for values in (training.x, training.y))
        assert x is not None
        return dataclasses.replace(self, scaling=Scaling.of(mode, x, y, self.levels, self.forecasts))

    def like(self, training: Any) -> Self:
        """The same examples, scaled and labelled as those that are trained on, if they have the same features."""
        if self.x_shape != training.x_shape:  # which is refused before a cell is run
            return self
        if self.forecasts != training.forecasts:
            here, there = ("are" if store.forecasts else "are not" for store in (self, training))
            raise UserError(f"its targets {here} later values of the last feature, and those of training {there}")
        return dataclasses.replace(self, scaling=training.scaling, fixed=training.fixed, borrowed=True)

    def to(self, device: torch.device | str) -> RecordStore:
        """The same store for episodes on `device`, where the examples are too if they fit."""
        device = torch.device(device)
        x, y = placed(self.x, device), None if self.y is None else self.y.to(device)
        scaling = None if self.scaling is None else self.scaling.to(device)
        return dataclasses.replace(self, device=device, x=x, y=y, scaling=scaling)

    @property
    def examples(self) -> Tensor:
        """All of them, as they were read."""
        return self.x

    def draw(self, count: int, spec: TaskSpec, generator: Generator) -> GroupDraw:
        """`count` tasks, all equally likely: of the file's those that are large enough, or any `ways` classes."""
        return self._told(super().draw(count, spec, generator))

    def draw_open(self, count: int, spec: TaskSpec, generator: Generator) -> GroupDraw:
        """At most `count` tasks that share no example."""
        return self._told(super().draw_open(count, spec, generator))

    def episode(self, draw: GroupDraw, spec: TaskSpec) -> Episode:
        """Look the drawn examples up and scale them: len(draw) tasks, float32, on the device of the store."""
        groups, rows, labels = self._arranged(draw, spec)
        read = parted(self._at(self.x, rows), spec)
        support, query = read if self.scaling is None else self.scaling.inputs(*read)
        if self.y is None:
            y, classes = labels, self._on(self.device, "label", lambda: self.label)[groups]
        else:
            y, classes = self._at(self.y, rows), groups[:, :0]
            y = y if self.scaling is None else self.scaling.targets(y, read[0])
        support_y, query_y = parted(y, spec)
        return Episode(support, support_y, query, query_y, classes)

    def sample(self, draw: GroupDraw, spec: TaskSpec) -> dict[str, np.ndarray]:
        """The first task as its file has it: examples (n, features, ...), labels (n,) or targets, and what is called
        how."""
        groups, rows, labels = self._arranged(draw[:1], spec)
        names = {"feature_names": np.array(self.features)} if self.features else {}
        for key, values in (("x", self._at(self.x, rows)), ("y", labels if self.y is None else self._at(self.y, rows))):
            of_task = values[0].cpu().numpy()
            names |= {f"support_{key}": of_task[: spec.support], f"query_{key}": of_task[spec.support :]}
        if self.y is None:
            names["class_names"] = np.array([self.classes[self.label[group]] for group in groups[0].tolist()])
        return names

    def remark(self, spec: TaskSpec) -> str:
        """What is never drawn, what training does not know, and the unit of targets; often empty."""
        return "; ".join(filter(None, [self._too_small(spec), self._unknown(), self._unit()]))

    def _too_small(self, spec: TaskSpec) -> str:
        if self.task is None:
            return super().remark(spec)
        count, small = len(self.tasks), len(self.tasks) - int(self._fit(spec).sum())
        verb = "has" if small == 1 else "have"
        never = f"fewer than {_needs(self, spec)} and {'is' if small == 1 else 'are'} never drawn"
        return f"{small} of {count} tasks {verb} {never}" if small else ""

    def _unknown(self) -> str:
        """Which categories are here and in no training example."""
        if self.scaling is None:
            return ""
        names = self.features or tuple(f"feature {i}" for i in range(len(self.levels)))
        there = [names[i] for i in self.scaling.unknown(self.x[self.rows])]
        return f"training has no example of {listed(there)}, which count as 0" if there else ""

    def _unit(self) -> str:
        """What an error of 1 is in the file, where that is not 1."""
        if self.scaling is None or self.scaling.mode == "none" or self.outputs is None or self.borrowed:
            return ""
        if self.scaling.mode == "support" and self.forecasts:
            return "targets are scaled, and their 1 is the standard deviation of the last feature in each support set"
        units = [f"{1 / factor:.4g}" if factor else "constant" for factor in self.scaling.target_factor.tolist()]
        return f"targets are scaled, and their 1 is {listed(units)} of the file"

    def _pick(self, count: int, spec: TaskSpec, generator: Generator) -> Tensor:
        """A task of the file, all equally likely, and then `ways` of its classes."""
        if self.task is None:
            return super()._pick(count, spec, generator)
        device, key = generator.device, (spec.ways, spec.each)
        eligible = self._on(device, ("eligible", *key), lambda: self._eligible(spec))
        sizes = self._on(device, ("sizes", *key), lambda: self._by_task(self._eligible(spec)))
        begin, number = self._range(("tasks", *key), lambda: self._firsts(self._eligible(spec)), count, generator)
        uniform = torch.rand(count, dtype=torch.float64, generator=generator, device=device)
        tasks = begin + (uniform * number).long()
        first = (sizes.cumsum(0) - sizes)[tasks]
        return eligible[first[:, None] + choose(sizes[tasks], spec.ways, generator)]

    def _free(self, groups: Tensor, left: Tensor, spec: TaskSpec, generator: Generator) -> Tensor:
        """Of tasks of the file, the groups of one that has enough of them left, all such tasks equally likely."""
        if self.task is None:
            return super()._free(groups, left, spec, generator)
        free, of = left > 0, self.task[groups]
        able = (torch.bincount(of[free], minlength=len(self.tasks)) >= spec.ways).nonzero().flatten()
        if not len(able):
            return torch.zeros_like(free)
        if self.mix is None:
            return free & (of == able[torch.randint(len(able), (), generator=generator)])
        member = torch.zeros(len(self.tasks), dtype=torch.long).scatter(0, self.task, self.mix.member)[able]
        share = (self.mix.weights / torch.bincount(member, minlength=len(self.mix.names)))[member]
        return free & (of == able[share.multinomial(1, generator=generator)])

    def _eligible(self, spec: TaskSpec) -> Tensor:
        if self.fixed and spec.ways != self.class_count:
            raise UserError(
                f"labels = 'fixed' makes class k label k of every task, but ways = {spec.ways} and there are "
                f"{self.class_count} classes; allowed: ways = {self.class_count}, or labels = 'shuffled'"
            )
        if self.task is None:
            return super()._eligible(spec)
        eligible = (self._large(spec) & self._fit(spec)[self.task]).nonzero().flatten()
        for name, there, every in self._of_members(eligible):
            if not len(there):
                raise UserError(
                    f"{name}none of {len(self.task[every].unique())} tasks has {_needs(self, spec)}, as "
                    f"{shots_in_words(spec)} and {spec.queries} queries need"
                )
        return eligible

    def _large(self, spec: TaskSpec) -> Tensor:
        return self.size >= spec.each

    def _fit(self, spec: TaskSpec) -> Tensor:
        """Which tasks of the file have enough groups that are large enough: (tasks,)."""
        assert self.task is not None
        return torch.bincount(self.task[self._large(spec)], minlength=len(self.tasks)) >= spec.ways

    def _by_task(self, groups: Tensor) -> Tensor:
        """How many of these groups each task has that has any."""
        assert self.task is not None
        return torch.unique_consecutive(self.task[groups], return_counts=True)[1]

    def _firsts(self, groups: Tensor) -> Tensor:
        """The first of these groups of each task that has any."""
        sizes = self._by_task(groups)
        return groups[sizes.cumsum(0) - sizes]

    def _told(self, draw: GroupDraw) -> GroupDraw:
        """The draw; of tasks of the file it also says which task each of them is."""
        if self.task is None:
            return draw
        own = self.task
        tasks = self._on(draw.rows.device, "task", lambda: own)[draw.classes]
        return TaskDraw(tasks, draw.rows, draw.counts, groups=draw.classes)

    def _arranged(self, draw: GroupDraw, spec: TaskSpec) -> tuple[Tensor, Tensor, Tensor]:
        """Groups (T, ways), rows and labels (T, support + queries) of a draw; fixed labels are the classes."""
        groups, rows, counts = (draw.groups if isinstance(draw, TaskDraw) else draw.classes), draw.rows, draw.counts
        if self.fixed:
            order = self._on(groups.device, "label", lambda: self.label)[groups].argsort(-1)
            groups, rows = groups.gather(1, order), rows.gather(1, order[..., None].expand_as(rows))
            counts = None if counts is None else counts.gather(1, order)
        rows, labels = GroupDraw(groups, rows, counts).arranged(spec)
        return groups.to(self.device), rows, labels.to(self.device)

    def _at(self, values: Tensor, rows: Tensor) -> Tensor:
        """Those rows of values, on the device of the store."""
        return values[rows.to(values.device)].to(self.device)


def _needs(store: RecordStore, spec: TaskSpec) -> str:
    each = spec.each
    return f"{each} examples" if store.y is not None else f"{spec.ways} classes of {each} examples"
