"""What a task is, to a sampler and to an algorithm."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Generator, Tensor

from metagap.kinds import TaskKind, find
from metagap.tasks.imbalance import BALANCED


class _TaskSpec(NamedTuple):
    kind: TaskKind
    ways: int
    shots: int
    queries: int
    stages: int
    world: Any
    imbalance: str


class TaskSpec(_TaskSpec):
    """The specification of a task: its kind, its ways, and support and query examples per class.

    ways is 1 where the kind has none, and shots and queries count all examples then. The kind may be given by its name.
    With an `imbalance`, one of `imbalance.IMBALANCES`, classes have more or fewer support examples than `shots`, which
    is their mean.
    Of tasks that answer back, `stages` is how often an algorithm may collect rollouts before the scored ones, `shots`
    of them each time, and `world` is the `World` that they share; both are set by `formed`.
    """

    __slots__ = ()

    def __new__(
        cls,
        kind: TaskKind | str,
        ways: int,
        shots: int,
        queries: int,
        stages: int = 1,
        world: Any = None,
        imbalance: str = BALANCED,
    ) -> Self:
        """Raises UserError where there is no such kind."""
        return super().__new__(cls, find(kind), ways, shots, queries, stages, world, imbalance)

    @property
    def support(self) -> int:
        """The size of a support set, or of one stage of it."""
        return self.ways * self.shots

    @property
    def most_shots(self) -> int:
        """The most support examples that a class may have."""
        return self.shots if self.imbalance == BALANCED else 2 * self.shots - 1

    @property
    def each(self) -> int:
        """The examples that a class must have, so that it can be in such tasks."""
        return self.most_shots + self.queries

    @property
    def columns(self) -> slice:
        """The outputs of a network that are about such tasks: of one for more ways, the first ones."""
        return slice(self.ways) if self.kind.has_ways else slice(None)


def formed(tasks: Any, spec: TaskSpec, stages: int) -> TaskSpec:
    """`spec` with what only the tasks know, where they know it: the world that they share."""
    return tasks.formed(spec, stages) if hasattr(tasks, "formed") else spec


def input_shape(tasks: Any) -> tuple[int, ...]:
    """The shape of what a network is given: of an example, unless the tasks say otherwise."""
    return getattr(tasks, "input_shape", tasks.x_shape)


class Support(NamedTuple):
    """The labelled examples that an algorithm may adapt to: x (K, ...), y (K,) class indices or (K, 1) targets."""

    x: Tensor
    y: Tensor


class Episode(NamedTuple):
    """One task, or a batch of tasks with a leading task dimension on every field.

    Classification: x is (ways * shots, C, H, W) in float, y is (ways * shots,) class indices 0..ways-1, and `classes`
    is (ways,): which class of the split each index stands for. The support set is ordered shot by shot (0..ways-1,
    0..ways-1, ...), and with an imbalance so that any run of consecutive examples has about the shares of the whole; a
    `Sampler` gives the queries in random order. Regression: x and y are (shots, 1), and `classes` is empty (0,).
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    classes: Tensor

    @property
    def support(self) -> Support:
        """The part of the episode that reaches `Algorithm.adapt`."""
        return Support(self.support_x, self.support_y)

    def tasks(self, start: int, stop: int) -> Episode:
        """The tasks start..stop-1 of a batch."""
        return Episode(*(field[start:stop] for field in self))

    def pooled(self) -> Episode:
        """A batch of tasks as a batch of one: all examples are its support set, labelled by class instead of by way."""
        x, y = torch.cat([self.support_x, self.query_x], 1), torch.cat([self.support_y, self.query_y], 1)
        if not y.is_floating_point():
            y = self.classes.gather(1, y)
        x, y = x.flatten(0, 1)[None], y.flatten(0, 1)[None]
        return Episode(x, y, x[:, :0], y[:, :0], self.classes.flatten()[None])

    def to(self, *args: Any) -> Episode:
        """Tensor.to on the inputs and on real-valued targets; class indices only change their device."""
        return Episode(*(field.to(*args) if field.is_floating_point() else field.to(args[0]) for field in self))


class Draw(Protocol):
    """What was drawn for a batch of tasks, small: an index, not the data. A tensor with a row for each will do.

    It is identified by the tensors in it: see `sampling.raw`.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, tasks: slice, /) -> Self: ...


D = TypeVar("D", bound=Draw)


class Tasks(Protocol[D]):
    """A distribution of tasks: what a source gives for one split.

    Drawing is apart from looking up, so that thousands of test episodes can be drawn at once on the CPU, the same ones
    on every device, and looked up chunk by chunk. Queries may come in any order: a `Sampler` puts them in another one,
    unless the tasks say `independent = True`, that examples are drawn independently and their order is random already.

    Two further methods may be left out. `draw_open(count, spec, generator)` gives at most `count` tasks that share no
    example, or None where ordinary draws share none. `sample(draw, spec)` gives the first task as plain arrays by name,
    to show to people; without it the examples are shown as an algorithm is given them. Tasks that can have an imbalance
    say so by `imbalanced = True`, and draw as many support examples of each class as `spec.imbalance` wants.
    """

    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        ...

    @property
    def class_count(self) -> int:
        """Number of classes, 0 for regression."""
        ...

    def draw(self, count: int, spec: TaskSpec, generator: Generator) -> D:
        """`count` independent tasks; raises UserError where the classes or images are too few for `spec`."""
        ...

    def episode(self, draw: D, spec: TaskSpec) -> Episode:
        """The data of these tasks, on the device of the source."""
        ...
