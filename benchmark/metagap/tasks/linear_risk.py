"""The exact risk of estimators on linear tasks, in closed form; numpy alone.

A task is w with mean m and covariance C, its support set is y = X w + e with X from a pool of designs, and e of
variance s^2. Queries are x of mean zero and covariance Q, with y = x w + e. Whatever X and w are drawn from, they are
independent of each other and of the noise.

An estimator that is affine in the targets is, on one design, w_hat = a + B y. Its error w_hat - w is
a + (B X - I) w + B e, and with D = B X - I the expected squared error of a query is

    s^2 + (a + D m)' Q (a + D m) + tr(Q D C D') + s^2 tr(Q B B'),

noise of the query, bias, variance of the tasks and noise of the support set. The risk is the mean over the pool.
Gradient descent on squared errors, however many steps, and ridge regression are such estimators. So is the Bayes
predictor of Gaussian tasks, and no other one that is affine has less risk, whatever w is drawn from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Facts:
    """All that the risk on linear tasks depends on; d inputs, P designs of n support examples each.

    Attributes:
        mean: of the weights w, (d,).
        covariance: of the weights, (d, d).
        designs: the pool of support inputs, (P, n, d), all equally likely.
        input_covariance: of the query inputs, whose mean is zero, (d, d).
        noise: standard deviation of the noise on every target.
    """

    mean: Array
    covariance: Array
    designs: Array
    input_covariance: Array
    noise: float


class Estimators(NamedTuple):
    """The estimator w_hat = offset + slope y on every design: offset (P, d), slope (P, d, n)."""

    offset: Array
    slope: Array


class Parts(NamedTuple):
    """What a risk is the sum of: noise of the queries, bias, spread of the tasks, noise of the support set."""

    query_noise: float
    bias: float
    tasks: float
    support_noise: float

    @property
    def risk(self) -> float:
        """The expected squared error of a query."""
        return sum(self)


def risk(facts: Facts, estimators: Estimators) -> float:
    """The expected squared error of a query."""
    return parts(facts, estimators).risk


def parts(facts: Facts, estimators: Estimators) -> Parts:
    """The same by where it comes from."""
    offset, slope = estimators
    deviation = slope @ facts.designs - np.eye(len(facts.mean))
    bias = offset + deviation @ facts.mean
    q, variance = facts.input_covariance, facts.noise**2
    return Parts(
        variance,
        float(np.einsum("pi,ij,pj->p", bias, q, bias).mean()),
        float(np.einsum("ij,pjk,kl,pil->p", q, deviation, facts.covariance, deviation).mean()),
        float(variance * np.einsum("ij,pjk,pik->p", q, slope, slope).mean()),
    )


def best(facts: Facts) -> Estimators:
    """The posterior means of Gaussian tasks with these moments: of all affine estimators those of least risk."""
    x, c = facts.designs, facts.covariance
    across = c @ x.swapaxes(1, 2)  # (P, d, n), the covariance of w and y
    spread = x @ across + facts.noise**2 * np.eye(x.shape[1])
    slope = across @ np.linalg.pinv(spread, hermitian=True)  # without noise there may be more targets than dimensions
    return _consistent(facts, slope, facts.mean)


def gradient_descent(facts: Facts, start: ArrayLike, rate: float, steps: int) -> Estimators:
    """`steps` steps of size `rate` down the mean squared error of the support set, from `start` (d,)."""
    x = facts.designs
    gram, pull = (2 / x.shape[1] * x.swapaxes(1, 2) @ side for side in (x, np.eye(x.shape[1])))
    slope = np.zeros_like(pull)
    for _ in range(steps):
        slope = slope - rate * (gram @ slope - pull)
    return _consistent(facts, slope, start)


def ridge(facts: Facts, start: ArrayLike, strength: float) -> Estimators:
    """The least sum of squared errors plus `strength` times the squared distance to `start` (d,)."""
    x = facts.designs
    transposed = x.swapaxes(1, 2)
    slope = np.linalg.solve(transposed @ x + strength * np.eye(x.shape[2]), transposed)
    return _consistent(facts, slope, start)


def _consistent(facts: Facts, slope: Array, start: ArrayLike) -> Estimators:
    """start + B (y - X start).

    With D = B X - I its bias is D (m - start): whatever the inner loop, m is where it starts from at least risk, and
    learners differ by their slopes alone.
    """
    start = np.asarray(start, dtype=float)
    return Estimators(start - np.einsum("pdn,pnk,k->pd", slope, facts.designs, start), slope)
