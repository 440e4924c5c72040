"""Changes to the table of a suite before it is checked: `--set KEY=VALUE`."""

from __future__ import annotations

import tomllib
from typing import Any

from metagap import registry
from metagap.errors import UserError


def set_key(table: dict[str, Any], change: str) -> None:
    """Make one `--set key.key=value` change in a suite's table; a list of named tables is entered by name or number."""
    keys, equals, text = change.partition("=")
    if not equals or not keys.strip():
        raise UserError(f"--set '{change}': write it as key=value, for example training.lr=0.01")
    if keys.strip() in ("extends", "remove"):
        raise UserError(f"--set '{change}': key '{keys.strip()}' is for files: write one that extends another")
    put(table, [key.strip() for key in keys.split(".")], value_of(text), f"--set '{change}'")


def value_of(text: str) -> Any:
    """What was meant by a value on the command line: one of TOML, or the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def put(table: dict[str, Any], keys: list[str], value: Any, said: str) -> None:
    """Put a value into the table of a suite, where `keys` lead to. said: what messages begin with."""
    place: Any = table
    *parents, last = keys
    for key in parents:
        if isinstance(place, list):
            named = {str(item.get("name", i)): item for i, item in enumerate(place)} | dict(
                zip(map(str, range(len(place))), place, strict=True)
            )
            if key not in named:
                raise UserError(f"{said}: no '{key}' there{registry.suggest(key, list(named))}")
            place = named[key]
        else:
            if isinstance(place.get(key), str):  # a name alone stands for a table with that name
                place[key] = {"name": place[key]}
            place = place.setdefault(key, {})
        if not isinstance(place, dict | list):
            raise UserError(f"{said}: '{key}' is a value and has no keys")
    if isinstance(place, list):
        raise UserError(f"{said}: name the item of the list and a key in it")
    place[last] = value
