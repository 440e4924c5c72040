"""Files that are several suites: `[sweep]` gives a key several values, `[leave_one_out]` holds each domain out."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from metagap import registry
from metagap.errors import UserError
from metagap.files import SUITES
from metagap.messages import Faults, validated
from metagap.suite.cell import Cell, digest, expand
from metagap.suite.edit import put
from metagap.suite.leave_one_out import tables_without
from metagap.suite.resolve import place_of, resolve, resolve_changed, with_changes
from metagap.suite.schema import Axis, Entry, Suite
from metagap.suite.variants import variation, with_choices

ROOTS = ("task", "model", "source", "training", "evaluation", "algorithms")
"""The tables whose keys may be swept."""
MOST = 2
"""Keys of a sweep."""

Values = tuple[Any, ...]
"""A number for each key of a sweep; or the names of the domains that are held out, one or two of them."""


class Member(NamedTuple):
    """One suite of a sweep, and the values that make it."""

    values: Values
    suite: Suite


@dataclass(frozen=True)
class Sweep:
    """The suites of a sweep, by the values of the first key and then of the second, the least first; or those without
    each domain, and then those without every two."""

    axes: tuple[Axis, ...]
    """None where domains are held out."""
    members: tuple[Member, ...]

    @property
    def first(self) -> Suite:
        """The suite of the least values; all have its name, title, algorithms and splits."""
        return self.members[0].suite

    @property
    def over(self) -> str:
        """What its members are, in a few words."""
        held_out = [len(member.values) for member in self.members]
        pairs = f", and {held_out.count(2)} pairs of them" if 2 in held_out else ""
        values = [f"{len(axis.values)} values of {axis.key}" for axis in self.axes]
        return " and ".join(values) or f"each of {held_out.count(1)} domains held out{pairs}"

    @cached_property
    def cells(self) -> list[list[Cell]]:
        """The cells of each member."""
        return [expand(member.suite) for member in self.members]

    def said(self, member: Member) -> str:
        """The values of a member: `source.train_classes = 5`."""
        return said(self.axes, member.values)

    def with_choices(
        self,
        algorithms: Sequence[str] = (),
        seeds: Sequence[int] = (),
        iterations: int | None = None,
        budget: float = 1.0,
    ) -> Sweep:
        """The sweep with these algorithms, seeds and outer steps instead of its own, and with a share of all outer
        steps; what is not given stays."""
        swept = [axis.key for axis in self.axes if axis.key.endswith("training.iterations")]
        if swept and (iterations is not None or budget != 1):
            option = "--budget" if iterations is None else f"--iterations {iterations}"
            raise UserError(f"{option}: the sweep is over {swept[0]}; --set sweep.values=[...] has these")
        choices = algorithms, seeds, iterations, budget
        chosen = (member._replace(suite=with_choices(member.suite, *choices)) for member in self.members)
        return replace(self, members=_needed(chosen) if not self.axes else tuple(chosen))

    def variation(self, written: Sweep | None) -> str:
        """What a changed sweep is known by, next to the one that its file describes (None: its file has none); empty
        where both are the same."""
        firsts = [cells[0] for cells in self.cells]
        if written is not None and written.axes == self.axes:
            pairs = zip(firsts, written.members, strict=True)
            changed = [variation(cell, member.suite) for cell, member in pairs]
        else:
            changed = [cell.variant for cell in firsts]
        return digest([[axis.model_dump() for axis in self.axes], changed]) if any(changed) else ""


def said(axes: Sequence[Axis], values: Values) -> str:
    """Keys with their values, `source.train_classes = 5, training.lr = 0.01`; or the domains held out: `without A`."""
    if not axes:
        return f"without {' and '.join(values)}"
    return ", ".join(f"{axis.key} = {value}" for axis, value in zip(axes, values, strict=True))


def waves(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells without those that are the same twice, in parts that can be computed at the same time.

    Cells of one folder differ in how they are scored, and only one of them at a time can have it.
    """
    once: dict[tuple[str, int, str, str], Cell] = {}
    for cell in cells:
        once.setdefault((cell.label, cell.seed, cell.hash, cell.variant), cell)
    met: Counter[tuple[str, int, str]] = Counter()
    parts: list[list[Cell]] = []
    for cell in once.values():
        folder = (cell.label, cell.seed, cell.hash)
        parts += [[]] * (met[folder] == len(parts))
        parts[met[folder]] = [*parts[met[folder]], cell]
        met[folder] += 1
    return parts


def load_sweep(name_or_path: str, changes: Sequence[str] = ()) -> Sweep | None:
    """The sweep of a suite by built-in name or by path, with changes `key.key=value` made first; None: it has none.

    Raises UserError with the file, the key, the value and what is allowed.
    """
    path = SUITES.path(name_or_path)
    return _changed_sweep(SUITES.read(path), path, changes)


def load_chosen(name_or_path: str, changes: Sequence[str] = ()) -> tuple[Suite, Suite] | tuple[Sweep, Sweep | None]:
    """What is to be run, a suite or a sweep, with changes, and as its file has it; the file is read once.

    None for the second where the file has no sweep, but the changes make one. Raises as `load_sweep`.
    """
    path = SUITES.path(name_or_path)
    table = SUITES.read(path)
    sweep = _changed_sweep(table, path, changes)
    return resolve_changed(table, path, changes) if sweep is None else (sweep, _changed_sweep(table, path))


def _changed_sweep(read: Mapping[str, Any], path: Path, changes: Sequence[str] = ()) -> Sweep | None:
    table = with_changes(read, changes)
    if table.get("leave_one_out"):
        return _each_held_out(table, path)
    if not table.get("sweep"):
        return None
    for key, change in ((axis, change) for axis in _keys(table["sweep"]) for change in changes):
        if change.partition("=")[0].strip() == key:
            raise UserError(f"--set '{change}': the sweep is over this key; --set sweep.values=[...] has its values")
    return sweep_of(table, path)


def sweep_of(table: Mapping[str, Any], path: Path) -> Sweep:
    """The sweep of a table read from `path`."""
    file, rest = place_of(table, path), {key: value for key, value in table.items() if key != "sweep"}
    axes = _axes(table["sweep"], file)
    for axis in axes:
        _check_key(axis, rest, f"{file}: sweep: key '{axis.key}'")

    def tables() -> Iterator[tuple[Values, Callable[[], dict[str, Any]]]]:
        for values in product(*(axis.values for axis in axes)):
            yield values, partial(_changed, rest, axes, values, file)

    return Sweep(axes, _members(tables(), axes, path, f"{file}: sweep"))


def _each_held_out(table: Mapping[str, Any], path: Path) -> Sweep:
    """The suites without each domain, and without every two, of a table read from `path`."""
    file = place_of(table, path)
    if table.get("sweep"):
        raise UserError(f"{file}: there are both [sweep] and [leave_one_out]; allowed: one of them")
    tables = ((names, partial(dict, one)) for names, one in tables_without(table, file))
    return Sweep((), _needed(_members(tables, (), path, f"{file}: leave_one_out")))


def _needed(members: Iterable[Member]) -> tuple[Member, ...]:
    """The members; of those that hold two domains out the algorithms that train, for the others have no iteration that
    could be selected."""
    kept: list[Member] = []
    for values, suite in members:
        if len(values) > 1:
            entries = suite.algorithms.items()
            trained = {label: one for label, one in entries if registry.load("algorithm", one.algorithm).trains}
            suite = suite.model_copy(update={"algorithms": trained})
        if any(not entry.on_request for entry in suite.algorithms.values()) or len(values) == 1:
            kept.append(Member(values, suite))
    return tuple(kept)


def _changed(rest: Mapping[str, Any], axes: Sequence[Axis], values: Values, file: str) -> dict[str, Any]:
    """The table of a member of a sweep."""
    changed = copy.deepcopy(dict(rest))
    for axis, value in zip(axes, values, strict=True):
        for keys in _places(axis.key, rest):
            put(changed, keys, value, f"{file}: sweep: key '{axis.key}'")
    return changed


def _members(
    tables: Iterable[tuple[Values, Callable[[], dict[str, Any]]]], axes: Sequence[Axis], path: Path, place: str
) -> tuple[Member, ...]:
    """The suites of these tables. Raises UserError with what is wrong with any of them."""
    members: list[Member] = []
    told: dict[Values, list[str]] = {}
    for values, table in tables:
        try:
            members.append(Member(values, resolve(table(), path)))
        except UserError as error:
            told[values] = str(error).splitlines()
    if told:
        raise UserError("\n".join(_faults(axes, told, len(members), place)))
    return tuple(members)


def _faults(axes: Sequence[Axis], told: Mapping[Values, list[str]], sound: int, place: str) -> Iterator[str]:
    """What is wrong with members: once what is wrong with all of them, and with its values what is not."""
    lines = list(dict.fromkeys(line for lines in told.values() for line in lines))
    file = place.rpartition(": ")[0]
    common = [line for line in lines if not sound and all(line in of_one for of_one in told.values())]
    yield from common
    for values, of_one in told.items():
        for line in of_one:
            if line not in common:
                yield f"{place}: {said(axes, values)}: {line.removeprefix(f'{file}: ')}"


def _axes(tables: Any, file: str) -> tuple[Axis, ...]:
    """The keys of `[sweep]`, or of each `[[sweep]]`."""
    several = tables if isinstance(tables, list) else [tables]
    if not all(isinstance(one, dict) for one in several):
        raise UserError(f"{file}: sweep = {tables!r}: write a table [sweep] with key and values, or two [[sweep]]")
    if len(several) > MOST:
        raise UserError(f"{file}: {len(several)} tables [[sweep]]; allowed: one key, or two that make a grid")
    faults, axes = Faults(), []
    for number, one in enumerate(several):
        with faults:
            axes.append(validated(Axis, one, f"{file}: sweep" + (f".{number}" if len(several) > 1 else "")))
    faults.close()
    if len({axis.key for axis in axes}) < len(axes):
        raise UserError(f"{file}: sweep: key '{axes[0].key}' is swept twice")
    return tuple(axes)


def _keys(tables: Any) -> list[Any]:
    several = tables if isinstance(tables, list) else [tables]
    return [one.get("key") for one in several if isinstance(one, dict)]


def _check_key(axis: Axis, table: Mapping[str, Any], place: str) -> None:
    """Raise UserError for a key that is none of those that may be swept."""
    root, *below = axis.key.split(".")
    if root not in ROOTS or not all(below):
        raise UserError(f"{place}: may not be swept; allowed: keys below {', '.join(ROOTS)}")
    if len(below) < (2 if root == "algorithms" else 1):
        raise UserError(
            f"{place}: is a table; name a key in it, such as source.train_classes or algorithms.maml.inner_lr"
        )
    if root != "algorithms":
        return
    entries = table.get("algorithms")
    if not isinstance(entries, dict):
        return  # which is reported where the suite is checked
    if below[0] != "*" and below[0] not in entries:
        raise UserError(f"{place}: no algorithm '{below[0]}'{registry.suggest(below[0], ['*', *entries])}")
    if not _places(axis.key, table):
        raise UserError(f"{place}: no algorithm of this suite has the key '{below[1]}'")


def _places(key: str, table: Mapping[str, Any]) -> list[list[str]]:
    """The places in the table of a suite that a swept key means: several for `algorithms.*.KEY`."""
    keys = key.split(".")
    if keys[:2] != ["algorithms", "*"]:
        return [keys]
    entries = table.get("algorithms")
    found = entries.items() if isinstance(entries, dict) else ()
    return [["algorithms", label, *keys[2:]] for label, entry in found if _has(label, entry, keys[2])]


def _has(label: str, entry: Any, key: str) -> bool:
    """Whether an algorithm has a setting. Of one that there is not, whatever is said elsewhere."""
    if key in Entry.model_fields:
        return key in ("training", "evaluation")
    try:
        return key in registry.load("algorithm", entry.get("algorithm", label)).model_fields
    except (UserError, AttributeError):
        return False
