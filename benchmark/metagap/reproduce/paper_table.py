"""A table of a paper: a file that names the suites it consists of. The published values are in those suites alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, model_validator

from metagap import kinds, registry
from metagap.errors import UserError, at
from metagap.files import TABLES, folder_name
from metagap.metrics import Margin
from metagap.suite import (
    Published,
    Rate,
    Section,
    Suite,
    share_of,
    validated,
    with_budget,
    written_suite,
)


class Column(Section):
    """A suite of a table, which is a column of it."""

    suite: str = Field(description="a built-in suite, or the path of a .toml file from where the table lies")
    label: str = Field(description="heading")
    rows: dict[str, str] | None = Field(
        default=None, description="algorithm of the suite = its row; default: the table's rows"
    )
    unpublished: str | None = Field(default=None, description="split to show where a paper has curves, and no value")


class TableFile(Section):
    """A table file."""

    title: str
    citation: str
    source: str = Field(
        default="", description="how the `source` of its published values begins, where suites have others too"
    )
    margin: Rate | None = Field(
        default=None, description="what counts as the same: so far apart (accuracies are fractions)"
    )
    relative_margin: Rate | None = Field(default=None, description="or such a share of the published value")
    rows: dict[str, str] = Field(default={}, description="algorithm of the suites = its row in the paper")
    columns: list[Column] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> TableFile:
        if self.margin is not None and self.relative_margin is not None:
            raise ValueError("margin and relative_margin exclude each other")
        if not self.rows and any(column.rows is None for column in self.columns):
            raise ValueError("rows are missing: give them to the table, or to each of its columns")
        return self


@dataclass(frozen=True)
class PaperColumn:
    """A column of a table: what was published of the algorithms of one suite.

    file: name or path of the suite. suite: as it is written, at the table's budget. rows: label of an algorithm -> row.
    """

    file: str
    column: str
    suite: Suite
    rows: dict[str, str]
    published: list[Published]

    def of(self, label: str) -> list[Published]:
        """The values of an algorithm."""
        return [value for value in self.published if value.algorithm == label]

    def splits(self, label: str) -> list[str]:
        """The splits on which the values of an algorithm are."""
        return list(dict.fromkeys(value.split for value in self.of(label)))


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper with its suites.

    budget: the share of the published meta-training iterations. left_out: published values that were not chosen.
    """

    name: str
    title: str
    citation: str
    margin: Margin
    parts: list[PaperColumn]
    budget: float = 1.0
    left_out: int = 0

    @property
    def kind(self) -> str:
        """Classification or regression."""
        return self.parts[0].suite.task.kind


def load_table(name_or_path: str) -> PaperTable:
    """Read a table by built-in name or by path, with the suites it consists of; needs no torch.

    Raises UserError with the file and the place where something is missing or wrong, a suite or a value among it.
    """
    path = TABLES.path(name_or_path)
    folder_name(path.stem, f"table file {str(path)!r}: a table is called by the name of its file")
    table = validated(TableFile, TABLES.read(path), str(path))
    parts = [_part(column, table, path) for column in table.columns]
    of_kinds = list(dict.fromkeys(part.suite.task.kind for part in parts))
    if len(of_kinds) > 1:
        raise UserError(f"{path}: columns: its suites are of both kinds, {' and '.join(of_kinds)}; a table has one")
    margin = kinds.find(of_kinds[0]).metric.margin
    if table.margin is not None:
        margin = Margin(table.margin)
    elif table.relative_margin is not None:
        margin = Margin(table.relative_margin, relative=True)
    return PaperTable(path.stem, table.title, table.citation, margin, parts)


def chosen(table: PaperTable, patterns: Sequence[str]) -> PaperTable:
    """The table with the cells whose suite, algorithm or suite/algorithm one of the patterns matches; none: all.

    Raises UserError for a pattern that matches nothing.
    """
    if not patterns:
        return table
    for pattern in patterns:
        if not any(_matches(pattern, part, label) for part in table.parts for label in part.rows):
            allowed = [part.suite.name for part in table.parts] + [label for part in table.parts for label in part.rows]
            raise UserError(f"--cells '{pattern}'{registry.suggest(pattern, list(dict.fromkeys(allowed)))}")
    parts = []
    for part in table.parts:
        wanted = [label for label in part.rows if any(_matches(pattern, part, label) for pattern in patterns)]
        rows = {label: part.rows[label] for label in wanted}
        values = [value for value in part.published if value.algorithm in rows]
        parts.append(replace(part, rows=rows, published=values))
    left_out = sum(len(part.published) for part in table.parts) - sum(len(part.published) for part in parts)
    return replace(table, parts=[part for part in parts if part.rows], left_out=left_out)


def at_budget(table: PaperTable, budget: str | None) -> PaperTable:
    """The table with a share of the meta-training iterations, such as "5%" or "0.05"; None: all of them.

    Raises UserError for anything that is not above 0 and up to 100%.
    """
    share = share_of(budget)
    if share == 1:
        return table
    parts = [replace(part, suite=with_budget(part.suite, share)) for part in table.parts]
    return replace(table, parts=parts, budget=share)


def _part(column: Column, table: TableFile, path: Path) -> PaperColumn:
    place = f"{path}: columns.{column.label}"
    file = str(path.parent / column.suite) if column.suite.endswith(".toml") else column.suite
    with at(place):
        suite = written_suite(file)
    rows = table.rows if column.rows is None else column.rows
    values = [value for value in suite.published if value.source.startswith(table.source)]
    if column.unpublished is not None:
        names = [split.name for split in suite.test_splits]
        if column.unpublished not in names:
            hint = registry.suggest(column.unpublished, names)
            raise UserError(f"{place}: unpublished: suite '{column.suite}' has no split '{column.unpublished}'{hint}")
        values += [_nothing(label, column.unpublished) for label in rows]
    seen, usual = set(), suite.kind.metric.name
    for label in rows:
        if label not in suite.algorithms:
            hint = registry.suggest(label, list(suite.algorithms))
            raise UserError(f"{place}: rows: suite '{column.suite}' has no algorithm '{label}'{hint}")
        if label not in {value.algorithm for value in values}:
            sources = sorted({value.source for value in suite.published if value.algorithm == label})
            there = f"; it has {', '.join(repr(source) for source in sources)}" if sources else ""
            raise UserError(
                f"{place}: rows: suite '{column.suite}' has no published value of '{label}' whose source begins with "
                f"'{table.source}'{there}"
            )
    published = [value for label in rows for value in values if value.algorithm == label]
    for value in published:
        if (name := value.metric_name(suite.kind)) != usual:
            raise UserError(
                f"{place}: the value of '{value.algorithm}' on '{value.split}' in suite '{column.suite}' has "
                f"metric = '{name}'; tables of papers are about '{usual}'"
            )
        key = (value.algorithm, value.split, value.step)
        if key in seen:
            raise UserError(
                f"{place}: suite '{column.suite}' has two published values of '{value.algorithm}' on '{value.split}' "
                f"whose source begins with '{table.source}'; give `source` more of it"
            )
        seen.add(key)
    return PaperColumn(file, column.label, suite, rows, published)


def _nothing(label: str, split: str) -> Published:
    """What stands for a value that a paper does not print."""
    nothing = Published(algorithm=label, split=split, value=0, source="no value is printed", mark="V")
    return nothing.model_copy(update={"value": math.nan})


def _matches(pattern: str, part: PaperColumn, label: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in (part.suite.name, label, f"{part.suite.name}/{label}"))
