"""Leave one domain out: a suite file with `[leave_one_out]` as one table for each domain, and for every two."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from metagap.errors import UserError
from metagap.messages import validated
from metagap.suite.schema import LeaveOneOut
from metagap.suite.schema.evaluation import CHECKPOINT_EPISODES

HELD_OUT = "held-out"
"""What a split has as its source, that shows the domain that is held out; it is called by the name of the domain."""


def tables_without(table: Mapping[str, Any], file: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """The names of the domains that are held out, one or two of them, and the table of the suite without them.

    Raises UserError with the key, what was found and what is allowed.
    """
    rest = {key: value for key, value in table.items() if key not in ("leave_one_out", "sweep")}
    found = validated(LeaveOneOut, table["leave_one_out"], f"{file}: leave_one_out")
    sources = found.sources(_shared(rest, isinstance(found.domains, list), file))
    _check_splits(rest.get("splits"), sources, file)
    evaluation = rest.get("evaluation")
    rules = found.pairs and isinstance(evaluation, Mapping) and "checkpoints" in evaluation
    for count in (1, 2) if rules and len(sources) > 2 else (1,):
        for names in combinations(sources, count):
            one = _without(copy.deepcopy(rest), names, sources)
            yield names, one if count == 1 else _of_pair(one, names)


def _shared(table: Mapping[str, Any], needs_name: bool, file: str) -> dict[str, Any]:
    """What the sources of all domains have in common: the table [source], which may be left out."""
    source = table.get("source", {})
    source = {"name": source} if isinstance(source, str) else source
    if not isinstance(source, Mapping):
        raise UserError(f"{file}: source = {source!r}: input should be a table")
    if needs_name and "name" not in source:
        raise UserError(f"{file}: leave_one_out: a list of domains is of one file, and [source] has no key 'name'")
    return dict(source)


def _check_splits(splits: Any, sources: Mapping[str, Any], file: str) -> None:
    """Raise UserError unless one split shows the held-out domain, and none is called like a domain."""
    tables = [one for one in splits if isinstance(one, Mapping)] if isinstance(splits, Sequence) else []
    held = [one for one in tables if one.get("source") == HELD_OUT]
    if len(held) != 1:
        raise UserError(
            f"{file}: leave_one_out: {len(held)} splits have source = '{HELD_OUT}'; allowed: one, which shows the "
            "domain that is held out"
        )
    if "name" in held[0]:
        raise UserError(f"{file}: splits: the one with source = '{HELD_OUT}' is called by its domain; leave 'name' out")
    if held[0].get("role", "cross-domain") != "cross-domain":
        raise UserError(f"{file}: splits: source = '{HELD_OUT}' is for the role cross-domain, not {held[0]['role']}")
    if taken := [one["name"] for one in tables if one.get("name") in (*sources, HELD_OUT)]:
        raise UserError(
            f"{file}: splits: '{taken[0]}' is the name of a domain, or of what is held out; allowed: another"
        )


def _without(table: dict[str, Any], names: Sequence[str], sources: Mapping[str, Any]) -> dict[str, Any]:
    """The table of the suite that trains on all domains but these, and shows each of them in a split."""
    trained = {name: source for name, source in sources.items() if name not in names}
    splits: list[Any] = []
    for split in table["splits"]:
        if isinstance(split, dict) and split.get("source") == HELD_OUT:
            splits += [{"role": "cross-domain", **split, "name": name, "source": sources[name]} for name in names]
        else:
            splits.append(split)
    evaluation = table.get("evaluation")
    if isinstance(evaluation, dict) and isinstance(shown := evaluation.get("checkpoint_splits"), list):
        evaluation["checkpoint_splits"] = [one for name in shown for one in (names if name == HELD_OUT else [name])]
    source = {"name": "mixture", "sources": trained} if len(trained) > 1 else next(iter(trained.values()))
    return {**table, "source": source, "splits": splits}


def _of_pair(table: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The same with nothing but what is to be known of two domains: their scores along training."""
    dropped = ("checkpoint_splits", "quantities", "quantity_episodes")
    evaluation = {key: value for key, value in table["evaluation"].items() if key not in dropped}
    evaluation |= {"episodes": evaluation.get("checkpoint_episodes", CHECKPOINT_EPISODES), "diagnostics": []}
    rest = {key: value for key, value in table.items() if key not in ("published", "reference", "responses")}
    splits = [split for split in table["splits"] if isinstance(split, dict) and split.get("name") in names]
    return {**rest, "evaluation": evaluation, "splits": splits}
