"""How much better adapted weights fit the examples that they were adapted to."""

from __future__ import annotations

from torch import Tensor

from metagap.algorithms.base import Params
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.episode import Episode


def _measure(watched: Watched) -> Tensor:
    """Query loss minus support loss after adaptation, (episodes,)."""
    algorithm, columns = watched.algorithm, watched.spec.columns

    def one_task(meta: Params, episode: Episode) -> Tensor:
        fast = algorithm.adapt(meta, episode.support, watched.steps)
        support, query = (algorithm.predict(fast, x)[:, columns] for x in (episode.support_x, episode.query_x))
        return algorithm.loss(query, episode.query_y) - algorithm.loss(support, episode.support_y)

    return watched.each(one_task, watched.target(watched.episodes))


SUPPORT_QUERY_LOSS_GAP = Quantity(
    name="support-query-loss-gap",
    about="Loss on the queries minus loss on the support set after adaptation; a large value means that adaptation "
    "fits the support set rather than the task.",
    citation="Denevi et al. (2018), Learning To Learn Around A Common Mean; Bai et al. (2021), How Important is the "
    "Train-Validation Split in Meta-Learning?",
    cost="one adaptation per episode",
    measure=_measure,
)
