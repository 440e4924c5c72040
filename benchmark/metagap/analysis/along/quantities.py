"""Recorded quantities against the iterations of meta-training, and at its end."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import pandas as pd

from metagap.analysis.grids import AVERAGE
from metagap.analysis.intervals import LEVEL, over_seeds

if TYPE_CHECKING:
    from metagap.results import Results

KEYS = ["quantity", "algorithm", "split"]
COLUMNS = [*KEYS, "iteration", "value", "low", "high", "interval", "seeds", "n_episodes"]


def quantity_curves(results: Results, level: float = LEVEL) -> pd.DataFrame:
    """One row per quantity x algorithm x split x iteration: the mean over the episodes of each run, then over the runs.

    split: empty for a quantity of a whole cell; "average" over the cross-domain splits of the suite's shape. low, high,
    interval: over the runs on these episodes, NaN for one run. n_episodes: 1 for a single number. A value that could
    not be measured is NaN, and so is a mean that it is in.
    """
    groups = _with_average(results).groupby([*KEYS, "iteration"], sort=False)
    rows = [_row(names, part, level) for names, part in groups]
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("iteration", kind="stable", ignore_index=True)


def final_quantities(results: Results, level: float = LEVEL) -> pd.DataFrame:
    """The same with one row per quantity x algorithm x split: of the last iteration at which each run was measured.

    iteration: the last of them, for without checkpoints each run is measured at the iteration that it selected.
    """
    table = _with_average(results)
    last = table.groupby([*KEYS, "seed"])["iteration"].transform("max")
    groups = table[table["iteration"] == last].groupby(KEYS, sort=False)
    rows = [_row((*names, int(part["iteration"].max())), part, level) for names, part in groups]
    return pd.DataFrame(rows, columns=COLUMNS)


def _with_average(results: Results) -> pd.DataFrame:
    """The mean over the episodes of each run, and over the domains where there are several, with `n_episodes`."""
    suite, keys = results.suite, [*KEYS, "seed", "iteration"]
    values = results.quantities.groupby(keys, sort=False)["value"]
    table = values.agg(value=lambda run: run.to_numpy(float).mean(), n_episodes="size").reset_index()
    domains = [
        split.name for split in suite.splits if split.role == "cross-domain" and not suite.is_shifted(split.name)
    ]
    away = table[table["split"].isin(domains)].assign(split=AVERAGE).groupby(keys, sort=False)
    means = away.agg(value=("value", lambda run: run.to_numpy(float).mean()), n_episodes=("n_episodes", "sum"))
    return pd.concat([table, means.reset_index()], ignore_index=True) if len(domains) > 1 else table


def _row(names: tuple[Hashable, ...], runs: pd.DataFrame, level: float) -> dict[str, Any]:
    found = over_seeds(runs["value"].to_numpy(float)[:, None], level=level)
    about = dict(zip(COLUMNS, names, strict=False))
    value = {"value": found.center, "low": found.low, "high": found.high, "interval": found.kind}
    return about | value | {"seeds": len(runs), "n_episodes": int(runs["n_episodes"].min())}
