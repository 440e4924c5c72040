"""Rows of a table of the user's own, from a CSV, parquet or feather file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from annotated_types import MinLen
from pydantic import Field

from metagap import registry
from metagap.errors import UserError
from metagap.tasks.folders import stamp
from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import Records
from metagap.tasks.sources import columns, vectors
from metagap.tasks.sources.columns import FEW, dates, names, numbers, ordered
from metagap.tasks.sources.features import Matrix, matrix
from metagap.tasks.sources.frames import located, read_frame
from metagap.text import listed


class TableSource(RecordSource):
    """Rows of a table of your own, as `table:FILE`: a CSV, TSV, parquet or feather file with a row for each example.

    Columns are called by their names. The features are all columns without another role that hold numbers, dates or
    categories, or those that `features` lists; what is left out is said. Rows without a target, task, domain or time
    that is asked for are left out, too. With `vectors` the input is an array instead. Relative paths are looked up
    here, then in the data folder.
    """

    licence = "yours"
    citation = "yours"
    named_by = "file"
    allows_missing = True

    file: str = Field(description="a .csv, .tsv, .parquet or .feather file")
    target: str | Annotated[list[str], MinLen(1)] = Field(
        description="the column that is to be predicted; in regression it may be several"
    )
    task: str | None = Field(
        default=None, description="the column that says which task a row belongs to; default: tasks are made of classes"
    )
    domain: str | None = Field(default=None, description="the column that `domains` is about")
    time: str | None = Field(default=None, description="the column that `before` and `after` are about: dates or years")
    features: Annotated[list[str], MinLen(1)] | None = Field(
        default=None, description="the columns that are the input; default: all others that can be"
    )
    vectors: str | None = Field(
        default=None,
        description="the input instead of features: a .npy file with an array (rows, features, ...) in the order of "
        "the table, or a column that holds lists of numbers; such as what a pretrained network makes of each example",
        exclude_if=lambda value: value is None,  # so that cells without it stay what they were
    )
    categories: Literal["one-hot", "codes"] = Field(
        default="one-hot",
        description="a category as a column of 0 and 1 for each value, or as a code from 1 in one of the last columns "
        "(0: unknown to training), for the model tabular-mlp",
    )
    missing: Literal["indicator", "drop", "refuse"] = Field(
        default="indicator",
        description="a feature that is missing becomes its mean, and another column says so; drop: the row is left out",
    )
    missing_values: list[str] = Field(default=[], description="further texts that stand for a missing value")

    @property
    def called(self) -> str:
        """As in a suite."""
        return f"table:{self.file}"

    def stamp(self) -> Any:
        """That of the file."""
        return [stamp(path) for path in (located(self.file, self.called), self._array) if path is not None]

    def records(self) -> Records:
        """All rows that have what is asked for."""
        path = located(self.file, self.called)
        named = [self.task, self.domain, *(self._targets if self.kind == "classification" else [])]
        as_written = frozenset(name for name in named if name is not None)
        table, decimal_comma, notes = read_frame(path, self.called, as_written, tuple(self.missing_values))
        self._check_columns(list(table.columns))
        array = None if self._array is None else vectors.of_file(self._array, len(table), self.called)
        table = self._complete(table.reset_index(drop=True), notes)
        if self.vectors is None:
            others = [name for name in table.columns if name not in self._roles.values()]
            wanted, indicate = self.features, self.missing == "indicator"
            made = matrix(table[wanted or others], self.called, wanted, self.categories, decimal_comma, indicate)
        else:
            x = vectors.of_column(table[self.vectors], self.called) if array is None else array[table.index]
            made = Matrix(vectors.checked(x, self.called), [], None, {}, [])
        kept = self._whole(made.missing, len(table), notes)
        table = table[kept]
        classes, y = self._classes(table) if self.kind == "classification" else ([], self._values(table, decimal_comma))
        return Records(
            made.x[kept],
            y,
            classes,
            self._names(table, self.task),
            self._names(table, self.domain),
            self._dates(table),
            [*notes, *made.notes],
            made.names,
            made.levels,
        )

    @property
    def _array(self) -> Path | None:
        """The file of vectors, if there is one."""
        if self.vectors is None or not vectors.is_file(self.vectors):
            return None
        return located(
            self.vectors, f"{self.called}: vectors", (vectors.ENDING,), f"a file that ends in {vectors.ENDING}"
        )

    @property
    def _targets(self) -> list[str]:
        return [self.target] if isinstance(self.target, str) else self.target

    @property
    def _roles(self) -> dict[str, str]:
        """The columns that are no features, by what they are for."""
        column = None if self.vectors is None or vectors.is_file(self.vectors) else self.vectors
        named = {"task": self.task, "domain": self.domain, "time": self.time, "vectors": column}
        targets = {f"target {i}" if i else "target": name for i, name in enumerate(self._targets)}
        return targets | {key: name for key, name in named.items() if name is not None}

    def _check_columns(self, there: list[str]) -> None:
        """Raise UserError unless all columns that are named are there, and each has one role."""
        if self.kind == "classification" and len(self._targets) > 1:
            raise UserError(f"{self.called}: target = {self._targets}: classification has one target")
        if self.kind == "regression" and self.task is None:
            raise UserError(f"{self.called}: regression needs `task`, the column that says which task a row belongs to")
        if self.vectors is not None and self.features is not None:
            raise UserError(f"{self.called}: vectors and features are both set; allowed: one of them")
        known: dict[str, str] = {}
        for key, name in [*self._roles.items(), *(("features", name) for name in self.features or [])]:
            role = key.partition(" ")[0]
            if name not in there:
                hint = registry.suggest(name, there)
                raise UserError(f"{self.called}: {role} = '{name}': there is no such column{hint}")
            if (other := known.setdefault(name, role)) != role or list(self.features or []).count(name) > 1:
                raise UserError(f"{self.called}: column '{name}' is named for {other} and for {role}; allowed: once")

    def _complete(self, table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
        """The rows that have a target, and a task, a domain and a time where these are asked for."""
        for key, name in self._roles.items():
            missing = table[name].isna()
            if missing.all():
                raise UserError(f"{self.called}: {key} = '{name}': the column has no values")
            if count := int(missing.sum()):
                notes.append(_left_out(count, f"without '{name}'"))
                table = table[~missing]
        return table

    def _whole(self, missing: dict[str, np.ndarray], rows: int, notes: list[str]) -> np.ndarray:
        """Which rows are used (rows,): those that have all features, where that is asked for.

        missing: which rows lack a value, of each column in which some do.
        """
        kept = np.ones(rows, bool)
        if self.missing == "indicator" or not missing:
            return kept
        if self.missing == "refuse":
            said = [f"'{name}' ({lacking.sum()})" for name, lacking in missing.items()]
            raise UserError(f"{self.called}: missing = 'refuse', and values are missing in {listed(said)}")
        kept = ~np.any(list(missing.values()), axis=0)
        if not kept.any():
            raise UserError(f"{self.called}: missing = 'drop' leaves no row, for a feature is missing in each")
        notes.append(_left_out(rows - int(kept.sum()), "in which a feature is missing"))
        return kept

    def _classes(self, table: pd.DataFrame) -> tuple[list[str], np.ndarray]:
        """The classes in order, and the class of each row."""
        (target,) = self._targets
        values = names(table[target])
        classes = ordered(values.tolist())
        if len(classes) < 2:
            raise UserError(
                f"{self.called}: target = '{target}' is '{classes[0]}' in all rows; allowed: two classes or more"
            )
        read = numbers(values, False) if len(classes) > FEW else None
        if read is not None and (read[0] != np.round(read[0])).any():
            raise UserError(
                f"{self.called}: target = '{target}' has {len(classes)} different numbers, such as {classes[1]}, and "
                "classes are names or whole numbers; task.kind = 'regression' predicts numbers"
            )
        return classes, pd.Categorical(values, classes).codes.astype(np.int64)

    def _values(self, table: pd.DataFrame, decimal_comma: bool) -> np.ndarray:
        """The targets of regression (n, targets)."""
        found = []
        for target in self._targets:
            read = numbers(table[target], decimal_comma)
            if read is None:
                what = f"target = '{target}': {columns.oddity(names(table[target]))}"
                raise UserError(f"{self.called}: {what}; task.kind = 'classification' predicts names")
            if infinite := columns.infinite(read[0]):
                raise UserError(f"{self.called}: target = '{target}' has {infinite} infinite values")
            found.append(read[0])
        return np.stack(found, 1).astype(np.float32)

    def _names(self, table: pd.DataFrame, column: str | None) -> np.ndarray | None:
        return None if column is None else names(table[column]).to_numpy(dtype=str)

    def _dates(self, table: pd.DataFrame) -> np.ndarray | None:
        if self.time is None:
            return None
        try:
            found = dates(table[self.time])
        except ValueError as error:
            raise UserError(f"{self.called}: time = '{self.time}': {error}") from None
        if found is None:
            raise UserError(
                f"{self.called}: time = '{self.time}': '{table[self.time].iloc[0]}' and others are no dates; allowed: "
                "such as 2020-12-31 or 2020-12-31 12:00, 31.12.2020, and years"
            )
        return found


def _left_out(count: int, which: str) -> str:
    return f"1 row {which} was left out" if count == 1 else f"{count} rows {which} were left out"
