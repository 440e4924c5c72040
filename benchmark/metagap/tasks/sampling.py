"""The one way from a source to the episodes of a run: queries come in random order, whatever the source does."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import torch
from torch import Generator, Tensor

from metagap import digests
from metagap.errors import UserError
from metagap.tasks.episode import D, Episode, Tasks, TaskSpec


@dataclass(frozen=True)
class Drawn(Generic[D]):
    """What was drawn for a batch of tasks: the source's own draw, and the order (T, queries of a task) of the queries.

    No order where the source draws its examples independently.
    """

    draw: D
    order: Tensor | None

    def __len__(self) -> int:
        return len(self.draw)

    def __getitem__(self, tasks: slice) -> Drawn[D]:
        return Drawn(self.draw[tasks], None if self.order is None else self.order[tasks])


def raw(value: Any) -> bytes:
    """What identifies what was drawn: a tensor, an array, or a dataclass, tuple, list or dict of such.

    Raises UserError for anything else.
    """
    if isinstance(value, Tensor):
        return value.cpu().contiguous().numpy().tobytes()
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return value.tobytes()
    if dataclasses.is_dataclass(value):
        return b"".join(raw(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, dict):
        return b"".join(raw(key) + raw(one) for key, one in value.items())
    if isinstance(value, tuple | list):
        return b"".join(map(raw, value))
    if value is None or isinstance(value, bool | int | float | str | range):
        return b"" if value is None else repr(value).encode()
    kind = type(value).__name__
    raise UserError(f"its source draws a {kind}; allowed: a tensor, or a dataclass, tuple, list or dict of tensors")


class Sampler(Generic[D]):
    """Draws the episodes of a run, the queries of each in random order.

    Sources give queries class by class in turn, and their place in the batch would tell an algorithm their labels. The
    order has random numbers of its own, so that it has no say in which examples are drawn.
    """

    def __init__(self, tasks: Tasks[D], spec: TaskSpec, seed: int, device: torch.device | str = "cpu"):
        """seed: of all episodes to come. device: where they are drawn; a stream of random numbers depends on it."""
        self.tasks, self.spec = tasks, spec
        self._examples = Generator(device).manual_seed(seed)
        self._order = Generator(device).manual_seed(digests.number(f"order of queries {seed}"))

    @property
    def generators(self) -> list[Generator]:
        """Everything that the episodes to come depend on."""
        return [self._examples, self._order]

    def draw(self, count: int) -> Drawn[D]:
        """`count` independent tasks; raises UserError where the classes or images are too few for them."""
        return self._ordered(self.tasks.draw(count, self.spec, self._examples))

    def draw_open(self, count: int) -> Drawn[D] | None:
        """At most `count` tasks that share no example; None where ordinary draws share none, or it cannot draw such."""
        draw_open = getattr(self.tasks, "draw_open", None)
        draw = None if draw_open is None else draw_open(count, self.spec, self._examples)
        return None if draw is None else self._ordered(draw)

    def episode(self, drawn: Drawn[D]) -> Episode:
        """The data of these tasks, on the device of the source."""
        episode = self.tasks.episode(drawn.draw, self.spec)
        return episode if drawn.order is None else reordered(episode, drawn.order)

    def episodes(self, count: int) -> Episode:
        """The data of `count` tasks, drawn and looked up."""
        return self.episode(self.draw(count))

    def classes(self, drawn: Drawn[D]) -> np.ndarray | None:
        """Which classes of the source's part each of these tasks holds: (T, ways), by index.

        Of a task that a file has, this is the task itself, so many times. None where what was drawn does not tell them.
        """
        classes = getattr(drawn.draw, "classes", None)
        if not isinstance(classes, Tensor) or classes.shape != (len(drawn), self.spec.ways):
            return None
        return classes.cpu().numpy()

    def sample(self, drawn: Drawn[D]) -> dict[str, np.ndarray]:
        """The first of these tasks as plain arrays to show to people, class by class.

        Where the tasks do not say how: the examples as an algorithm is given them.
        """
        if (sample := getattr(self.tasks, "sample", None)) is not None:
            return sample(drawn.draw, self.spec)
        episode = self.tasks.episode(drawn.draw[:1], self.spec)
        arrays = {name: value[0].cpu().numpy() for name, value in episode._asdict().items() if name != "classes"}
        names = np.array([f"class {number}" for number in episode.classes[0].tolist()])
        return arrays | ({"class_names": names} if self.spec.kind.has_ways else {})

    def _ordered(self, draw: D) -> Drawn[D]:
        if getattr(self.tasks, "independent", False):
            return Drawn(draw, None)
        shape, generator = (len(draw), self.spec.ways * self.spec.queries), self._order
        noise = torch.rand(shape, dtype=torch.float64, generator=generator, device=generator.device)
        return Drawn(draw, noise.argsort(1))


def reordered(episode: Episode, order: Tensor) -> Episode:
    """A batch of tasks with the queries of each in another order: `order` (T, n) says which comes 1st, 2nd, ..."""
    tasks, n = order.shape
    order = order.to(episode.query_x.device)
    rows = (order + n * torch.arange(tasks, device=order.device)[:, None]).flatten()
    x, y = (value.flatten(0, 1)[rows].view_as(value) for value in (episode.query_x, episode.query_y))
    return episode._replace(query_x=x, query_y=y)
