"""What a learned policy does in the first test tasks of a split, to show to people."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.algorithms.policies.actor import Actor
from metagap.runner import randomness
from metagap.runner.context import TrainingContext
from metagap.suite import Split
from metagap.tasks.episode import Support
from metagap.tasks.sampling import Drawn, Sampler
from metagap.tasks.showing import SHOWN, scene
from metagap.tasks.world import Rollouts


def shown_rollouts(
    context: TrainingContext, meta: Params, split: Split, sampler: Sampler[Any], drawn: Drawn[Any]
) -> dict[str, np.ndarray]:
    """One rollout of each of the first tasks after 0, 1, ... inner steps, as `showing.scene` has it.

    It is the first of the rollouts that are scored.
    """
    spec = sampler.spec
    algorithm = cast("Actor", context.bind(spec, test=True))
    randomness.seed(context.seed(split, "rollouts that are shown"))
    episodes = sampler.episode(drawn[: min(SHOWN, len(drawn))]).to(context.device, context.dtype)
    steps = context.cell.evaluation.path_steps

    def path(support_x: Tensor, support_y: Tensor, query_x: Tensor) -> list[Rollouts]:
        found = algorithm.adapt_path(meta, Support(support_x, support_y), steps)
        return [algorithm.run(fast, query_x[:1]) for fast in found]

    paths = [path(*one) for one in zip(episodes.support_x, episodes.support_y, episodes.query_x, strict=True)]
    of_steps = zip(*paths, strict=True)
    named = {f"{step} inner step{'s' * (step != 1)}": list(found) for step, found in enumerate(of_steps)}
    return scene(spec.world, episodes.query_x[:, :1], named)
