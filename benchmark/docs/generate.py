"""Writes the guides that come from the code: the keys of a suite, and the options of the command.

uv run python benchmark/docs/generate.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from metagap import inspection, suite
from metagap.cli import app
from metagap.suite.schema import MOST

HERE = Path(__file__).parent
MADE = "Made from the code by `uv run python benchmark/docs/generate.py`."

SECTIONS: list[tuple[str, type, str]] = [
    ("The suite itself", suite.Suite, "At the top of the file, before the first section."),
    ("`[task]`", suite.Task, ""),
    ("`[training]`", suite.Training, "An algorithm may have its own: `training` in its table."),
    ("`[evaluation]`", suite.Evaluation, "An algorithm may have its own: `evaluation` in its table."),
    ("`[algorithms.LABEL]`", suite.Entry, "All other keys are hyper-parameters: `metagap show maml`."),
    ("`[[splits]]`", suite.Split, ""),
    ("`shift` of a split", suite.Shift, ""),
    ("`[[responses]]`", suite.Response, "[Dose and response](responses.md) explains them."),
    ("`dose` of a split", suite.Dose, "`[[responses]]` makes such splits."),
    ("`[[published]]`", suite.Published, ""),
    ("`[sweep]`", suite.Axis, "Two tables `[[sweep]]` are a grid of two keys."),
]
COLUMNS = ["key", "type", "range", "default", "meaning"]
ELSEWHERE = {
    "Suite": {"name", "task", "model", "source", "training", "evaluation", "algorithms", "splits", "published"}
}
"""Keys that have a section of their own, or that the file's name gives."""


def suite_keys() -> str:
    """The page of all keys of a suite."""
    parts = [
        "# All keys of a suite",
        f"{MADE} [Writing a suite](suites.md) explains what they are for.",
        "`[model]` and `[source]` have a `name` and the options that `metagap show NAME` prints: `metagap show conv4`, "
        "`metagap show omniglot`.",
    ]
    for title, model, remark in SECTIONS:
        left_out = ELSEWHERE.get(model.__name__, set())
        rows = [row for row in inspection.fields(model) if row["key"] not in left_out]
        parts += [f"## {title}", inspect.getdoc(model) or "", remark, table(COLUMNS, (readable(row) for row in rows))]
    return pages(parts)


def readable(row: dict[str, str]) -> list[str]:
    """The cells of a row, without limits that only catch typing errors."""
    limits = [limit for limit in row["range"].split(", ") if limit != f"≤ {MOST}"]
    kind = row["type"].replace(f", < {2**63}", "")
    return [f"`{row['key']}`", kind, ", ".join(limits), row["default"], row["meaning"]]


def options() -> str:
    """The page of all commands and their options."""
    parts = [
        "# All options",
        f"{MADE} [The commands](commands.md) explains what they are for.",
    ]
    for name, command in commands(typer.main.get_command(app)):
        parts += [f"## metagap {name}", command.help or ""]
        rows = [[option(parameter), default(parameter), getattr(parameter, "help", "")] for parameter in command.params]
        parts += [table(["argument or option", "default", "meaning"], rows)] if rows else []
    return pages(parts)


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with the words by which it is called."""
    for name, command in sorted(group.commands.items()):
        words = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield words, command


def option(parameter: Any) -> str:
    """How it is written on the command line."""
    value = parameter.metavar or ("" if getattr(parameter, "is_flag", False) else "VALUE")
    names = [*parameter.opts, *parameter.secondary_opts]
    if not names[0].startswith("-"):
        return f"`{parameter.metavar or parameter.name.upper()}`"
    return f"`{', '.join(names)}{' ' if value else ''}{value}`"


def default(parameter: Any) -> str:
    """The value that is taken where none is given; empty for none, off and what the meaning explains."""
    value = parameter.default
    return f"`{value}`" if value not in (None, False) and not callable(value) else ""


def table(heads: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """Text that does not break a table."""
    return " ".join(str(value).replace("|", "\\|").split())


def pages(parts: Iterable[str]) -> str:
    """Paragraphs as a file."""
    return "\n\n".join(part for part in parts if part) + "\n"


PAGES = {"suite-keys.md": suite_keys, "options.md": options}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
