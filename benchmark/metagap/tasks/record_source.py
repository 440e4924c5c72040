"""What all sources that read a file of examples have in common: parts, domains, times, scaling and labels."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import AfterValidator, Field

from metagap import digests, registry
from metagap.errors import UserError
from metagap.tasks.folders import stamp
from metagap.tasks.records import Records, RecordStore
from metagap.tasks.scaling import FORECASTS, Mode
from metagap.tasks.source import DIGITS, Part, Seed, Source, named_files

PARTS = ("train", "val", "test")


def _date(value: str) -> str:
    try:
        np.datetime64(value)
        absolute = not value or value[0].isdigit()  # numpy knows "today", too
    except ValueError:
        absolute = False
    if not absolute:
        raise ValueError("is no date; allowed: one such as '2020-01-31' or '2020-01-31T12:00', or ''")
    return value


def _shares(value: tuple[float, float, float]) -> tuple[float, float, float]:
    if min(value) < 0 or sum(value) <= 0:
        raise ValueError("no share may be below 0, and one has to be above it")
    return value


Date = Annotated[str, AfterValidator(_date)]


class RecordSource(Source):
    """A source that reads examples from files: a subclass declares what names them as options, and gives the records.

    Tasks are those of the file, where its records say which task each example belongs to; otherwise they are made of
    the classes, as few-shot tasks are. What is split into the parts train, val and test are tasks or classes, too.
    """

    allows_missing: ClassVar[bool] = False
    """Whether values may be missing (NaN): they are 0 after scaling."""
    has_parts = True
    chooses_kind = True

    kind: Literal["classification", "regression"] = Field(
        default="classification", description="kind of its tasks; default: that of the suite"
    )
    train: list[str] = Field(default=[], description="tasks or classes of the part train, by name")
    val: list[str] = Field(default=[], description="those of the part val")
    test: list[str] = Field(default=[], description="those of the part test")
    shares: Annotated[tuple[float, float, float], AfterValidator(_shares)] = Field(
        default=(0.6, 0.2, 0.2),
        description="shares of train, val and test among the tasks or classes that no part names; a part that names "
        "some has no share",
    )
    split_seed: Seed = Field(default=0, description="seed of the shuffle into parts")
    domains: list[str] = Field(default=[], description="use the examples of these domains only")
    before: Date = Field(default="", description="use the examples from before this date only")
    after: Date = Field(default="", description="use the examples from this date on only")
    scaling: Mode = Field(
        default="train",
        description="as the suite's source: numbers get mean 0 and standard deviation 1 over the examples of the part "
        "train of the suite's source, targets too; support: over each support set, targets if they are forecasts; "
        "none: all stay as they are",
    )
    labels: Literal["shuffled", "fixed"] = Field(
        default="shuffled",
        description="as the suite's source: a class has another label in every task, or class k is always label k",
    )

    @abstractmethod
    def records(self) -> Records:
        """All examples of the file. Raises UserError where it is missing or unfit, naming file, key and value."""

    @property
    def called(self) -> str:
        """What messages call it."""
        return type(self).__name__

    def stamp(self) -> Any:
        """That of every file that options name."""
        return [stamp(path) for path in named_files(self)]

    def digest(self, classes: str = "all") -> str:
        """Of the examples of these tasks or classes, and of all names, wherever their file lies."""
        store = self._part(classes, "cpu")
        rows, names = store.rows, [self.revision, store.units, store.classes, store.features, store.levels.tolist()]
        if store.forecasts and self.scaling == "support":
            names.append(FORECASTS)
        found = hashlib.sha256(digests.of_value(names).encode())
        groups = [store.size, store.label, *([] if store.task is None else [store.task])]
        for values in (*groups, store.x[rows], *([] if store.y is None else [store.y[rows]])):
            found.update(values.numpy().data)
        return found.hexdigest()[:DIGITS]

    def tasks(self, part: Part, device: torch.device | str) -> RecordStore:
        """The store of this part on `device`."""
        self.check_part(part, [*PARTS, "all"])
        return self._part(part.classes, device)

    def remark(self) -> str:
        """How the file was read, and what of it is in no part."""
        (records, names), parts = self._read(), self.parts()
        left = len(names) - sum(map(len, parts.values()))
        none = [f"{left} of {len(names)} names are in none of train, val and test"] if left else []
        notes = [*records.notes, *none]
        return f"{self.called}: {'; '.join(notes)}" if notes else ""

    def parts(self) -> dict[str, list[str]]:
        """The tasks or classes of each part, by name. They depend on the names that are in the file alone.

        Raises UserError for one that is named and not there, or named twice.
        """
        names = self._read().units
        order = {name: place for place, name in enumerate(names)}
        listed = self.named_parts()
        taken: dict[str, str] = {}
        for part, name in [(part, name) for part, wanted in listed.items() for name in wanted]:
            if name not in order:
                hint = registry.suggest(name, list(names))
                raise UserError(f"{self.called}: {part}: nothing is called '{name}'{hint}")
            if name in taken:
                raise UserError(f"{self.called}: '{name}' is in {taken[name]} and in {part}; allowed: once")
            taken[name] = part
        shares = [0.0 if listed[part] else share for part, share in zip(PARTS, self.shares, strict=True)]
        # In the order of a hash, so that a new name moves few of the others.
        free = sorted(order.keys() - taken.keys(), key=lambda name: digests.number(f"part {self.split_seed} {name}"))
        if sum(shares) > 0:
            ends = np.rint(np.cumsum([0.0, *shares]) / sum(shares) * len(free)).astype(int).tolist()
            for part, first, last in zip(PARTS, ends[:-1], ends[1:], strict=True):
                listed[part] = [*listed[part], *free[first:last]]
        return {part: sorted(found, key=order.__getitem__) for part, found in listed.items()}

    def named_parts(self) -> dict[str, list[str]]:
        """The tasks or classes that each part names."""
        return {part: getattr(self, part) for part in PARTS}

    def _part(self, part: str, device: torch.device | str) -> RecordStore:
        """The store of a part, with the scaling of the part train. Raises UserError where nothing is in it."""
        store = self._store(device)
        here = dict.fromkeys(_here(store))
        chosen = list(here) if part == "all" else [name for name in self.parts()[part] if name in here]
        if not chosen:
            what = "tasks" if store.of_file else "classes"
            raise UserError(
                f"{self.called}: no {what} in part {part}, of {len(here)} that are there; set train, val and test to "
                f"lists of {what}, or other shares or another split_seed"
            )
        return store.only(chosen)

    def _store(self, device: torch.device | str) -> RecordStore:
        """All examples of these domains and times, scaled by those of the part train; kept by this process."""
        key = (type(self), self.model_dump_json(), repr(self.stamp()), str(device))
        if key not in _stores:
            if str(device) == "cpu":
                store = RecordStore.of(self._chosen(self._read().records), self.labels == "fixed")
                here = set(_here(store))
                training = [name for name in self.parts()["train"] if name in here]
                _stores[key] = store.scaled(self.scaling, store.only(training or sorted(here)))
            else:
                _stores[key] = self._store("cpu").to(device)
        return _stores[key]

    def _read(self) -> _Known:
        """The records, checked; read once by this process as long as options and files stay."""
        shared = set(RecordSource.model_fields) - {"kind"}
        key = (type(self), self.model_dump_json(exclude=shared), repr(self.stamp()))
        if key not in _known:
            records = Records(*self.records())
            if fault := "; ".join(self._faults(records)):
                raise UserError(f"{self.called}: {fault}")
            names = records.classes if records.task is None else np.unique(records.task.astype(str)).tolist()
            _known[key] = _Known(records, tuple(map(str, names)))
        return _known[key]

    def _faults(self, records: Records) -> Iterator[str]:
        """What is wrong with records, whoever read them."""
        x, y, n = records.x, records.y, len(records.x)
        if x.dtype.kind != "f" or x.ndim < 2 or not x.size:
            yield f"its examples are {x.dtype} {x.shape}; allowed: floats (n, features, ...), of which there are some"
            return
        for name in ("y", "task", "domain", "time"):
            if (values := getattr(records, name)) is not None and len(values) != n:
                yield f"there are {n} examples and {len(values)} of {name}"
        if records.levels is not None and len(records.levels) != x.shape[1]:
            yield f"there are {x.shape[1]} features and {len(records.levels)} levels"
        if infinite := int(np.isinf(x).sum()):
            yield f"{infinite} values are infinite"
        if (missing := int(np.isnan(x).sum())) and not self.allows_missing:
            yield f"{missing} values are missing (NaN)"
        if self.kind == "classification":
            if len(records.classes) < 2:
                yield f"classification needs two classes or more, and there are {len(records.classes)}"
            elif y.ndim != 1 or y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= len(records.classes):
                yield f"its classes are {y.dtype} {y.shape}; allowed: 0..{len(records.classes) - 1} of each example"
            return
        if records.task is None:
            yield "regression needs to know which task each example belongs to"
        if y.ndim != 2 or y.dtype.kind != "f" or not y.shape[1]:
            yield f"its targets are {y.dtype} {y.shape}; allowed: floats (n, targets)"
        elif bad := int((~np.isfinite(y)).sum()):
            yield f"{bad} targets are missing or infinite"

    def _chosen(self, records: Records) -> Records:
        """The records of these domains and times. Raises UserError where there are none, or nothing says of which."""
        kept = np.ones(len(records.x), bool)
        if self.domains:
            if records.domain is None:
                raise UserError(f"{self.called}: domains = {self.domains}: nothing says of which domain an example is")
            domain = records.domain.astype(str)
            known = np.unique(domain).tolist()
            for name in self.domains:
                if name not in known:
                    raise UserError(f"{self.called}: domains: no domain '{name}'{registry.suggest(name, known)}")
            kept &= np.isin(domain, self.domains)
        for key, limit in (("before", self.before), ("after", self.after)):
            if not limit:
                continue
            if records.time is None:
                raise UserError(f"{self.called}: {key} = '{limit}': nothing says when an example was taken")
            date = np.datetime64(limit)
            kept &= (records.time < date) if key == "before" else (records.time >= date)
        if not kept.any():
            keys = {key: value for key in ("domains", "before", "after") if (value := getattr(self, key))}
            times = [] if records.time is None else [f"from {records.time.min()} to {records.time.max()}"]
            there = "; ".join([f"there are {len(kept)} examples", *times])
            raise UserError(f"{self.called}: no example is left by {keys}; {there}")
        if kept.all():
            return records
        about = {name: values[kept] for name in ("x", "y", "task") if (values := getattr(records, name)) is not None}
        return records._replace(**about)


class _Known(NamedTuple):
    """Records that were read, and the names of what parts are made of."""

    records: Records
    units: tuple[str, ...]


def _here(store: RecordStore) -> list[str]:
    """The tasks or classes of which there are examples, in order."""
    own = store.label if store.task is None else store.task
    return [store.units[place] for place in own.unique().tolist()]


_known: dict[Any, _Known] = {}
_stores: dict[Any, RecordStore] = {}
"""What this process has read and made, by class, options, stamps and device."""
