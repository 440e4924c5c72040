"""How far adaptation goes."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from metagap.algorithms.base import CARRIED, PROGRESS, Params
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.episode import Episode


def _measure(watched: Watched) -> Tensor:
    """The length of the path through the weights over their norm before adaptation, (episodes,)."""

    def one_task(meta: Params, episode: Episode) -> Tensor:
        path = watched.algorithm.adapt_path(meta, episode.support, watched.steps)
        names = [name for name in path[0] if name != PROGRESS and not name.startswith(CARRIED)]
        points = [torch.cat([point[name].flatten() for name in names]) for point in path]
        moves = [(after - before).norm() for before, after in pairwise(points)]
        return torch.stack(moves).sum() / points[0].norm()

    return watched.each(one_task, watched.target(watched.episodes))


ADAPTATION_NORM = Quantity(
    name="adaptation-norm",
    about="Length of the path that the inner loop takes through the weights, over their norm before it; a large value "
    "means that a task is learned by moving far from the initialisation.",
    citation="Nichol, Achiam, Schulman (2018), On First-Order Meta-Learning Algorithms; Raghu et al. (2020), Rapid "
    "Learning or Feature Reuse?",
    cost="one adaptation per episode",
    measure=_measure,
    applies=lambda watched: watched.no_inner_steps,
)
