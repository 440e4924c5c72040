"""Sources by their tables: a registered name, what may follow it, and options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metagap import registry
from metagap.errors import UserError


def make_source(table: Mapping[str, Any]) -> Any:
    """The source that a resolved table describes."""
    source, options = source_of(table)
    return source(**options)


def registered_name(source: Mapping[str, Any]) -> str:
    """The name that a source is registered under."""
    return _apart(source["name"])[0]


def source_of(table: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The class of the source that a table names, and its options."""
    name, value = _apart(table["name"])
    found = registry.load("source", name)
    options = {key: given for key, given in table.items() if key != "name"}
    if value is None:
        return found, options
    if not found.named_by:
        raise UserError(f"'{name}' takes nothing after its name, and '{value}' follows it")
    return found, {found.named_by: value, **options}


def named_table(table: Mapping[str, Any], source: Any) -> dict[str, Any]:
    """A table of the same source with all options, of which the one that may follow its name does."""
    fixed = set() if source.chooses_kind else {"kind"}
    options, name = source.model_dump(mode="json", exclude=fixed), registered_name(table)
    if source.named_by:
        name = f"{name}:{options.pop(source.named_by)}"
    return {"name": name, **options}


def _apart(name: str) -> tuple[str, str | None]:
    """The registered name of a source, and what follows it after a colon, unless this is the name of a class."""
    first, colon, rest = name.partition(":")
    return (first, rest) if colon and first in registry.names("source") else (name, None)
