"""One suite file on top of another: what `extends = "other-suite"` makes of both, before anything is checked.

Tables are merged key by key, lists of named tables item by item, and every other value replaces the one below it.
`remove` takes away what is below. A table that names another thing (another model, source or algorithm) replaces the
whole table below, for its options are those of another thing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from metagap.errors import UserError
from metagap.registry import suggest

Table = dict[str, Any]


def merged(base: Table, own: Table, place: str) -> Table:
    """The table of a file on top of that of the file it extends; both are left as they are.

    place: what messages begin with. Raises UserError for a `remove` that does not fit.
    """
    below, remove = copy.deepcopy(base), own.get("remove", [])
    if not isinstance(remove, list) or not all(isinstance(key, str) and key for key in remove):
        raise UserError(f"{place}: key 'remove' = {remove!r}: allowed: a list of keys, such as [\"splits.EuroSAT\"]")
    for key in remove:
        _remove(below, key, f"{place}: key 'remove': '{key}'")
    return _on_top(below, {key: value for key, value in own.items() if key != "remove"}, place)


def _on_top(below: Table, own: Table, place: str) -> Table:
    both = dict(below)
    for key, value in own.items():
        both[key] = _value(below.get(key), value, f"{place}: {key}" if key == "published" else place)
    return both


def _value(below: Any, own: Any, place: str) -> Any:
    if isinstance(below, str) and isinstance(own, dict):  # a name alone stands for a table with that name
        below = {"name": below}
    if isinstance(below, dict) and isinstance(own, dict):
        another = any(key in below and own.get(key, below[key]) != below[key] for key in ("name", "algorithm"))
        return own if another else _on_top(below, own, place)
    if _is_tables(below) and _is_tables(own):
        return _items(below, own, place)
    return own


def _is_tables(value: Any) -> TypeGuard[list[Table]]:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _items(below: list[Table], own: list[Table], place: str) -> list[Table]:
    """The items below with those on top that mean the same ones merged into them, and then the further ones."""
    items = list(below)
    for table in own:
        number = _same(table, below, place)
        if number is None:
            items.append(table)
        else:
            items[number] = _on_top(items[number], table, place)
    return items


def _same(table: Table, below: Sequence[Table], place: str) -> int | None:
    """Which of the tables below is meant: the one of its name or, of published values, that of the same thing."""
    if "name" in table:
        return next((i for i, other in enumerate(below) if other.get("name") == table["name"]), None)
    about = ("algorithm", "split", "step", "metric")
    if not table.keys() & set(about):
        return None
    alike = [i for i, other in enumerate(below) if all(other.get(key) == table.get(key) for key in about)]
    if "source" in table:
        alike = [i for i in alike if below[i].get("source") == table["source"]]
    if len(alike) > 1:
        told = ", ".join(f"{key} = {table[key]!r}" for key in about if key in table)
        raise UserError(f"{place}: several values below have {told}; say which is meant by its source")
    return alike[0] if alike else None


def _remove(table: Table, key: str, place: str) -> None:
    """Take away what `key.key` leads to; an item of a list goes by its name."""
    inside: Any = table
    rest = key
    while True:
        names = dict(_names(inside))
        fitting = [name for name in names if rest == name or rest.startswith(f"{name}.")]
        if not fitting:
            raise UserError(f"{place} is not there{suggest(rest, list(names)) if names else ''}")
        name = max(fitting, key=len)  # names may have dots
        if rest == name:
            del inside[names[name]]
            return
        inside, rest = inside[names[name]], rest[len(name) + 1 :]


def _names(value: Any) -> Iterator[tuple[str, Any]]:
    """What the entries of a table, or of a list of named tables, are called, and where they are in it."""
    if isinstance(value, dict):
        yield from ((key, key) for key in value)
    elif _is_tables(value):
        yield from ((item["name"], i) for i, item in enumerate(value) if isinstance(item.get("name"), str))
