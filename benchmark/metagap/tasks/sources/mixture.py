"""Several sources as one: every task is one of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from pydantic import Field, PositiveFloat, model_validator

from metagap import digests, registry
from metagap.errors import UserError, at
from metagap.messages import Faults, validated
from metagap.source_tables import make_source, named_table, registered_name, source_of
from metagap.tasks.images import ImageStore
from metagap.tasks.mixing import mixed_images, mixed_records
from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import RecordStore
from metagap.tasks.source import DIGITS, ImageSource, Part, Source

ALIKE = ("image_size", "channels", "normalise", "rotations_meet", "scaling", "labels")
"""Options that all sources must have in common."""


class Mixture(Source):
    """Several sources of images, or several files of examples: a task is drawn from one of them, by their weights.

    The classes of all sources lie behind one another, and no task has classes of two sources. The parts are those of
    the sources. Numbers are scaled by the training examples of all of them.
    """

    licence = "those of its sources"
    citation = "those of its sources"
    has_parts = True
    chooses_kind = True

    kind: str = Field(default="classification", description="kind of its tasks; default: that of the suite")
    sources: dict[str, dict[str, Any]] = Field(
        min_length=2,
        description="a table of sources by the names that results call them, or a list of sources, which are then "
        "called as they are registered: [{ name = 'omniglot' }, { name = 'mnist' }]",
    )
    weights: dict[str, PositiveFloat] = Field(
        default={}, description="how often tasks are drawn from a source, compared with the others; default: 1 for each"
    )

    @model_validator(mode="before")
    @classmethod
    def _resolved(cls, given: Any) -> Any:
        """The table with that of every source complete, as those of suites are."""
        if not isinstance(given, dict) or not isinstance(given.get("sources"), dict | list):
            return given
        kind, faults, found = given.get("kind", "classification"), Faults(), {}
        for name, table in sorted(_by_name(given["sources"]).items()):
            with faults:
                found[name] = _complete(table, kind, f"sources.{name}")
        if faults.messages:
            raise ValueError("\n".join(faults.messages))
        return {**given, "sources": found}

    @model_validator(mode="after")
    def _fit(self) -> Mixture:
        if unknown := [name for name in self.weights if name not in self.sources]:
            raise ValueError(
                f"weights.{unknown[0]}: no source has this name{registry.suggest(unknown[0], [*self.sources])}"
            )
        if faults := [*self._faults()]:
            raise ValueError("\n".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        """In what the sources differ that they must have in common."""
        images = {name: isinstance(source, ImageSource) for name, source in self.members.items()}
        if len({*images.values()}) > 1:
            first, second = (next(name for name, found in images.items() if found is which) for which in (True, False))
            yield f"'{first}' has images and '{second}' has none; allowed: sources of one form"
            return
        for key in ALIKE:
            values = {name: str(table[key]).lower() for name, table in self.sources.items() if key in table}
            if len({*values.values()}) > 1:
                told = ", ".join(f"{value} in '{name}'" for name, value in values.items())
                yield f"its sources do not go together: {key} is {told}; allowed: the same for all"
        held_out = [name for name, table in self.sources.items() if table.get("held_out_images")]
        if held_out and len(held_out) < len(self.sources):
            yield f"held_out_images is set for {', '.join(map(repr, held_out))} only; allowed: for all, or for none"

    @cached_property
    def members(self) -> dict[str, Any]:
        """Its sources by name, in the order of the names."""
        return {name: make_source(table) for name, table in self.sources.items()}

    @property
    def has_images(self) -> bool:
        """As its sources."""
        return all(source.has_images for source in self.members.values())

    @property
    def normalise(self) -> bool:
        """As its sources."""
        return any(source.normalise for source in self.members.values() if source.has_images)

    @property
    def trained_images(self) -> Literal["all", "train", "held-out"]:
        """As its sources."""
        return next(iter(self.members.values())).trained_images

    def stamp(self) -> Any:
        """Those of all sources."""
        return [self._of(name, lambda source: source.stamp()) for name in self.sources]

    def digest(self, classes: str = "all") -> str:
        """Of what all sources hold, and of the files of those that are plugins."""
        files = [registry.fingerprint("source", registered_name(table)) for table in self.sources.values()]
        found = [self._of(name, lambda source: source.digest(classes)) for name in self.sources]
        return digests.of_value([self.revision, [*self.sources], found, files])[:DIGITS]

    def remark(self) -> str:
        """Those of all sources."""
        said = [self._of(name, lambda source: source.remark()) for name in self.sources]
        return "; ".join(dict.fromkeys(filter(None, said)))

    def tasks(self, part: Part, device: torch.device | str) -> Any:
        """The store of this part of every source on `device`; kept by this process."""
        key = (self.model_dump_json(), repr(self.stamp()), part, str(device))
        if key not in _stores:
            if str(device) == "cpu":
                _stores[key] = self._mixed(part)
            else:
                _stores[key] = self.tasks(part, "cpu").to(device)
        return _stores[key]

    def _mixed(self, part: Part) -> ImageStore | RecordStore:
        weights = {name: self.weights.get(name, 1.0) for name in self.sources}
        stores = {name: self._of(name, lambda source: source.tasks(part, "cpu")) for name in self.sources}
        if self.has_images:
            return mixed_images(stores, weights)
        self._refuse_codes(stores)
        train = {name: self._of(name, lambda source: source.tasks(Part("train"), "cpu")) for name in self.sources}
        scaling = next(iter(self.sources.values()))["scaling"]
        return mixed_records(stores, weights).scaled(scaling, mixed_records(train, weights))

    def _refuse_codes(self, stores: Mapping[str, RecordStore]) -> None:
        """Raise UserError where a category would have other codes in one source than in another."""
        files = {(type(source), repr(source.stamp())) for source in self.members.values()}
        if len(files) > 1 and any((store.levels > 1).any() for store in stores.values()):
            raise UserError(
                "its sources do not go together: they have columns of categories, which every file numbers in its own "
                "way; allowed: sources of one file, which `domains` tells apart"
            )

    def _of(self, name: str, what: Callable[[Any], Any]) -> Any:
        """Something of a source. A UserError says of which."""
        with at(name):
            return what(self.members[name])


def _by_name(sources: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    """A table of sources, made of a list of them if need be. Raises ValueError where two of a list have one name."""
    if isinstance(sources, Mapping):
        return dict(sources)
    found: dict[str, Any] = {}
    for place, table in enumerate(sources):
        name = table.get("name") if isinstance(table, Mapping) else table
        name = name if isinstance(name, str) else f"{place}"
        if name in found:
            raise ValueError(
                f"sources: '{name}' is listed twice; allowed: a table that gives each a name of its own, such as "
                f"sources = {{ first = {{ name = '{name}' }}, second = {{ name = '{name}' }} }}"
            )
        found[name] = table
    return found


def _complete(table: Any, kind: str, place: str) -> dict[str, Any]:
    """The table of a source with all its options. Raises UserError with the place."""
    table = {"name": table} if isinstance(table, str) else table
    if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
        raise UserError(f"{place}: key 'name' is missing; allowed: {', '.join(registry.names('source'))}")
    with at(f"{place}: key 'name'"):
        source_class, options = source_of(table)
    if not issubclass(source_class, ImageSource | RecordSource):
        raise UserError(
            f"{place}: '{table['name']}' has neither images nor a file of examples, which alone can be mixed"
        )
    if source_class.chooses_kind:
        options = {"kind": kind, **options}
    source = validated(source_class, options, place)
    if source.kind != kind:
        raise UserError(f"{place}: '{table['name']}' gives {source.kind} tasks, and the others {kind}")
    return named_table(table, source)


_stores: dict[Any, Any] = {}
"""What this process has made, by options, stamps, part and device."""
