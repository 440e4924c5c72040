"""Whether the support set of a task pulls the parameters where its queries would."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from metagap.algorithms.base import Params
from metagap.quantities.inner_loop import InnerLoop, cosine, no_gradients
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.episode import Episode, Support

CITATION = (
    "the gradients are those of Nichol, Achiam, Schulman (2018), section 5.1; comparing support and query is ours"
)
COST = "2 gradients per episode, on the support set and on the queries"


def _alignment(watched: Watched, point: Callable[[InnerLoop], Callable[[Params, Episode], Params]]) -> Tensor:
    loop = InnerLoop.of(watched)

    def of_one(meta: Params, task: Episode) -> Tensor:
        at = point(loop)(meta, task)
        return cosine(loop.gradient(at, task.support), loop.gradient(at, Support(task.query_x, task.query_y)))

    return watched.each(of_one, watched.target(watched.episodes))


SUPPORT_QUERY_ALIGNMENT = Quantity(
    name="support-query-alignment",
    about="Cosine between the gradients on support set and queries where adaptation starts; near 1, what adaptation "
    "descends first is what the queries need.",
    citation=CITATION,
    cost=COST,
    measure=lambda watched: _alignment(watched, lambda loop: loop.start),
    applies=no_gradients,
)
ADAPTED_SUPPORT_QUERY_ALIGNMENT = Quantity(
    name="adapted-support-query-alignment",
    about="Cosine between the gradients on support set and queries at the adapted weights; near 1, more steps would "
    "still help on the queries, and near 0 or below, what is left to learn from the support set is of no use to them.",
    citation=CITATION,
    cost=f"1 adaptation, and {COST}",
    measure=lambda watched: _alignment(watched, lambda loop: loop.end),
    applies=no_gradients,
)
