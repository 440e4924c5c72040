"""Whether predictions depend on the task's labels, or were learned by heart in meta-training."""

from __future__ import annotations

from torch import Tensor

from metagap.engine.evaluate import Evaluator, shuffled_support
from metagap.engine.strategy import Strategy
from metagap.quantities.inner_loop import no_adaptation
from metagap.quantities.quantity import EACH_AT_ONCE, Quantity, Watched


def _use_of_labels(watched: Watched) -> Tensor:
    """Query score minus what is left of it without the support labels, (episodes,)."""
    episodes = watched.target(watched.episodes)
    generator = watched.generator("shuffled labels")
    without = shuffled_support(episodes, generator) if watched.spec.kind.has_ways else episodes
    steps = watched.steps if watched.spec.kind.has_ways else 0

    def scores(steps: int) -> Evaluator:
        return Evaluator(watched.algorithm, watched.spec, steps, Strategy(chunk=EACH_AT_ONCE), last_only=True)

    full, left = scores(watched.steps)(watched.meta, episodes), scores(steps)(watched.meta, without)
    return (full["query_score"] - left["query_score"])[:, 0]


MEMORIZATION = Quantity(
    name="memorization",
    about="Query score minus that with shuffled support labels, or in regression minus that before adaptation; "
    "small where tasks are solved by heart, large where predictions depend on the support labels.",
    citation="the problem: Yin, Tucker, Zhou, Levine, Finn (2020), Meta-Learning without Memorization, ICLR; the "
    "measure is ours",
    cost="2 adaptations per episode",
    measure=_use_of_labels,
    applies=lambda watched: "" if watched.spec.kind.has_ways else no_adaptation(watched),
)
