"""The environments of several cells: each different one has a letter."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

MOVING = ("date", "host")
"""What environments may differ in and still be the same."""


def distinct(environments: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that differ in more than the date and the host, the first of each."""
    found: dict[str, dict[str, Any]] = {}
    for one in environments:
        found.setdefault(_known(one), one)
    return list(found.values())


def lettered(cells: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[list[str], pd.DataFrame]:
    """The letters of each cell's environments, such as `A` or `A, B`; and a row for each environment, by its letter.

    Hosts on which all else is the same are one environment.
    """
    rows: dict[str, dict[str, Any]] = {}
    hosts: dict[str, dict[str, None]] = {}
    names = []
    for environments in cells:
        letters: dict[str, None] = {}
        for one in environments:
            row = rows.setdefault(_known(one), {"environment": _letter(len(rows)), **one})
            hosts.setdefault(row["environment"], {})[str(one.get("host", ""))] = None
            letters[row["environment"]] = None
        names.append(", ".join(letters))
    found = [{**row, "host": ", ".join(filter(None, hosts[row["environment"]]))} for row in rows.values()]
    return names, pd.DataFrame(found).drop(columns="date", errors="ignore")


def _known(environment: Mapping[str, Any]) -> str:
    return str(sorted((key, value) for key, value in environment.items() if key not in MOVING))


def _letter(position: int) -> str:
    """A, B, ..., Z, A1, B1, ..."""
    rounds, place = divmod(position, len(string.ascii_uppercase))
    return string.ascii_uppercase[place] + (str(rounds) if rounds else "")
