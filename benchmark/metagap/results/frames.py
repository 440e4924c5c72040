"""Data frames from plain values, and as plain rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a data frame, each by the names of its columns, which are texts."""
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


def empty(columns: Mapping[str, type]) -> pd.DataFrame:
    """A data frame of these columns without rows."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
