"""A column that orders the steps of series: numbers or dates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from metagap.errors import UserError
from metagap.tasks.sources import columns


def read_times(column: pd.Series, said: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Positions in time (n,), the dates (n,) where they are such, and which rows have any (n,).

    said: how messages begin. Raises UserError where the values are neither dates nor numbers, or not clear.
    """
    if not (known := column.notna().to_numpy()).any():
        raise UserError(f"{said}: the column has no values")
    try:
        dates = columns.dates(column)
    except ValueError as error:
        raise UserError(f"{said}: {error}") from None
    if dates is not None:
        exact = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)  # to fractions of seconds
        if columns.is_text(column) and exact[known].notna().all():
            dates = exact.dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
        elif pd.api.types.is_datetime64_any_dtype(column):
            dates = pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[ns]")
        return dates.astype(np.int64), dates, known
    read = columns.numbers(column, False)
    if read is None:
        there = column.dropna().astype(str)
        odd = columns.no_numbers(columns.names(column))
        raise UserError(
            f"{said}: '{(odd if len(odd) else there).iloc[0]}' and others are neither dates nor numbers; allowed: such "
            "as 2020-12-31 12:00:00.5 or 17.25"
        )
    if infinite := columns.infinite(read[0]):
        raise UserError(f"{said}: {infinite} values are infinite")
    return read[0], None, known
