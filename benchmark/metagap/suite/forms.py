"""From splits with lists of ways or shots to one split for each form, before a suite's table is checked."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

LISTED = {"ways": "-way", "shots": "-shot"}
"""The keys that may be lists, and how their values are said in the name of a split."""


def with_forms(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with a split for each combination of ways and shots, called by the name of the split and its own."""
    splits = table.get("splits")
    if not isinstance(splits, list):
        return dict(table)  # what is wrong with it is said where it is checked
    return {**table, "splits": [one for split in splits for one in _forms(split)]}


def _forms(split: Any) -> Iterator[Any]:
    lists = {key: split[key] for key in LISTED if isinstance(split.get(key), list)} if isinstance(split, dict) else {}
    if not lists or not all(lists.values()):
        yield split
        return
    for values in product(*lists.values()):
        own = dict(zip(lists, values, strict=True))
        name = " ".join([str(split.get("name", "")), *(f"{value}{LISTED[key]}" for key, value in own.items())])
        yield {**copy.deepcopy(split), **own, "name": name.strip()}
