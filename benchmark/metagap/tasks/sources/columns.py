"""Columns of a table as numbers, dates or names, in whatever form they are written."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

FEW = 20
"""A column of so many different values may be one of categories, although some of them are numbers."""

AROUND = re.compile(r"[\s\u00a0\u202f%€$£¥₹]|\b(?:EUR|USD|GBP|CHF)\b|(?<=\d)'(?=\d{3})")
"""What may be around a number, or divide its thousands, and means nothing."""
MINUS = re.compile("[\u2212\u2013]")
"""What typesetters write for it."""
PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?", re.IGNORECASE)
COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
"""1,234.5"""
POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d*)?")
"""1.234,5"""
DECIMAL = re.compile(r"[+-]?\d*(?:,\d+|\d)(?:[eE][+-]?\d+)?")
"""1234,5 or 1234"""


def _any_of(*patterns: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{one.pattern})" for one in patterns), re.IGNORECASE)


READINGS = ((".", ",", COMMAS, _any_of(PLAIN, COMMAS)), (",", ".", POINTS, _any_of(POINTS, DECIMAL)))
"""What divides fractions and thousands, numbers with thousands, and all numbers that are so written."""
NUMBER = _any_of(PLAIN, COMMAS, POINTS, DECIMAL)

ORDERS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")


def is_text(column: pd.Series) -> bool:
    """Whether a column holds neither numbers nor dates, as far as its type says."""
    return not pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_datetime64_any_dtype(column)


def numbers(column: pd.Series, decimal_comma: bool) -> tuple[np.ndarray, str] | None:
    """A column as float64 (n,), NaN where it is missing, and how it was read where that is not plain; or None.

    None: some values are no numbers. Texts such as "1,234", "1.234,5", "€ 12" and "true" are.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        return None
    if not is_text(column):
        return column.to_numpy(np.float64, na_value=np.nan), ""
    there = column.dropna()
    raw = there.astype(str).str.strip()
    if raw.str.lower().isin(["true", "false"]).all():
        return _filled(column, there.index, raw.str.lower().eq("true").to_numpy(np.float64)), ""
    texts = _bare(raw)
    for point, thousands, divided, whole in READINGS[::-1] if decimal_comma else READINGS:
        if not texts.str.fullmatch(whole).all():
            continue
        plain = texts.where(~texts.str.fullmatch(divided), texts.str.replace(thousands, "", regex=False))
        plain = plain.str.replace(point, ".", regex=False)
        values = plain.to_numpy(dtype=object).astype(np.float64)
        odd = (plain != raw).to_numpy()
        said = f"'{raw[odd].iloc[0]}' is read as {values[odd][0]:.12g}" if odd.any() else ""
        return _filled(column, there.index, values), said
    return None


def infinite(values: np.ndarray) -> int:
    """How many values are infinite, or too large for float32."""
    return int((np.abs(values) > np.finfo(np.float32).max).sum())


def dates(column: pd.Series) -> np.ndarray | None:
    """A column as datetime64[s] (n,), NaT where it is missing; None where some values are no dates.

    Dates are such as 2020-12-31, with or without a time; 31.12.2020 and the like if one order of day and month fits
    all of them; and years. Raises ValueError where both orders do.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        return _naive(column)
    if pd.api.types.is_numeric_dtype(column):
        there = column.dropna()
        if len(there) and (there == there.round()).all() and there.between(1000, 2999).all():
            return _naive(pd.to_datetime(column.astype("Int64").astype("string"), format="%Y"))
        return None
    there = column.dropna()
    texts = there.astype(str).str.strip()
    if not len(texts) or not texts.str.contains(r"\d\D\d", regex=True).all():
        return None
    found = {}
    for order in ("ISO8601", *ORDERS):
        read = pd.to_datetime(texts, format=order, errors="coerce", utc=True)
        if read.notna().all():
            found[order] = read
    if not found:
        return None
    first = next(iter(found.values()))
    if any(not other.equals(first) for other in found.values()):
        raise ValueError(f"'{texts.iloc[0]}' may have the day or the month first; allowed: dates such as 2020-12-31")
    return _naive(first.reindex(column.index))


def names(column: pd.Series) -> pd.Series:
    """A column as texts, missing where it is; whole numbers without a point."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() == column.dropna().round()).all():
        column = column.astype("Int64")
    texts = column.astype("string").str.strip()
    return texts.mask(texts == "")


def ordered(values: Sequence[str]) -> list[str]:
    """Different names in order: of numbers by size, of anything else by the alphabet."""
    different = set(values)
    try:
        return sorted(different, key=lambda name: (float(name), name))
    except ValueError:
        return sorted(different)


def no_numbers(values: pd.Series) -> pd.Series:
    """The texts in a column of names that are no numbers, however numbers are written."""
    there = values.dropna()
    return there[~_bare(there).str.fullmatch(NUMBER)]


def oddity(values: pd.Series) -> str:
    """What keeps a column of names from being one of numbers."""
    odd, there = no_numbers(values), values.dropna()
    if len(odd):
        return f"{len(odd)} of {len(there)} values are no numbers, such as '{odd.iloc[0]}'"
    against = [there[~_bare(there).str.fullmatch(whole)] for *_, whole in READINGS]
    such = " and ".join(f"'{one.iloc[0]}'" for one in against if len(one))
    return f"numbers are written in more than one way, such as {such}"


def _bare(texts: pd.Series) -> pd.Series:
    """Texts without what may be around a number."""
    return texts.str.replace(AROUND, "", regex=True).str.replace(MINUS, "-", regex=True)


def _filled(column: pd.Series, index: pd.Index, values: np.ndarray) -> np.ndarray:
    return pd.Series(values, index, dtype=np.float64).reindex(column.index).to_numpy()


def _naive(column: pd.Series) -> np.ndarray:
    """In coordinated universal time, without saying so."""
    return pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[s]")
