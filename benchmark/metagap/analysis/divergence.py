"""Which episodes diverged, and how a diverged score is ordered. Diverged episodes are counted, never dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from metagap.kinds import TaskKind


def diverged(episodes: pd.DataFrame, kind: TaskKind) -> pd.Series:
    """Whether each row of `episodes` diverged: shape (rows,), bool.

    A row diverged when its query loss is not finite or, where the kind says so, exceeds a multiple of the mean
    `null_loss` of its split: the loss of the trivial predictor.

    Args:
        episodes: with the columns split, condition, episode, query_loss and null_loss.
        kind: the kind of task; in regression the factor is ten, and classification has none.
    """
    loss = episodes["query_loss"]
    broken = ~pd.Series(np.isfinite(loss.to_numpy(dtype=float)), index=episodes.index)
    if kind.divergence is None:
        return broken
    # Each episode counts once, however many algorithms, seeds and steps it was met with.
    each = episodes.drop_duplicates(["split", "condition", "episode"])
    trivial = each.groupby("split", observed=True)["null_loss"].mean()
    return broken | (loss > kind.divergence * episodes["split"].map(trivial).astype(float))


def worst_if_nan(values: pd.Series, worst: float) -> pd.Series:
    """NaN as the worst value there is (-inf for a score, inf for a loss), so that order statistics can rank it."""
    return values.astype(float).fillna(worst)
