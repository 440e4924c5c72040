"""Hyper-parameters as they are written on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from metagap import registry
from metagap.errors import UserError, foreign


def make(cls: Any, changes: Sequence[str]) -> Any:
    """An instance with `key=value` changes to its defaults; None where it has fields without a default.

    Raises UserError for a key that is no field, or a value that is not allowed.
    """
    try:
        with foreign(cls.__name__, but=ValidationError):
            return cls(**table(changes))
    except ValidationError as error:
        problems = [problem for problem in error.errors() if problem["type"] != "missing"]
        if problems:
            raise UserError("\n".join(_problem_text(cls, problem) for problem in problems)) from None
        return None


def table(changes: Sequence[str]) -> dict[str, Any]:
    """`key=value` changes as a table, with values as TOML has them, or else as texts."""
    return dict(_pair(change) for change in changes)


def _pair(change: str) -> tuple[str, Any]:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set '{change}': write it as key=value, for example inner_lr=0.1")
    try:
        return key.strip(), tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), text.strip()


def _problem_text(cls: Any, problem: Any) -> str:
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"--set: unknown key '{key}'{registry.suggest(key, list(cls.model_fields))}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"--set: key '{key}' = {problem['input']!r}: {message[0].lower()}{message[1:]}"
