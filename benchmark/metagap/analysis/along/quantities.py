"""Recorded quantities against the iterations of meta-training, and at its end."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metagap.analysis.intervals import LEVEL, over_seeds

if TYPE_CHECKING:
    from metagap.results import Results

KEYS = ["quantity", "algorithm", "split"]
COLUMNS = [*KEYS, "iteration", "value", "low", "high", "interval", "seeds", "n_episodes"]


def quantity_curves(results: Results, level: float = LEVEL) -> pd.DataFrame:
    """One row per quantity x algorithm x split x iteration: the mean over the episodes of each run, then over the runs.

    split: empty for a quantity of a whole cell. low, high, interval: over the runs on these episodes, NaN for one run.
    n_episodes: 1 for a single number. A value that could not be measured is NaN, and so is a mean that it is in.
    """
    groups = results.quantities.groupby([*KEYS, "iteration"], sort=False)
    rows = [_row(names, part, level) for names, part in groups]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("iteration", kind="stable", ignore_index=True)


def final_quantities(results: Results, level: float = LEVEL) -> pd.DataFrame:
    """The same with one row per quantity x algorithm x split: of the last iteration at which each run was measured.

    iteration: the last of them, for without checkpoints each run is measured at the iteration that it selected.
    """
    table = results.quantities
    last = table.groupby([*KEYS, "seed"])["iteration"].transform("max")
    groups = table[table["iteration"] == last].groupby(KEYS, sort=False)
    rows = [_row((*names, int(part["iteration"].max())), part, level) for names, part in groups]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(names: tuple[Hashable, ...], part: pd.DataFrame, level: float) -> dict[str, Any]:
    runs = part.groupby("seed")["value"]
    values = np.array([run.to_numpy(float).mean() for _, run in runs])
    found = over_seeds(values[:, None], level=level)
    about = dict(zip(COLUMNS, names, strict=False))
    value = {"value": found.center, "low": found.low, "high": found.high, "interval": found.kind}
    return about | value | {"seeds": len(values), "n_episodes": int(runs.size().min())}
