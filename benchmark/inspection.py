"""What `metagap list` and `show` tell: descriptions of suites, algorithms, models and sources."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from benchmark import registry
from benchmark.errors import UserError
from benchmark.reproduce.tables import table_names, table_title
from benchmark.suite import Suite, load_suite, suite_names

UNIONS = (typing.Union, types.UnionType)
KINDS: dict[str, registry.Kind] = {"algorithms": "algorithm", "models": "model", "sources": "source"}


def listing(what: str) -> list[dict[str, Any]]:
    """A row for each suite, table, algorithm, model or source. One that cannot be loaded is listed with its fault."""
    if what not in ("suites", "tables", *KINDS):
        raise UserError(f"list '{what}'{registry.suggest(what, ['suites', 'tables', *KINDS])}")
    if what == "tables":
        return [{"name": name, "about": table_title(name)} for name in table_names()]
    rows = []
    for name in suite_names() if what == "suites" else registry.names(KINDS[what]):
        try:
            about = load_suite(name).title if what == "suites" else registry.summary(registry.load(KINDS[what], name))
            rows.append({"name": name, "about": about})
        except UserError as error:
            rows.append({"name": name, "about": f"broken: {error}"})
    return rows


def describe(name: str) -> dict[str, Any]:
    """Everything there is to say about the suite, algorithm, source or model of this name."""
    if name.endswith(".toml") or name in suite_names():
        return _describe_suite(load_suite(name))
    for kind in ("algorithm", "source", "model"):
        if name in registry.names(kind):
            return _describe_class(name, kind)
    if ".py:" in name:
        fitting = [kind for kind in KINDS.values() if not registry.fault(kind, registry.find(kind, name))]
        return _describe_class(name, fitting[0] if fitting else "algorithm")
    known = [*suite_names(), *(n for kind in KINDS.values() for n in registry.names(kind))]
    raise UserError(f"nothing is called '{name}'{registry.suggest(name, known)}")


def print_listing(rows: list[dict[str, Any]], console: Console) -> None:
    """Rows with the same keys as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for key in rows[0] if rows else []:
        table.add_column(key, overflow="fold", no_wrap=key == "name")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    console.print(table)


def print_description(description: dict[str, Any], console: Console) -> None:
    """The result of `describe`, for reading."""
    console.print(f"[bold]{description['name']}[/]  [dim]{description['kind']}[/]")
    for key in ("about", "paper", "citation", "licence"):
        if description.get(key):
            text = _reflowed(description[key])
            console.print(Padding(escape(text if key == "about" else f"{key}: {text}"), (0, 0, 1, 2)))
    for title, rows in description["tables"].items():
        console.print(f"[bold]{title}[/]")
        print_listing(rows, console)
        console.print()


def _describe_suite(suite: Suite) -> dict[str, Any]:
    settings = [
        {"section": section, "settings": _settings(getattr(suite, section))}
        for section in ("task", "model", "source", "training", "evaluation")
    ]
    algorithms = [
        {
            "algorithm": label,
            "settings": _settings(entry.hyperparameters) or "its defaults",
            "own budget": _settings(entry.training | entry.evaluation),
        }
        for label, entry in suite.algorithms.items()
    ]
    splits = [
        {"split": s.name, "role": s.role, "source": s.source["name"], "classes": s.classes, "images": s.images}
        for s in suite.splits
    ]
    deviations = {}
    if suite.deviations:
        deviations["Known deviations from the published protocol"] = [{"deviation": text} for text in suite.deviations]
    return {
        "name": suite.name,
        "kind": "suite",
        "about": f"{suite.title}\n\n{suite.description}",
        "tables": {"Settings": settings, "Algorithms": algorithms, "Splits": splits, **deviations},
        "seeds": suite.seeds,
    }


def _settings(section: Any) -> str:
    table = section if isinstance(section, dict) else section.model_dump(exclude_none=True)
    return ", ".join(f"{key} {value}" for key, value in table.items())


def _describe_class(name: str, kind: registry.Kind) -> dict[str, Any]:
    found = registry.load(kind, name)
    description = {"name": name, "kind": kind, "about": inspect.getdoc(found) or ""}
    for key in ("paper", "citation", "licence"):
        if getattr(found, key, ""):
            description[key] = getattr(found, key)
    title = "Hyper-parameters" if kind == "algorithm" else "Options"
    rows = _signature(found) if kind == "model" else _fields(found)
    return {**description, "tables": {title: rows} if rows else {}}


def _fields(model: Any) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "default": _default(... if field.default is PydanticUndefined else field.default),
            **_allowed(field.annotation, field.metadata),
            "meaning": field.description or "",
        }
        for key, field in model.model_fields.items()
        if key != "kind"
    ]


def _signature(model: Any) -> list[dict[str, Any]]:
    return [
        {"key": key, "default": _default(default), **_allowed(annotation)}
        for key, (annotation, default) in registry.options(model, given=2).items()
    ]


def _default(value: Any) -> str:
    if isinstance(value, float) and len(str(value)) > 8:
        return f"{value:.6g}"
    return "required" if value is ... else str(value)


def _allowed(annotation: Any, limits: Sequence[Any] = ()) -> dict[str, str]:
    """The type of a value as people write it, and its range: `any` for a number without limits."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _allowed(arguments[0], [*limits, *arguments[1:]])
    if origin in UNIONS and len(arguments) == 2 and type(None) in arguments:
        inner = _allowed(next(a for a in arguments if a is not type(None)), limits)
        return {**inner, "type": f"{inner['type']} | None"}
    told = ", ".join(filter(None, map(_limit, limits)))
    free = not limits and set(arguments or [annotation]) <= {int, float}
    return {"type": _type_name(annotation), "range": "any" if free else told}


def _limit(limit: Any) -> str:
    """An annotated limit as people write it: Ge(ge=0) is ≥ 0."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    return ", ".join(f"{sign} {getattr(limit, key)}" for key, sign in signs.items() if hasattr(limit, key))


def _reflowed(text: str) -> str:
    """Paragraphs without their line breaks, for a terminal of any width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def _type_name(annotation: Any) -> str:
    """A type in one line, with limits inside of it: list[int > 0]."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " | ".join(map(str, arguments))
    if origin in UNIONS:
        return " | ".join(map(_type_name, arguments))
    if origin is typing.Annotated:
        return " ".join(filter(None, (_type_name(arguments[0]), ", ".join(map(_limit, arguments[1:])))))
    if arguments:
        return f"{_type_name(origin)}[{', '.join(map(_type_name, arguments))}]"
    if annotation in (..., type(None)):
        return "..." if annotation is ... else "None"
    return annotation.__name__ if inspect.isclass(annotation) else str(annotation).replace("typing.", "")
