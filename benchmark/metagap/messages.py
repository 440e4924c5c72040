"""What is said of a table that is not as it should be: the place, the key, what was found, what is allowed."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from metagap import registry
from metagap.errors import UserError, foreign


class Faults:
    """Collects the messages of UserErrors: each ends the `with` block that it is raised in, and no more than that."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, UserError):
            self.messages.append(str(error))
        return isinstance(error, UserError)

    def close(self) -> None:
        """Raise one UserError with all of them, if there are any."""
        if self.messages:
            raise UserError("\n".join(dict.fromkeys(self.messages)))


def validated(model: Any, table: Mapping[str, Any], place: str) -> Any:
    """The model made from a table; raises UserError with the place, the key, what was found and what is allowed."""
    try:
        with foreign(f"{place}: {model.__name__}", but=ValidationError):
            # As JSON, whose types are TOML's: nothing is converted, but a list may be a tuple, a whole number a float.
            return model.model_validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        problems: dict[tuple[Any, ...], list[Any]] = {}
        for problem in error.errors():
            problems.setdefault(_keys(problem, table), []).append(problem)
        told = [_explain(model, keys, several, place) for keys, several in problems.items()]
        raise UserError("\n".join(told)) from None


def _keys(problem: Any, table: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where in the table a problem is, without the name of the alternative that pydantic adds for a union's types."""
    keys: list[Any] = []
    value: Any = table
    for key in problem["loc"]:
        there = isinstance(value, Mapping) and key in value
        if there or (isinstance(value, list | tuple) and isinstance(key, int) and key < len(value)):
            value = value[key]
        elif not (problem["type"] == "missing" and isinstance(value, Mapping)):
            continue
        keys.append(key)
    return tuple(keys)


def _explain(model: Any, keys: tuple[Any, ...], problems: list[Any], place: str) -> str:
    """One message for what is wrong at a place: of a union's types, any is allowed."""
    *parents, key = keys or ("",)
    inside, problem = ".".join(_printable(key) for key in keys), problems[0]
    match problem["type"]:
        case "extra_forbidden":
            owner = model
            for parent in parents:
                owner = _field_model(owner, parent)
            allowed = _keys_of(owner) if owner is not None else []
            return f"{place}: unknown key '{inside}'{registry.suggest(str(key), allowed) if allowed else ''}"
        case "missing" if isinstance(problem["input"], Mapping):
            return f"{place}: key '{inside}' is missing"
        case _:
            where = f"key '{inside}' = {_briefly(problem['input'])}: " if inside else ""
            told = [_in_words(one) for one in problems]
            lines = (
                told[0].splitlines()
                if len(told) == 1
                else [" or ".join(dict.fromkeys(told)).replace(" or Input should be", " or")]
            )
            return "\n".join(f"{place}: {where}{line[0].lower()}{line[1:]}" for line in lines)


def _in_words(problem: Any) -> str:
    """What pydantic says, in the words of TOML."""
    about = problem.get("ctx", {})
    match problem["type"]:
        case "model_type" | "dict_type":
            return "Input should be a table"
        case "list_type" | "tuple_type":
            return "Input should be an array"
        case "missing":
            return "has too few items"
        case "too_short":
            return f"Input should have {about['min_length']} or more items"
        case "too_long":
            return f"Input should have at most {about['max_length']} items"
        case _:
            return problem["msg"].removeprefix("Value error, ")


def _printable(key: Any) -> str:
    text = str(key)
    return text if text.isprintable() else repr(text)[1:-1]


def _briefly(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:160]} ... ({len(text):,} characters)"


def _keys_of(owner: Any) -> list[str]:
    """What a table of a model may say."""
    return owner.allowed_keys() if hasattr(owner, "allowed_keys") else list(owner.model_fields)


def _field_model(owner: Any, key: Any) -> Any:
    """The section that a key of a section holds, or the section itself for an index into a list of sections."""
    if owner is None or not isinstance(key, str):
        return owner
    field = owner.model_fields.get(key)
    candidates = [field.annotation, *typing.get_args(field.annotation)] if field is not None else []
    return next((c for c in candidates if inspect.isclass(c) and issubclass(c, BaseModel)), None)
