"""Published values next to ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.analysis.grids import Grids
from benchmark.analysis.intervals import LEVEL, over_episodes, over_seeds, summarise

if TYPE_CHECKING:
    from benchmark.results import Results

COLUMNS = [
    "algorithm", "split", "step", "published", "published_interval", "kind", "source", "mark",
    "ours", "episodes_low", "episodes_high", "seeds_low", "seeds_high", "median", "iqm", "diverged",
    "difference", "seeds", "n_episodes", "verdict",
]  # fmt: skip


def published_table(results: Results, level: float = LEVEL) -> pd.DataFrame:
    """One row per entry of the suite's `published` list, in its order, with our value of the same quantity.

    Accuracies are fractions; regression values are positive mean squared errors, unlike the scores elsewhere. An entry
    whose algorithm, split or step was not run is kept, with NaN.

    - ours, median, iqm: over the episodes of each seed, averaged over seeds; episodes_low/high: new episodes for these
      runs (what papers print); seeds_low/high: over seeds, NaN for one seed.
    - difference: ours - published.
    - verdict: "compatible" if the difference is within the published and our interval together (the root of the sum of
      the squared half-widths; ours is over seeds if there are two or more; a missing published interval counts as
      zero), else "ours is higher" or "ours is lower"; "cannot tell" if our interval is wider than the published value
      is large; "not run".
    """
    grids = Grids(results)
    rows = [entry | _ours(grids, entry, level) for entry in map(_entry, results.suite.get("published") or [])]
    return pd.DataFrame(rows, columns=COLUMNS)


def _entry(published: dict) -> dict:
    interval = published.get("interval")
    return {
        "algorithm": published["algorithm"],
        "split": published["split"],
        "step": published.get("step"),
        "published": float(published["value"]),
        "published_interval": np.nan if interval is None else float(interval),
        "kind": published.get("kind"),
        "source": published.get("source"),
        "mark": published.get("mark"),
    }


def _ours(grids: Grids, entry: dict, level: float) -> dict:
    algorithm, split, step = entry["algorithm"], entry["split"], entry["step"]
    column = "query_loss" if grids.kind == "regression" else "query_score"
    grid = grids.get(algorithm, split, step=step, column=column) if algorithm in grids.algorithms else None
    if grid is None:
        blank = {name: np.nan for name in COLUMNS[COLUMNS.index("ours") : COLUMNS.index("seeds")]}
        return blank | {"seeds": 0, "n_episodes": 0, "verdict": "not run"}
    values = grid.to_numpy()
    episodes, seeds = over_episodes(values, level=level), over_seeds(values, level=level)
    difference = episodes.center - entry["published"]
    half = (seeds if len(values) > 1 else episodes).half
    return {
        "step": grids.headline[algorithm] if step is None else step,
        "ours": episodes.center,
        "episodes_low": episodes.low,
        "episodes_high": episodes.high,
        "seeds_low": seeds.low,
        "seeds_high": seeds.high,
        "median": summarise(values, "median").mean(),
        "iqm": summarise(values, "iqm").mean(),
        "diverged": grids.get(algorithm, split, step=step, column="diverged").to_numpy().mean(),
        "difference": difference,
        "seeds": values.shape[0],
        "n_episodes": values.shape[1],
        "verdict": _verdict(difference, half, entry["published"], np.nan_to_num(entry["published_interval"])),
    }


def _verdict(difference: float, half: float, published: float, published_half: float) -> str:
    if not np.isfinite([difference, half]).all() or half > abs(published):
        return "cannot tell"
    if abs(difference) <= np.hypot(half, published_half):
        return "compatible"
    return "ours is higher" if difference > 0 else "ours is lower"
