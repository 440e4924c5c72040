"""Which episodes diverged, and how a diverged score is ordered. Diverged episodes are counted, never dropped."""

import numpy as np
import pandas as pd

FACTOR = 10.0


def diverged(episodes: pd.DataFrame, kind: str) -> pd.Series:
    """Whether each row of `episodes` diverged: shape (rows,), bool.

    A row diverged when its query loss is not finite or, in regression only (squared errors have no ceiling, and a
    confident wrong classifier is not a diverged one), exceeds ten times the mean `null_loss` of its split: the error of
    always answering zero.

    Args:
        episodes: with the columns split, condition, episode, query_loss and null_loss.
        kind: "classification" or "regression".
    """
    loss = episodes["query_loss"]
    broken = ~pd.Series(np.isfinite(loss.to_numpy(dtype=float)), index=episodes.index)
    if kind != "regression":
        return broken
    # Each episode counts once, however many algorithms, seeds and steps it was met with.
    each = episodes.drop_duplicates(["split", "condition", "episode"])
    trivial = each.groupby("split", observed=True)["null_loss"].mean()
    return broken | (loss > FACTOR * episodes["split"].map(trivial).astype(float))


def worst_if_nan(values: pd.Series, worst: float) -> pd.Series:
    """NaN as the worst value there is (-inf for a score, inf for a loss), so that order statistics can rank it."""
    return values.astype(float).fillna(worst)
