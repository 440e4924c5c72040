"""What `metagap show` tells: descriptions of suites, tables, algorithms, models and sources."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from metagap import kinds, registry
from metagap.errors import UserError
from metagap.files import SUITES, TABLES
from metagap.listing import KINDS, print_listing
from metagap.reproduce.paper_table import PaperTable, load_table
from metagap.suite import Cell, Split, Suite, expand, load_suite, load_sweep, with_algorithms

UNIONS = (typing.Union, types.UnionType)
SECTIONS = ("task", "model", "source", "training", "evaluation")


def describe(name: str) -> dict[str, Any]:
    """Everything there is to say about the suite, algorithm, source, model or table of this name.

    Where several of these have the name, it is the first of them in this order, and `also` says how to see the others:
    by `KIND:NAME`.
    """
    wanted, colon, rest = name.partition(":")
    if colon and wanted in DESCRIBED:
        return DESCRIBED[wanted](rest)
    if name.endswith(".toml"):
        return _describe_table(name) if "columns" in SUITES.read(Path(name)) else _describe_suite(name)
    if ".py:" in name:
        fitting: list[registry.Kind] = [
            kind for kind in KINDS.values() if not registry.fault(kind, registry.find(kind, name))
        ]
        return DESCRIBED[fitting[0] if fitting else "algorithm"](name)
    known = {
        "suite": SUITES.names(),
        **{kind: registry.names(kind) for kind in KINDS.values()},
        "table": TABLES.names(),
    }
    kinds = [kind for kind, names in known.items() if name in names]
    if not kinds:
        every = sorted({name for names in known.values() for name in names})
        raise UserError(f"nothing is called '{name}'{registry.suggest(name, every, 'metagap list KIND')}")
    return {**DESCRIBED[kinds[0]](name), "also": [f"{kind}:{name}" for kind in kinds[1:]]}


def print_description(description: dict[str, Any], console: Console) -> None:
    """The result of `describe`, for reading."""
    console.print(f"[bold]{escape(description['name'])}[/]  [dim]{description['kind']}[/]")
    for key in ("about", "extends", "paper", "citation", "licence"):
        if description.get(key):
            text = _reflowed(description[key])
            console.print(Padding(escape(text if key == "about" else f"{key}: {text}"), (0, 0, 1, 2)))
    for title, rows in description["tables"].items():
        console.print(f"[bold]{title}[/]")
        print_listing(rows, console)
        console.print()
    for other in description.get("also", []):
        console.print(f"There is a {other.partition(':')[0]} of this name too: metagap show {escape(other)}")


def _describe_suite(name: str) -> dict[str, Any]:
    sweep, table = load_sweep(name), SUITES.read(SUITES.path(name))
    suite = load_suite(name) if sweep is None else sweep.first
    held_out = [] if sweep is None or sweep.axes else [member.values for member in sweep.members]
    domains = list(dict.fromkeys(domain for names in held_out for domain in names))
    tables = {
        "Sweep: one page of a suite for each value; below, that of the least": [
            {"key": axis.key, "values": ", ".join(map(str, axis.values)), "scale": axis.scale}
            for axis in (() if sweep is None else sweep.axes)
        ],
        "Leave one out: one page of all; below, the first of these suites": [
            {"held out": " and ".join(names), "trained on": ", ".join(one for one in domains if one not in names)}
            for names in held_out
        ],
        "Settings": [row for section in SECTIONS for row in _settings(section, suite, table)],
        "Algorithms": _without_empty([_algorithm(cell, suite) for cell in _first_cells(suite)]),
        "Splits": _without_empty([_split(split, suite) for split in suite.splits]),
        "Published values": [
            {
                "algorithm": one.algorithm,
                "split": one.split,
                "inner steps": one.step,
                "value": one.value,
                "±": one.interval,
                "kind of ±": one.kind,
                "source": f"{one.source} [{one.mark}]",
            }
            for one in suite.published
        ],
        "Known deviations from the published protocol": [{"deviation": text} for text in suite.deviations],
    }
    return {
        "name": suite.name,
        "kind": "suite",
        "about": f"{suite.title}\n\n{suite.description}",
        "extends": suite.extends,
        "seeds": suite.seeds,
        "tables": {title: rows for title, rows in tables.items() if rows},
    }


def _settings(section: str, suite: Suite, table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for every key of a section, with its value and whether the file's table has it or it is the default."""
    values, stated = _plain(getattr(suite, section)), table.get(section, {})
    stated = {"name"} if isinstance(stated, str) else stated
    rows = [_setting(f"{section}.{key}", value, key in stated) for key, value in values.items()]
    if section == "training":
        rows.append(_setting("training_classes", suite.training_classes, "training_classes" in table))
        rows.append(_setting("seeds", suite.seeds, "seeds" in table))
    if section == "evaluation" and suite.reference_label:
        rows.append(_setting("reference", suite.reference_label, "reference" in table))
    return rows


def _setting(key: str, value: Any, stated: bool) -> dict[str, Any]:
    return {"key": key, "value": value, "": "" if stated else "default"}


def _plain(section: Any) -> dict[str, Any]:
    return section if isinstance(section, dict) else section.model_dump()


def _first_cells(suite: Suite) -> list[Cell]:
    """A cell of every algorithm, those on request too."""
    whole = with_algorithms(suite, ["all"])
    return expand(whole.model_copy(update={"seeds": suite.seeds[:1]}))


def _algorithm(cell: Cell, suite: Suite) -> dict[str, Any]:
    entry = suite.algorithms[cell.label]
    stated = {key: cell.hyperparameters[key] for key in entry.hyperparameters if key in cell.hyperparameters}
    own = {f"training.{key}": value for key, value in entry.training.items()}
    own |= {f"evaluation.{key}": value for key, value in entry.evaluation.items()}
    return {
        "label": cell.label,
        "algorithm": cell.algorithm if cell.algorithm != cell.label else "",
        "run": "on request" if entry.on_request else "",
        "settings": stated | own,
        "defaults": {key: value for key, value in cell.hyperparameters.items() if key not in stated},
    }


def _split(split: Split, suite: Suite) -> dict[str, Any]:
    """A row with everything that tells the split from others: of the training source the options that differ."""
    shown = split.source
    if shown["name"] == suite.source["name"]:
        shown = {key: value for key, value in shown.items() if suite.source.get(key, ...) != value}
    task = {key: value for key in ("ways", "shots", "queries", "episodes") if (value := getattr(split, key))}
    return {
        "split": split.name,
        "role": split.role,
        "source": split.source["name"],
        "options": {key: value for key, value in shown.items() if key != "name"},
        "classes": split.classes,
        "images": split.images,
        "shift": f"{split.shift.kind} {split.shift.severity}" if split.shift else "",
        "compared with": split.dose.reference if split.dose else "",
        "task": task,
        "where data are missing": "skipped" if split.optional else "",
    }


def _without_empty(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without columns in which nothing stands."""
    return [{key: value for key, value in row.items() if any(other[key] for other in rows)} for row in rows]


def _describe_table(name: str) -> dict[str, Any]:
    table = load_table(name)
    rows = [
        {
            "column": part.column,
            "suite": part.file,
            "row": part.rows[one.algorithm],
            "algorithm": one.algorithm,
            "split": one.split,
            "inner steps": one.step,
            "published": _published(one.value, one.interval),
            "kind of ±": one.kind,
            "mark": one.mark,
        }
        for part in table.parts
        for one in part.published
    ]
    settings = [
        {"key": "what counts as the same", "value": _margin(table)},
        {"key": "cells", "value": sum(len(part.rows) * len(part.suite.seeds) for part in table.parts)},
        {"key": "command", "value": f"metagap reproduce {table.name}"},
    ]
    deviations = [
        {"suite": part.suite.name, "deviation": text} for part in table.parts for text in part.suite.deviations
    ]
    return {
        "name": table.name,
        "kind": "table",
        "about": table.title,
        "citation": table.citation,
        "tables": {
            "Settings": settings,
            "Values": _without_empty(rows),
            **({"Known deviations from the published protocol": deviations} if deviations else {}),
        },
    }


def _margin(table: PaperTable) -> str:
    if table.margin.relative:
        return f"within {100 * table.margin.size:g}% of the published value"
    metric = kinds.find(table.kind).metric
    unit = metric.gap_unit if metric.unit else ""
    return f"a difference below {table.margin.size * metric.scale:g} {unit}".rstrip()


def _published(value: float, interval: float | None) -> str:
    if value != value:
        return "a curve, no value"
    return f"{value:g}" if interval is None else f"{value:g} ± {interval:g}"


def _describe_class(kind: registry.Kind, name: str) -> dict[str, Any]:
    found = registry.load(kind, name)
    description = {"name": name, "kind": kind, "about": inspect.getdoc(found) or ""}
    for key in ("paper", "citation", "licence"):
        if getattr(found, key, ""):
            description[key] = getattr(found, key)
    title = "Hyper-parameters" if kind == "algorithm" else "Options"
    rows = _signature(found) if kind == "model" else [row for row in fields(found) if row["key"] != "kind"]
    return {**description, "tables": {title: rows} if rows else {}}


def _describe_object(kind: registry.Kind, name: str) -> dict[str, Any]:
    found = registry.load(kind, name)
    rows = [
        {"property": field.name, "value": value.__name__ if callable(value) else value}
        for field in dataclasses.fields(found)
        if field.name not in ("name", "about", "settings") and (value := getattr(found, field.name)) not in (None, "")
        if not getattr(value, "__name__", "").startswith(("_", "<"))  # a function that nobody else calls
    ]
    tables = {"Properties": rows}
    if settings := getattr(found, "settings", None):  # of an executor
        tables = {" ".join((inspect.getdoc(settings) or "").split()): fields(type(settings))}
    return {"name": name, "kind": kind, "about": found.about, "tables": tables}


def fields(model: type[BaseModel]) -> list[dict[str, Any]]:
    """A row for every field of a section, an algorithm or a source: key, default, type, range and meaning."""
    return [
        {
            "key": key,
            "default": _default(... if field.default is PydanticUndefined else field.default),
            **_allowed(field.annotation, field.metadata),
            "meaning": field.description or "",
        }
        for key, field in model.model_fields.items()
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
    if origin is typing.Literal and len(arguments) == 1:
        return {"type": str(arguments[0]), "range": "fixed"}
    limited = ", ".join(filter(None, map(_limit, limits)))
    free = not limits and set(arguments or [annotation]) <= {int, float}
    return {"type": _type_name(annotation), "range": "any" if free else limited}


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


DESCRIBED: dict[str, Callable[[str], dict[str, Any]]] = {
    "suite": _describe_suite,
    "algorithm": partial(_describe_class, "algorithm"),
    "source": partial(_describe_class, "source"),
    "model": partial(_describe_class, "model"),
    "metric": partial(_describe_object, "metric"),
    "kind": partial(_describe_object, "kind"),
    "optimizer": partial(_describe_object, "optimizer"),
    "quantity": partial(_describe_object, "quantity"),
    "executor": partial(_describe_object, "executor"),
    "shift": partial(_describe_object, "shift"),
    "table": _describe_table,
}
"""How each kind of thing is described by its name."""
