"""Data frames as plain rows."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a data frame, each by the names of its columns, which are texts."""
    return cast("list[dict[str, Any]]", frame.to_dict("records"))
