"""How much worse a learner of a few tasks that recur is on new ones, at most: a bound by algorithmic stability."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from metagap.quantities.linear_learner import adaptation, facts, not_quadratic, start
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.linear_risk import Array, Facts

FLAT = 1e-9
"""A least curvature below this share of the largest one counts as none."""


def bound(hessian: Array, weights: Array, recurring: Facts, new: Facts, tasks: int) -> float:
    """On the expected gap, over the draw of the m tasks: 4 g^2 / (mu m) + (2 e / mu)^1/2 |H (w_bar - w_mean)|.

    hessian: H, of the expected loss of a task in the meta-parameters, the same for all tasks; mu is its least
    eigenvalue. The first term is for the meta-parameters of least training loss, which are the mean w_bar of the
    recurring tasks: g^2 = (1 + 1/m) tr(H C H) is the mean square of a new task's gradient there. The second is for
    others, whose training loss is higher by e.
    """
    distance, shift = weights - recurring.mean, hessian @ (recurring.mean - new.mean)
    curvature = np.linalg.eigvalsh(hessian)[0]
    gradient = (1 + 1 / tasks) * np.trace(hessian @ new.covariance @ hessian)
    excess = distance @ hessian @ distance / 2
    return float(4 * gradient / (curvature * tasks) + np.sqrt(2 * excess / curvature) * np.linalg.norm(shift))


def hessian_of(watched: Watched) -> Array:
    """Of the expected squared error of a query after adaptation, in the meta-parameters: (d, d)."""
    new = facts(watched.target_tasks, watched)
    slope = adaptation(watched, torch.as_tensor(new.designs)).start
    return 2 * np.einsum("pij,ik,pkl->jl", slope, new.input_covariance, slope) / len(slope)


def _measure(watched: Watched) -> float:
    source: Any = watched.source_tasks
    recurring, new = facts(source, watched), facts(watched.target_tasks, watched)
    return bound(hessian_of(watched), start(watched), recurring, new, source.recurring)


def _fault(watched: Watched) -> str:
    if reason := not_quadratic(watched):
        return reason
    source: Any = watched.source_tasks
    target: Any = watched.target_tasks
    if source.recurring is None:
        return "training tasks do not recur: each is met once"
    like = source.family.model_copy(update={"training_tasks": target.family.training_tasks})
    if like != target.family or target.recurring is not None:
        return "the split's tasks are not new ones of the training tasks' distribution"
    values = np.linalg.eigvalsh(hessian_of(watched))
    return "" if values[0] > FLAT * values[-1] else "the meta-objective is not strongly convex"


STABILITY_BOUND = Quantity(
    name="stability-bound",
    about="Upper bound on the expected loss on new tasks minus that on the few tasks of training, by algorithmic "
    "stability; large where few tasks, steep losses or flat directions leave room to overfit them.",
    citation="Fallah, Mokhtari, Ozdaglar (2021), Generalization of Model-Agnostic Meta-Learning Algorithms: Recurring "
    "and Unseen Tasks, NeurIPS; the constants are ours",
    cost="some adaptations to each design",
    kinds=("regression",),
    of="cell",
    measure=_measure,
    applies=_fault,
)
