"""The exact risk of a learner on linear tasks, and the least that there is.

A learner is asked, not derived: on every design of the pool it adapts to targets of zero and to those that are one for
a single example. If it is affine in the targets, that is the learner, whatever its inner loop. Whether it is, other
targets and inputs tell.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metagap.algorithms.base import Algorithm, Params
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy, permitted
from metagap.errors import UserError
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks import linear_risk
from metagap.tasks.episode import Episode, Support
from metagap.tasks.linear import LinearTasks
from metagap.tasks.linear_risk import Estimators, Facts

NEARLY = 1e-8
"""The share of the largest prediction by which a learner may miss being linear, in float64."""
CITATION = "none: linear regression in closed form"


def asked(algorithm: Algorithm, meta: Params, steps: int, facts: Facts) -> Estimators:
    """A learner after some inner steps as an estimator on every design; algorithm: bound.

    Raises UserError where its predictions are not affine in the targets of the support set and linear in the inputs.
    """
    designs = torch.tensor(facts.designs)
    count, shots, d = designs.shape
    check = torch.linspace(-1, 2, shots, dtype=torch.float64)
    targets = torch.cat([torch.zeros(1, shots).double(), torch.eye(shots).double(), check[None]])
    inputs = torch.cat([torch.eye(d).double(), torch.zeros(1, d).double(), torch.linspace(2, -1, d).double()[None]])

    def one_task(meta: Params, episode: Episode) -> Tensor:
        fast = algorithm.adapt(meta, Support(episode.support_x, episode.support_y), steps)
        return algorithm.predict(fast, episode.query_x)[:, 0]

    questions = Episode(
        designs.repeat_interleave(len(targets), 0),
        targets.repeat(count, 1)[..., None],
        inputs.expand(count * len(targets), -1, -1),
        torch.zeros(count * len(targets), len(inputs), 1, dtype=torch.float64),
        torch.empty(count * len(targets), 0, dtype=torch.long),
    )
    meta = {name: value.cpu().double() for name, value in meta.items()}
    ask = TaskMap(one_task, permitted(Strategy(), algorithm), network=algorithm.network)
    answers = ask(meta, questions).detach().view(count, len(targets), len(inputs))
    weights, at_zero, at_check = answers[..., :d], answers[..., d], answers[..., d + 1]
    offset, slope = weights[:, 0], (weights[:, 1:-1] - weights[:, :1]).transpose(1, 2)
    size, name = answers.abs().max(), type(algorithm).__name__
    if not (torch.maximum(at_zero.abs(), (at_check - weights @ inputs[-1]).abs()) <= NEARLY * size).all():
        raise UserError(f"what {name} predicts with this model is not linear in the inputs")
    if not ((offset + slope @ check - weights[:, -1]).abs() <= NEARLY * size).all():
        raise UserError(f"what {name} predicts with this model is not affine in the targets of the support set")
    return Estimators(offset.numpy(), slope.numpy())


def _known(watched: Watched) -> Facts:
    tasks: Any = watched.target_tasks  # those that it applies to have it
    return tasks.facts(watched.spec)


def _asked(watched: Watched) -> Estimators:
    return asked(watched.algorithm, watched.meta, watched.steps, _known(watched))


def _applies(watched: Watched) -> str:
    return "" if isinstance(watched.target_tasks, LinearTasks) else "the tasks are not those of the source linear"


EXACT_RISK = Quantity(
    name="exact-risk",
    about="The expected squared error of a query on linear tasks, computed and not measured; what the mean MSE of a "
    "split estimates.",
    citation=CITATION,
    cost="one adaptation for each design and support example",
    kinds=("regression",),
    measure=lambda watched: linear_risk.risk(_known(watched), _asked(watched)),
    applies=_applies,
)
EXACT_BIAS = Quantity(
    name="exact-bias",
    about="The part of the exact risk that would be gone if the learner started from the mean of the split's tasks.",
    citation=CITATION,
    cost="that of exact-risk",
    kinds=("regression",),
    measure=lambda watched: linear_risk.parts(_known(watched), _asked(watched)).bias,
    applies=_applies,
)
LEAST_RISK = Quantity(
    name="least-risk",
    about="The least expected squared error of a query that any estimator has which is affine in the targets and knows "
    "the mean and covariance of the split's tasks: of Gaussian tasks the Bayes risk.",
    citation=CITATION,
    cost="one matrix inverse for each design",
    kinds=("regression",),
    measure=lambda watched: linear_risk.risk(_known(watched), linear_risk.best(_known(watched))),
    applies=_applies,
)
