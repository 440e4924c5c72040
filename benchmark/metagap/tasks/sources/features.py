"""The features of a table: numbers as they are, dates in days, categories as indicators or codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from metagap.errors import UserError
from metagap.tasks.sources import columns
from metagap.text import listed

MOST = 100
"""Different values of a text column that is taken for one of categories unasked."""
MOST_ONE_HOT = 1000
"""Different values of a category that has a column for each."""

Categories = Literal["one-hot", "codes"]


class Matrix(NamedTuple):
    """Features as `Records` has them."""

    x: np.ndarray
    """(n, features) float32, NaN where a number is missing."""
    names: list[str]
    levels: np.ndarray | None
    missing: dict[str, np.ndarray]
    """Which rows lack a value, (n,), of each column in which some do."""
    notes: list[str]


class Number(NamedTuple):
    """A column of numbers (n,), NaN where one is missing."""

    name: str
    values: np.ndarray


class Category(NamedTuple):
    """A column of names (n,), of which there are some; missing where they are."""

    name: str
    values: pd.Series
    different: list[str]


def matrix(
    table: pd.DataFrame,
    called: str,
    wanted: Sequence[str] | None,
    categories: Categories,
    decimal_comma: bool,
    indicate: bool,
) -> Matrix:
    """The features of a table.

    wanted: the columns that are to be features; None: all that can be. Categories are indicators of each value, which
    come after the numbers, or codes from 1 in the last columns. decimal_comma: how "1,234" is read. indicate: whether
    there is an indicator for what is missing. Raises UserError for a column that is not clear, or is wanted and cannot
    be a feature.
    """
    notes: list[str] = []
    left: list[str] = []
    found: list[Number | Category] = []
    for name in table.columns if wanted is None else wanted:
        one = _feature(table[name], name, decimal_comma, called, notes)
        fault = one if isinstance(one, str) else _fault(one, categories, wanted is not None)
        if fault and wanted is not None:
            raise UserError(f"{called}: features: column '{name}' {fault}")
        if fault:
            left.append(f"'{name}', which {fault}")
        elif not isinstance(one, str):
            found.append(one)
    if not found:
        why = f": left out {listed(left)}" if left else ""
        raise UserError(f"{called}: no column is left that can be a feature{why}")
    notes.append(f"features: {listed([one.name for one in found])}")
    if left:
        notes.append(f"left out: {listed(left)}")
    return _joined(found, categories, indicate, notes)


def _feature(
    column: pd.Series, name: str, decimal_comma: bool, called: str, notes: list[str]
) -> Number | Category | str:
    """A column as a feature, or what keeps it from being one."""
    there = column.dropna()
    if not len(there):
        return "has no values"
    if not pd.api.types.is_scalar(there.iloc[0]):
        return f"holds values of type {type(there.iloc[0]).__name__}"
    if (read := columns.numbers(column, decimal_comma)) is not None:
        values, said = read
        if infinite := columns.infinite(values):
            raise UserError(f"{called}: column '{name}' has {infinite} infinite values; allowed: finite ones, or none")
        if said:
            notes.append(f"'{name}': {said}")
        return Number(name, values)
    try:
        days = columns.dates(column)
    except ValueError as error:
        return f"is not clear: {error}"
    if days is not None:
        notes.append(f"'{name}': dates count as days")
        seconds = np.where(np.isnat(days), np.nan, days.astype(np.int64))
        return Number(name, seconds / 86_400)
    values = columns.names(column)
    different = columns.ordered(values.dropna().tolist())
    odd = columns.no_numbers(values)
    if not len(odd) or (len(different) > columns.FEW and len(odd) < len(there) / 2):
        raise UserError(
            f"{called}: column '{name}': {columns.oddity(values)}; allowed: list such texts in missing_values, or "
            "leave the column out of features"
        )
    return Category(name, values, different)


def _fault(one: Number | Category, categories: Categories, wanted: bool) -> str:
    """Why a feature is not taken unasked, or cannot be taken; empty where it is."""
    if isinstance(one, Number):
        counts = any(np.array_equal(one.values, np.arange(len(one.values)) + first) for first in (0, 1))
        return "counts the rows" if counts and not wanted else ""
    count = len(one.different)
    if not wanted and count > min(MOST, max(2, len(one.values) // 2)):
        return f"has {count} different texts"
    if categories == "one-hot" and count > MOST_ONE_HOT:
        return f"has {count} values, and {MOST_ONE_HOT} can be one-hot; allowed: categories = 'codes'"
    return ""


def _joined(found: Sequence[Number | Category], categories: Categories, indicate: bool, notes: list[str]) -> Matrix:
    """Numbers, then indicators, then codes."""
    numbers = [(one.name, one.values, 0) for one in found if isinstance(one, Number)]
    indicators: list[tuple[str, np.ndarray, int]] = []
    codes: list[tuple[str, np.ndarray, int]] = []
    lacking: dict[str, np.ndarray] = {}
    for one in found:
        if isinstance(one, Number):
            missing = np.isnan(one.values)
        else:
            code = pd.Categorical(one.values, one.different).codes.astype(np.int64) + 1
            missing = code == 0
            if categories == "codes":
                codes.append((one.name, code, len(one.different) + 1))
            else:
                indicators += [(f"{one.name}={value}", code == i, 1) for i, value in enumerate(one.different, 1)]
        if missing.any():
            lacking[one.name] = missing
            indicators += [(f"{one.name} is missing", missing, 1)] if indicate else []
    if codes:
        counts = [levels - 1 for *_, levels in codes]
        notes.append(f"the last {len(codes)} features are codes: for the model tabular-mlp, categories = {counts}")
    named, values, levels = zip(*numbers, *indicators, *codes, strict=True)
    return Matrix(np.stack(values, 1).astype(np.float32), list(named), np.array(levels), lacking, notes)
