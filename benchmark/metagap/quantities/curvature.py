"""How curved the inner loop's objective is along the way of adaptation, and where it ends."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.engine.kernels import differentiable
from metagap.quantities.coherence import GUIROY
from metagap.quantities.inner_loop import InnerLoop, dot, no_gradients
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.episode import Episode

TOLERANCE = 1e-2
"""Relative, of the largest curvature; as a rule it is hundred times as precise."""
VECTORS = 6
"""Of the Lanczos iteration, each as large as the parameters. With more it takes as many more products."""
RESTARTS = 100
"""After them there is no value."""


def _initial(watched: Watched) -> Tensor:
    """v' H v / v' v, with H where adaptation starts and v the displacement, (episodes,)."""
    loop = InnerLoop.of(watched)

    def of_one(meta: Params, task: Episode) -> Tensor:
        start = loop.start(meta, task)
        way = loop.moved(start, loop.end(meta, task))
        return dot(loop.curved(start, task.support, way), way) / dot(way, way)

    return watched.each(of_one, watched.target(watched.episodes))


def _along(watched: Watched) -> Tensor:
    """The mean of v' H v / v' v over the straight way: by the fundamental theorem, of the slopes at its two ends."""
    loop = InnerLoop.of(watched)

    def of_one(meta: Params, task: Episode) -> Tensor:
        start, end = loop.start(meta, task), loop.end(meta, task)
        way = loop.moved(start, end)
        first, last = (dot(loop.inner_gradient(point, task.support), way) for point in (start, end))
        return (last - first) / dot(way, way)

    return watched.each(of_one, watched.target(watched.episodes))


def _largest(watched: Watched) -> Tensor:
    """The largest eigenvalue of H where adaptation ends, (episodes,)."""
    loop, episodes = InnerLoop.of(watched), watched.target(watched.episodes)
    generator, found = watched.generator("largest curvature"), []
    with torch.no_grad(), differentiable():
        for i in range(len(episodes.support_x)):
            task = Episode(*(field[i] for field in episodes))
            found.append(_eigenvalue(loop, loop.end(watched.meta, task), task, generator))
    return torch.tensor(found, dtype=torch.float64)


def _eigenvalue(loop: InnerLoop, point: Params, task: Episode, generator: torch.Generator) -> float:
    """The largest one, by the Lanczos iteration of ARPACK; not a number without convergence."""
    hessian = _Hessian(loop, point, task)
    start = torch.randn(hessian.shape[0], dtype=torch.float64, generator=generator).numpy().astype(hessian.dtype)
    image = hessian.matvec(start)
    if not np.isfinite(image).all():
        return math.nan  # adaptation diverged
    if len(start) == 1 or not image.any():  # nothing to iterate
        return float(image[0] / start[0])
    try:
        found = eigsh(
            hessian,
            1,
            which="LA",
            v0=start,
            ncv=min(VECTORS, len(start)),
            maxiter=RESTARTS,
            tol=TOLERANCE,  # pyright: ignore[reportArgumentType]
        )
    except ArpackNoConvergence:
        return math.nan
    return float(found[0][0])


class _Hessian(LinearOperator):
    """The second derivative of one task's support loss at a point, as a matrix of which only products are known."""

    def __init__(self, loop: InnerLoop, point: Params, task: Episode):
        self._loop, self._point, self._task = loop, point, task
        self._variables = loop.parameters(point)
        self._like = next(iter(self._variables.values()))
        size = sum(value.numel() for value in self._variables.values())
        super().__init__(torch.empty(0, dtype=self._like.dtype).numpy().dtype, (size, size))

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        pieces = torch.from_numpy(x.reshape(-1)).to(self._like)
        pieces = pieces.split([value.numel() for value in self._variables.values()])
        names = self._variables.items()
        vector = {name: piece.view_as(value) for (name, value), piece in zip(names, pieces, strict=True)}
        curved = self._loop.curved(self._point, self._task.support, vector)
        return torch.cat([curved[name].flatten() for name in vector]).cpu().numpy()


INITIAL_CURVATURE = Quantity(
    name="initial-curvature",
    about="Second derivative of the support loss where adaptation starts, in the direction in which it goes; where it "
    "exceeds 2 / inner_lr, a step of gradient descent overshoots.",
    citation=f"ours, after {GUIROY}, who look at the Hessian's norm",
    cost="1 adaptation and 1 Hessian-vector product per episode",
    measure=_initial,
    applies=no_gradients,
)
PATH_CURVATURE = Quantity(
    name="path-curvature",
    about="Second derivative of the support loss along the straight way from the start of adaptation to its end, on "
    "the average; large where adaptation climbs out of, or falls into, a narrow valley.",
    citation=f"ours, after {GUIROY}, who look at the Hessian's norm",
    cost="1 adaptation and 2 gradients per episode",
    measure=_along,
    applies=no_gradients,
)
LARGEST_CURVATURE = Quantity(
    name="largest-curvature",
    about="Largest eigenvalue of the Hessian of the support loss at the adapted weights; large where adaptation "
    "ends in a sharp minimum.",
    citation=GUIROY,
    cost="1 adaptation and about 10 Hessian-vector products per episode, one task at a time",
    measure=_largest,
    applies=no_gradients,
)
