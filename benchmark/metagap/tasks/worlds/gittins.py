"""Finite-horizon Gittins indices of Bernoulli arms: at what price a pull an arm is just worth to be pulled."""

from __future__ import annotations

from functools import cache

import numpy as np

PRICES = np.linspace(0, 1, 129)
"""Between them, worth is taken as linear."""


@cache
def indices(horizon: int, alpha: float, beta: float) -> np.ndarray:
    """The index of an arm with so many pulls left that paid and failed so often: (horizon + 1, horizon, horizon).

    By dynamic programming, at every price, from the last pull to the first: whoever pays for every pull stops when the
    arm is no longer worth it. What cannot happen in a game of `horizon` pulls is zero.
    """
    index = np.zeros((horizon + 1, horizon, horizon), np.float32)
    worth = np.zeros((horizon + 1, horizon + 1, len(PRICES)))
    for left in range(1, horizon + 1):
        n = horizon - left + 1  # before that it paid and failed less often
        paid, failed = np.arange(n)[:, None, None], np.arange(n)[None, :, None]
        p = (alpha + paid) / (alpha + beta + paid + failed)
        pulled = p - PRICES + p * worth[1 : n + 1, :n] + (1 - p) * worth[:n, 1 : n + 1]
        index[left, :n, :n] = _root(pulled)
        worth = np.maximum(pulled, 0)
    return index


def _root(pulled: np.ndarray) -> np.ndarray:
    """The price at which a worth (..., prices), which falls, is zero: (...)."""
    after = (pulled > 0).sum(-1).clip(1, len(PRICES) - 1)
    high, low = (np.take_along_axis(pulled, place[..., None], -1)[..., 0] for place in (after - 1, after))
    return PRICES[after - 1] + PRICES[1] * high / np.maximum(high - low, 1e-12)
