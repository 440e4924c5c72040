"""Whether different tasks pull the parameters the same way.

The mean over all pairs of n tasks of the products u_i . u_j is (n |m|^2 - s) / (n - 1), with m the mean of the vectors
and s the mean of their squared lengths: no vector has to be kept.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from metagap.algorithms.base import Params
from metagap.quantities.inner_loop import InnerLoop, dot, mean_over_tasks, no_adaptation, no_gradients
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.episode import Episode, Support

GUIROY = (
    "Guiroy, Verma, Pal (2019), Towards Understanding Generalization in Gradient-Based Meta-Learning, arXiv:1907.07287"
)

Direction = Callable[[InnerLoop, Params, Episode], Params]


def _displacement(loop: InnerLoop, meta: Params, task: Episode) -> Params:
    return loop.moved(loop.start(meta, task), loop.end(meta, task))


def _support_gradient(loop: InnerLoop, meta: Params, task: Episode) -> Params:
    return loop.gradient(loop.start(meta, task), task.support)


def _adapted_query_gradient(loop: InnerLoop, meta: Params, task: Episode) -> Params:
    return loop.gradient(loop.end(meta, task), Support(task.query_x, task.query_y))


def _coherence(watched: Watched, direction: Direction, *, unit: bool) -> float:
    """The mean product over pairs of tasks; unit: of the directions at length one, so that it is a cosine."""
    loop, n = InnerLoop.of(watched), watched.episodes

    def of_one(meta: Params, task: Episode) -> tuple[Params, Tensor]:
        vector = direction(loop, meta, task)
        square = dot(vector, vector)
        if unit:
            vector, square = {name: value / square.sqrt() for name, value in vector.items()}, square / square
        return vector, square

    mean, square = mean_over_tasks(watched, of_one)
    return float((n * dot(mean, mean) - square) / (n - 1))


def _applies(watched: Watched, fault: Callable[[Watched], str] = no_gradients) -> str:
    if watched.episodes < 2:
        return "it compares tasks, and evaluation.quantity_episodes is 1"
    return fault(watched)


ADAPTATION_COHERENCE = Quantity(
    name="adaptation-coherence",
    about="Mean cosine between the displacements by which two tasks adapt, over all pairs of tasks; large where all "
    "tasks adapt in the same direction.",
    citation=GUIROY,
    cost="1 adaptation per episode",
    measure=lambda watched: _coherence(watched, _displacement, unit=True),
    applies=lambda watched: _applies(watched, no_adaptation),
)
GRADIENT_COHERENCE = Quantity(
    name="gradient-coherence",
    about="Mean inner product of the support gradients of two tasks where adaptation starts, over all pairs of tasks; "
    "large where a small step on one task helps on the others.",
    citation=GUIROY,
    cost="1 gradient per episode",
    measure=lambda watched: _coherence(watched, _support_gradient, unit=False),
    applies=_applies,
)
ADAPTED_GRADIENT_COHERENCE = Quantity(
    name="adapted-gradient-coherence",
    about="Mean cosine between the query gradients of two tasks at their adapted weights, over all pairs of tasks; "
    "large where tasks agree on where the parameters that adapt should have started.",
    citation=f"ours, after {GUIROY}",
    cost="1 adaptation and 1 gradient per episode",
    measure=lambda watched: _coherence(watched, _adapted_query_gradient, unit=True),
    applies=_applies,
)
