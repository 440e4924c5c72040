"""Which episodes diverged, and how a diverged score is ordered. Diverged episodes are counted, never dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from metagap.kinds import TaskKind


def diverged(loss: np.ndarray, kind: TaskKind, null_loss: float) -> np.ndarray:
    """Whether each query loss is one of a diverged episode: the shape of `loss`, bool.

    An episode diverged when its query loss is not finite or, where the kind says so, exceeds a multiple of `null_loss`.

    Args:
        loss: query losses of a split.
        kind: the kind of task; in regression the factor is ten, and classification has none.
        null_loss: the mean loss of the trivial predictor on that split, in which each episode counts once.
    """
    broken = ~np.isfinite(loss)
    return broken if kind.divergence is None else broken | (loss > kind.divergence * null_loss)


def worst_if_nan(values: np.ndarray, worst: float) -> np.ndarray:
    """NaN as the worst value there is (-inf for a score, inf for a loss), so that order statistics can rank it."""
    return np.where(np.isnan(values), worst, values)
