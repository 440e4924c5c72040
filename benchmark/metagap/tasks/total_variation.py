"""How different two distributions can look at most: upper bounds on their total variation, in [0, 1].

Whatever is computed from a draw is no easier to tell apart than the draw itself, so that a bound for the parameters and
the noise of a task is one for its examples.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

Interval = tuple[float, float]


def of_all(parts: Iterable[float]) -> float:
    """Of independent parts together: their overlaps 1 - t multiply, or there is more."""
    return float(1 - np.prod([1 - part for part in parts]))


def of_intervals(a: Interval, b: Interval) -> float:
    """Of uniform distributions over two intervals, each of which may be one point; exact."""
    if a == b:
        return 0.0
    shared, longest = min(a[1], b[1]) - max(a[0], b[0]), max(a[1] - a[0], b[1] - b[0])
    return float(1 - max(shared, 0.0) / longest) if longest else 1.0


def of_normals(mean_a: ArrayLike, scale_a: ArrayLike, mean_b: ArrayLike, scale_b: ArrayLike) -> float:
    """Of normal distributions with independent coordinates (d,); exact where the scales are the same, or d is 1.

    Else the least of what follows from the coordinates' own, and from the divergence K in either direction: (K / 2)^1/2
    (Pinsker) and (1 - exp(-K))^1/2 (Bretagnolle and Huber). A scale may be zero.
    """
    values = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float)) for v in (mean_a, scale_a, mean_b, scale_b)))
    differ = (values[0] != values[2]) | (values[1] != values[3])
    m, s, n, t = (value[differ] for value in values)
    if not len(m):
        return 0.0
    if not np.all((s > 0) & (t > 0)):
        return 1.0
    if np.all(s == t):
        return 2 * _below(float(np.linalg.norm((m - n) / s)) / 2) - 1
    divergences = [np.sum(np.log(q / p) + (p**2 + (m - n) ** 2) / (2 * q**2) - 0.5) for p, q in ((s, t), (t, s))]
    bounds = [bound for k in divergences for bound in (np.sqrt(k / 2), np.sqrt(-np.expm1(-k)))]
    return float(min(*bounds, of_all(map(_of_two, m, s, n, t))))


def _of_two(m: float, s: float, n: float, t: float) -> float:
    """Of two normal distributions in one dimension: where their densities cross, their masses differ most."""
    if s == t:
        return float(2 * _below(abs(m - n) / s / 2) - 1)
    crossings = np.roots(
        [1 / s**2 - 1 / t**2, 2 * (n / t**2 - m / s**2), (m / s) ** 2 - (n / t) ** 2 + 2 * np.log(s / t)]
    )
    low, high = np.sort(crossings.real)
    mass = [_below((high - mean) / spread) - _below((low - mean) / spread) for mean, spread in ((m, s), (n, t))]
    return float(abs(mass[0] - mass[1]))


def _below(x: float) -> float:
    """The mass of the standard normal distribution below x."""
    from scipy.special import ndtr  # a fifth of a second, for what few suites ask

    return float(ndtr(x))
