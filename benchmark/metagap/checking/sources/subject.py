"""The source under examination: its parts, the form of its tasks, and a few of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metagap import kinds
from metagap.checking.findings import Note
from metagap.errors import UserError
from metagap.messages import validated
from metagap.source_tables import source_of
from metagap.tasks.episode import Episode, TaskSpec, formed
from metagap.tasks.groups import Grouped
from metagap.tasks.sampling import Drawn, Sampler
from metagap.tasks.source import Part, Source

PARTS = ("train", "val", "test", "all")
OWN_PARTS = PARTS[:3]
MOST_WAYS, SHOTS, QUERIES, POINTS = 5, 1, 5, 5
"""The form of tasks where nobody asks for another one; without ways, support and queries are as many points."""
NUMBERS = 2**22
"""Of the examples that are looked at in a part, about so many."""
TASKS = (4, 64)
"""So many tasks at least, and at most."""


@dataclass
class Subject:
    """A source, and what its examinations so far have found out about it."""

    table: Mapping[str, Any]
    """As a suite has it: `name` and options."""
    source: Source
    form: dict[str, int]
    """The ways, shots and queries that are asked for; what is not named is chosen."""
    refusals: dict[str, str] = field(default_factory=dict)
    """What the source says of each part that it does not give."""

    @classmethod
    def of(cls, table: Mapping[str, Any], form: Mapping[str, int]) -> Subject:
        """That of a table. Raises UserError where an option is not allowed, or one is missing."""
        made, options = source_of(table)
        source = validated(made, options, f"source '{table['name']}'")
        kind = kinds.find(source.kind)
        ways = form.get("ways", kind.least_ways)
        if fault := kind.fault_of_ways(ways):
            raise UserError(f"ways = {ways}: {fault}")
        return cls(table, source, dict(form))

    @cached_property
    def parts(self) -> dict[str, Any]:
        """The tasks of each part that the source gives, on the CPU."""
        found = {}
        for part in PARTS:
            try:
                found[part] = self.source.tasks(Part(part), "cpu")
            except UserError as refusal:
                self.refusals[part] = f"{refusal}"
        return found

    @property
    def own_parts(self) -> dict[str, Any]:
        """The parts that share no class, or else whatever there is."""
        return {part: tasks for part, tasks in self.parts.items() if part in OWN_PARTS} or self.parts

    @cached_property
    def spec(self) -> TaskSpec:
        """The form of the tasks: what is asked for, or the most ways up to 5 that every part can draw."""
        kind, form = kinds.find(self.source.kind), self.form
        shots, queries = (SHOTS, QUERIES) if kind.has_ways else (POINTS, POINTS)
        most = form.get("ways", MOST_WAYS if kind.has_ways else 1)
        least = most if "ways" in form else kind.least_ways
        specs = [
            TaskSpec(kind, ways, form.get("shots", shots), form.get("queries", queries))
            for ways in range(most, least - 1, -1)
        ]
        return next((spec for spec in specs if not self.too_small(spec)), specs[-1])

    def too_small(self, spec: TaskSpec) -> dict[str, str]:
        """What the source says of each part that cannot draw such tasks."""
        found = {}
        for part, tasks in self.own_parts.items():
            try:
                tasks.draw(1, formed(tasks, spec, 1), torch.Generator().manual_seed(0))
            except UserError as refusal:
                found[part] = f"{refusal}"
        return found

    @cached_property
    def drawable(self) -> dict[str, Any]:
        """The parts that have tasks of this form; raises Note where there are none."""
        small = self.too_small(self.spec)
        found = {part: tasks for part, tasks in self.own_parts.items() if part not in small}
        if not found:
            raise Note("not examined, for no part has such tasks")
        return found

    def sampler(self, part: str, seed: int = 0) -> Sampler:
        """Of the tasks of a part."""
        tasks = self.drawable[part]
        return Sampler(tasks, formed(tasks, self.spec, 1), seed)

    @cached_property
    def seen(self) -> dict[str, Seen]:
        """A few tasks of each part."""
        return {part: self._seen(part) for part in self.drawable}

    def _seen(self, part: str) -> Seen:
        sampler = self.sampler(part)
        spec = sampler.spec
        of_task = spec.ways * (spec.stages * spec.shots + spec.queries) * int(np.prod(sampler.tasks.x_shape))
        drawn = sampler.draw(min(max(NUMBERS // of_task, TASKS[0]), TASKS[1]))
        return Seen(drawn, sampler.tasks.episode(drawn.draw, spec))

    @property
    def acts(self) -> bool:
        """Whether its tasks answer back, so that an example is a rollout to be."""
        return self.spec.kind.acts

    def names(self, part: str) -> tuple[str, ...] | None:
        """What the classes or tasks of a part are called; None where nothing says it."""
        tasks = self.parts[part]
        found = getattr(tasks, "units", None) or getattr(tasks, "names", None)
        return tuple(found) if isinstance(tasks, Grouped) and found is not None else None


@dataclass(frozen=True)
class Seen:
    """Some tasks of a part: what was drawn, and their data."""

    drawn: Drawn
    episode: Episode

    @property
    def inputs(self) -> Tensor:
        """All examples, (n, ...), in double precision."""
        return torch.cat([self.episode.support_x, self.episode.query_x], 1).flatten(0, 1).double()

    @property
    def targets(self) -> Tensor:
        """Those of all examples, (n, ...), in double precision."""
        return torch.cat([self.episode.support_y, self.episode.query_y], 1).flatten(0, 1).double()

    @cached_property
    def examples(self) -> tuple[np.ndarray, np.ndarray]:
        """A number for each different example with its target: of supports (T, n) and of queries (T, m)."""
        support, query = (
            np.concatenate([_bytes(x), _bytes(y)], -1)
            for x, y in (
                (self.episode.support_x, self.episode.support_y),
                (self.episode.query_x, self.episode.query_y),
            )
        )
        both = np.concatenate([support, query], 1)
        _, number = np.unique(both.reshape(-1, both.shape[-1]).view(f"V{both.shape[-1]}"), return_inverse=True)
        number = number.reshape(both.shape[:2])
        return number[:, : support.shape[1]], number[:, support.shape[1] :]

    @cached_property
    def contents(self) -> set[bytes]:
        """The different examples, by their bytes."""
        return {row.tobytes() for row in self.inputs.float().numpy()}


def _bytes(values: Tensor) -> np.ndarray:
    """(T, n, ...) as the bytes of each example, (T, n, size)."""
    array = np.ascontiguousarray(values.cpu().numpy())
    return array.view(np.uint8).reshape(*array.shape[:2], -1)
