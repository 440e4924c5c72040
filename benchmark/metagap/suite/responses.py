"""From `[[responses]]` of a suite's table to the splits that they stand for, before the table is checked."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from metagap import registry
from metagap.errors import UserError
from metagap.messages import Faults, validated
from metagap.suite.schema.response import SHIFTED, Response

KEPT = ("source", "classes", "images", "ways", "shots", "queries", "imbalance", "optional")
"""The keys of a split that its shifted ones have from it."""


def with_responses(table: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The table with the splits of its responses instead of the responses. file: what messages call it."""
    whole = {key: value for key, value in table.items() if key != "responses"}
    rows, splits = table.get("responses") or [], table.get("splits")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{file}: key 'responses' = {rows!r:.80}; allowed: tables, each below [[responses]]")
    if not rows or not isinstance(splits, list) or not all(isinstance(split, dict) for split in splits):
        return whole  # what is wrong with the splits is said where they are checked
    faults, made, known = Faults(), [], set()
    for i, row in enumerate(rows):
        with faults:
            place = f"{file}: responses.{row.get('name', i)}"
            response = validated(Response, row, place)
            if response.name in known:
                raise UserError(f"{place}: two responses have this name")
            known.add(response.name)
            made += _splits(response, splits, table.get("source"), place)
    faults.close()
    return {**whole, "splits": [*splits, *made]}


def _splits(response: Response, splits: list[dict[str, Any]], source: Any, place: str) -> Iterator[dict[str, Any]]:
    """The splits that a response stands for. source: the suite's."""
    reference = _reference(response, splits, place)
    same = {key: copy.deepcopy(reference[key]) for key in KEPT if key in reference}
    for strength, value in response.doses:
        dose = {"of": response.name, "strength": strength, "reference": reference["name"], "neutral": response.neutral}
        split = {**same, "name": f"{response.name} {strength:g}", "role": SHIFTED, "dose": dose}
        if response.episodes is not None:
            split["episodes"] = response.episodes
        if response.shift is not None:
            split["shift"] = {"kind": response.shift, "severity": value}
        elif response.key is not None:
            own = copy.deepcopy(same.get("source", source))
            own = {"name": own} if isinstance(own, str) else own
            if isinstance(own, dict):  # else the source itself is at fault
                split["source"] = {**own, response.key.removeprefix("source."): value}
        yield split


def _reference(response: Response, splits: list[dict[str, Any]], place: str) -> dict[str, Any]:
    """The split that is shifted."""
    named = {split["name"]: split for split in splits if isinstance(split.get("name"), str)}
    if response.reference is not None:
        if response.reference not in named:
            hint = registry.suggest(response.reference, list(named))
            raise UserError(f"{place}: key 'reference' = '{response.reference}': there is no such split{hint}")
        return named[response.reference]
    first = next((split for split in named.values() if split.get("role") == "in-distribution"), None)
    if first is None:
        raise UserError(f"{place}: there is no in-distribution split; key 'reference' names the one that is shifted")
    return first
