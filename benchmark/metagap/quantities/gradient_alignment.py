"""Whether two mini-batches of one task pull the parameters the same way."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.quantities.inner_loop import InnerLoop, cosine, dot, no_gradients
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.episode import Episode, Support

CITATION = "Nichol, Achiam, Schulman (2018), On First-Order Meta-Learning Algorithms, section 5"
COST = "2 gradients per episode, each on half of its examples"


class Halves(NamedTuple):
    """Two disjoint mini-batches of a task."""

    first: Support
    second: Support


def halves(task: Episode, ways: int) -> Halves:
    """Two mini-batches of one task's examples, support and query together, each with as many of every class.

    ways: 1 for regression. Of an odd number of examples of a class, the last is left out.
    """
    x, y = torch.cat([task.support_x, task.query_x]), torch.cat([task.support_y, task.query_y])
    each = len(x) // ways
    order = y.argsort(stable=True) if ways > 1 else torch.arange(len(x), device=x.device)
    of_class = order.view(ways, each)[:, : each // 2 * 2]
    return Halves(*(Support(x[rows], y[rows]) for rows in (of_class[:, i::2].flatten() for i in (0, 1))))


def _gradients(watched: Watched, measure: str) -> Tensor:
    loop, ways = InnerLoop.of(watched), watched.spec.ways
    compare = {"cosine": cosine, "product": dot}[measure]

    def of_one(meta: Params, task: Episode) -> Tensor:
        start = loop.start(meta, task)
        return compare(*(loop.gradient(start, half) for half in halves(task, ways)))

    return watched.each(of_one, watched.target(watched.episodes))


GRADIENT_ALIGNMENT = Quantity(
    name="gradient-alignment",
    about="Cosine between the gradients of two disjoint mini-batches of one task where adaptation starts; near 1, a "
    "step on one of them helps on the other.",
    citation=CITATION,
    cost=COST,
    measure=lambda watched: _gradients(watched, "cosine"),
    applies=no_gradients,
)
GRADIENT_INNER_PRODUCT = Quantity(
    name="gradient-inner-product",
    about="Inner product of the gradients of two disjoint mini-batches of one task where adaptation starts, which the "
    "expansions of MAML and Reptile raise; large, a small step on one of them lowers the loss of the other by much.",
    citation=CITATION,
    cost=COST,
    measure=lambda watched: _gradients(watched, "product"),
    applies=no_gradients,
)
