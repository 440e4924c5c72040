"""Whether it matters which class of a task is called which."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Generator, Tensor

from metagap.engine.evaluate import Evaluator
from metagap.engine.strategy import Strategy
from metagap.quantities.quantity import EACH_AT_ONCE, Quantity, Watched

MOST = 24
"""Permutations of a task: all of up to four ways, a random sample of more."""


def permutations(ways: int, generator: Generator) -> Tensor:
    """Different permutations of the ways (permutations, ways): all of them, or a random sample of `MOST`."""
    if math.factorial(ways) <= MOST:
        return torch.tensor(list(itertools.permutations(range(ways))))
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < MOST:
        drawn[tuple(torch.randperm(ways, generator=generator).tolist())] = None
    return torch.tensor(list(drawn))


def _spread(watched: Watched) -> Tensor:
    """The standard deviation of the query accuracy over permutations of each episode's labels, (episodes,)."""
    evaluator = Evaluator(watched.algorithm, watched.spec, watched.steps, Strategy(chunk=EACH_AT_ONCE), last_only=True)
    episodes, scores = watched.target(watched.episodes), []
    orders = permutations(watched.spec.ways, watched.generator("permutations"))
    for order in orders.to(episodes.support_y.device):
        renamed = episodes._replace(support_y=order[episodes.support_y], query_y=order[episodes.query_y])
        scores.append(evaluator(watched.meta, renamed)["query_score"][:, 0])
    is_sample = len(orders) < math.factorial(watched.spec.ways)
    return torch.stack(scores).std(0, correction=int(is_sample))


PERMUTATION_SPREAD = Quantity(
    name="permutation-spread",
    about="Standard deviation of an episode's query accuracy over permutations of its labels, to which it should be "
    "indifferent; large where luck decides how well the learned head fits the classes.",
    citation="Ye, Chao (2022), How to Train Your MAML to Excel in Few-Shot Classification, ICLR",
    cost=f"up to {MOST} adaptations per episode",
    kinds=("classification",),
    measure=_spread,
)
