"""Examples in groups, such as the images of each class, and the sampler that draws whole meta-batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor

from metagap.errors import UserError
from metagap.tasks.episode import TaskSpec
from metagap.tasks.imbalance import BALANCED, IMBALANCES

SHARE = 0.5
"""Of a GPU's free memory, what the examples of one store may take."""


@dataclass(frozen=True)
class GroupDraw:
    """Which groups and examples each task is made of: classes (T, ways), rows (T, ways, most shots + queries).

    counts (T, ways): how many of a group's rows, the first ones, are support examples; None: all but the queries.
    """

    classes: Tensor
    rows: Tensor
    counts: Tensor | None = None

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, tasks: slice) -> Self:
        parts: dict[str, Any] = {key: None if value is None else value[tasks] for key, value in vars(self).items()}
        return type(self)(**parts)

    def arranged(self, spec: TaskSpec) -> tuple[Tensor, Tensor]:
        """Rows and labels (T, support + queries): first the support set, then the queries, an example of each way in
        turn, or as often as its share of the support set."""
        _, ways, each = self.rows.shape
        labels = torch.arange(ways, device=self.rows.device)[:, None].expand(self.rows.shape)
        rows, labels = (values.transpose(1, 2).flatten(1) for values in (self.rows, labels))
        if self.counts is None:
            return rows, labels
        shot = torch.arange(each, device=self.rows.device)
        place = (shot[:, None] + 0.5) / self.counts[:, None].double()  # in the order of its class, from 0 to 1
        place = place.masked_fill(place > 1, 2)
        place[:, spec.most_shots :] = 3
        kept = place.flatten(1).argsort(stable=True)
        kept = torch.cat([kept[:, : spec.support], kept[:, ways * spec.most_shots :]], 1)
        return rows.gather(1, kept), labels.gather(1, kept)


@dataclass(frozen=True)
class Mix:
    """Which groups of a store come from which of several stores, its members: all groups of a task are of one member.

    The groups of the first member come first, then those of the second, and so on.
    """

    names: tuple[str, ...]
    """(members,)."""
    weights: Tensor
    """(members,) float64, above 0: a task is of member m with a probability of weights[m] / sum(weights)."""
    member: Tensor
    """(groups,) int64."""


class Grouped:
    """Draws examples by their groups: a task is some groups, and some examples of each.

    Group g is the rows start[g] .. start[g] + size[g] - 1. Groups may share rows: such are never drawn openly together.
    A store is a frozen dataclass that derives from this, has these attributes as fields, and looks up what was drawn.
    """

    start: Tensor
    """(groups,) int64."""
    size: Tensor
    """(groups,) int64."""
    device: torch.device
    """Where episodes are made."""
    mix: Mix | None
    """None: any groups may meet in a task."""
    _ready: dict[Any, Tensor]
    """What drawing and looking up need again and again, so that on a GPU they do not wait for it."""
    example: ClassVar[str] = "example"
    """What messages call what is in a group ..."""
    group: ClassVar[str] = "class"
    """... and a group."""
    imbalanced: ClassVar[bool] = True
    """See `episode.Tasks`."""

    @property
    def examples(self) -> Tensor:
        """All examples, (n, ...)."""
        raise NotImplementedError

    @property
    def streamed(self) -> bool:
        """Whether the examples are not where the episodes are made, so that looking up waits for both."""
        return self.examples.device.type != self.device.type

    def like(self, training: Any) -> Self:
        """The same tasks with inputs as those of the training tasks."""
        raise NotImplementedError

    def draw(self, count: int, spec: TaskSpec, generator: Generator) -> GroupDraw:
        """Draw `count` tasks: no group twice in a task, no example twice in a group, all equally likely.

        Groups with fewer than `spec.each` examples take no part. Runs on the generator's device; there is no loop over
        tasks. Raises UserError where fewer than `spec.ways` groups are large enough.
        """
        device, groups = generator.device, self._pick(count, spec, generator)
        start = self._on(device, "start", lambda: self.start)[groups]
        size = self._on(device, "size", lambda: self.size)[groups]
        rows = start.unsqueeze(-1) + choose(size, spec.each, generator)
        return GroupDraw(groups, rows, _counts(size, spec, generator))

    def draw_open(self, count: int, spec: TaskSpec, generator: Generator) -> GroupDraw:
        """Draw at most `count` tasks such that no example is in two of them, nor in two groups of the same rows.

        Every group is cut into chunks of `spec.each` examples, and each task takes one chunk of each of the `ways`
        groups that have the most chunks left (ties broken at random), which makes as many tasks as can be made.
        """
        each = spec.each
        self._eligible(spec)
        _, kinds = torch.unique(torch.stack([self.start, self.size], 1), dim=0, return_inverse=True)
        shuffled = torch.randperm(len(self.size), generator=generator)
        one_each = dict(zip(kinds[shuffled].tolist(), shuffled.tolist(), strict=True))
        groups = torch.tensor(list(one_each.values()))  # one of those that share their rows, at random
        size = self.size[groups]
        left = size // each
        order = [torch.randperm(int(n), generator=generator) for n in size]
        chosen: list[Tensor] = []
        rows: list[Tensor] = []
        while len(chosen) < count and int((free := self._free(groups, left, spec, generator)).sum()) >= spec.ways:
            noise = torch.rand(len(left), generator=generator)
            picked = ((left + noise) * free).topk(spec.ways).indices
            picked = picked[torch.randperm(spec.ways, generator=generator)]
            left[picked] -= 1
            chosen.append(groups[picked])
            starts = self.start[groups[picked]]
            chunks = [order[i][int(left[i]) * each : (int(left[i]) + 1) * each] for i in picked.tolist()]
            rows.append(starts[:, None] + torch.stack(chunks))
        drawn = torch.stack(chosen)
        return GroupDraw(drawn, torch.stack(rows), _counts(self.size[drawn], spec, generator))

    def remark(self, spec: TaskSpec) -> str:
        """How many groups are too small for such tasks, so that they are never drawn; empty where none is."""
        each, count = spec.each, len(self.size)
        small = int((self.size < each).sum())
        what = f"{count} {self.group}es has" if small == 1 else f"{count} {self.group}es have"
        return (
            f"{small} of {what} fewer than {each} {self.example}s and {'is' if small == 1 else 'are'} never drawn"
            if small
            else ""
        )

    def _pick(self, count: int, spec: TaskSpec, generator: Generator) -> Tensor:
        """The groups of `count` tasks, (count, ways)."""
        key = ("eligible", spec.ways, spec.each)
        eligible = self._on(generator.device, key, lambda: self._eligible(spec))
        first, number = self._range(key, lambda: self._eligible(spec), count, generator)
        return eligible[first[:, None] + choose(number, spec.ways, generator)]

    def _range(self, key: Any, things: Callable[[], Tensor], count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """What each of `count` tasks may choose from: where it begins, and how much it is, both (count,).

        things: a group of each thing that there is to choose from, member by member. Without members that is all of
        them; otherwise those of one, which is drawn by its weight.
        """
        device, mix = generator.device, self.mix
        if mix is None:
            number = torch.full((count,), len(self._on(device, key, things)), device=device)
            return torch.zeros_like(number), number
        edges = self._on(device, "edges", lambda: (mix.weights / mix.weights.sum()).cumsum(0)[:-1])
        sizes = self._on(device, ("of", key), lambda: torch.bincount(mix.member[things()], minlength=len(mix.names)))
        uniform = torch.rand(count, dtype=torch.float64, generator=generator, device=device)
        member = torch.searchsorted(edges, uniform, right=True)
        return (sizes.cumsum(0) - sizes)[member], sizes[member]

    def _free(self, groups: Tensor, left: Tensor, spec: TaskSpec, generator: Generator) -> Tensor:
        """Which of these groups the next open task may take, given how many chunks of each are left: bool (n,)."""
        free = left > 0
        if self.mix is None:
            return free
        member = self.mix.member[groups]
        able = torch.bincount(member[free], minlength=len(self.mix.names)) >= spec.ways
        if not able.any():
            return torch.zeros_like(free)
        return free & (member == (self.mix.weights * able).multinomial(1, generator=generator))

    def _eligible(self, spec: TaskSpec) -> Tensor:
        """The groups that tasks may take. Raises UserError where they are too few."""
        eligible = (self.size >= spec.each).nonzero().flatten()
        self._require(eligible, spec)
        return eligible

    def _require(self, groups: Tensor, spec: TaskSpec, apart: str = "") -> None:
        """Raise UserError unless these are enough groups, of each member. apart: how they are counted."""
        for name, there, every in self._of_members(groups):
            if len(there) < spec.ways:
                raise UserError(
                    f"{name}{spec.ways} ways, {shots_in_words(spec)} and {spec.queries} queries need {spec.ways} "
                    f"{self.group}es of at least {spec.each} {self.example}s; there are {len(there)} such "
                    f"{self.group}es{apart} among {len(every)}"
                )

    def _of_members(self, groups: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
        """For each member what messages begin with, those of `groups` that are of it, and all that are."""
        every = torch.arange(len(self.size))
        if self.mix is None:
            yield "", groups, every
            return
        for place, name in enumerate(self.mix.names):
            there, own = (some[self.mix.member[some] == place] for some in (groups, every))
            yield f"{name}: ", there, own

    def _on(self, device: torch.device, name: Any, make: Callable[[], Tensor]) -> Tensor:
        """The tensor that `make` gives, once, on the device."""
        if (device, name) not in self._ready:
            self._ready[device, name] = make().to(device)
        return self._ready[device, name]


def choose(size: Tensor, count: int, generator: Generator) -> Tensor:
    """Choose `count` distinct numbers of 0..n-1 in random order, for every n in `size` (...): gives (..., count).

    Every ordered choice is equally likely. Floyd's algorithm (Bentley and Floyd 1987) run for all n side by side: its
    cost does not grow with n, so neither do large classes. Requires n >= count.
    """
    chosen = torch.empty(*size.shape, count, dtype=torch.long, device=size.device)
    for i in range(count):
        last = size - count + i
        uniform = torch.rand(size.shape, dtype=torch.float64, generator=generator, device=size.device)
        guess = (uniform * (last + 1)).long()
        taken = (chosen[..., :i] == guess.unsqueeze(-1)).any(-1)
        chosen[..., i] = torch.where(taken, last, guess)
    shuffle = torch.rand(chosen.shape, dtype=torch.float64, generator=generator, device=size.device).argsort(-1)
    return chosen.gather(-1, shuffle)


def parted(values: Tensor, spec: TaskSpec) -> tuple[Tensor, Tensor]:
    """What is of the support set and what of the queries, of values (T, support + queries, ...) in that order."""
    return values[:, : spec.support].contiguous(), values[:, spec.support :].contiguous()


def shots_in_words(spec: TaskSpec) -> str:
    """What a class may need for the support set."""
    return f"{spec.shots} shots" if spec.imbalance == BALANCED else f"1 to {spec.most_shots} shots"


def _counts(size: Tensor, spec: TaskSpec, generator: Generator) -> Tensor | None:
    """How many support examples each of these groups (T, ways) has; None where they are the shots."""
    counts = IMBALANCES.get(spec.imbalance)
    return None if counts is None else counts(size, spec.shots, generator)


def placed(examples: Tensor, device: torch.device) -> Tensor:
    """Examples on a device, unless they would take more than `SHARE` of the memory that is free there: then they stay
    where they are, and every meta-batch is gathered there and sent."""
    return examples.to(device) if examples.nbytes <= SHARE * free_memory(device) else examples


def free_memory(device: torch.device) -> float:
    """Bytes that are free on a GPU; elsewhere nothing has to be moved."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")
