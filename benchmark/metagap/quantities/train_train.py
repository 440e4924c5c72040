"""Train-train against train-validation: whether adapting to all examples and being scored on them would do as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metagap.algorithms.base import CARRIED, PROGRESS, Params
from metagap.errors import UserError
from metagap.quantities.inner_loop import cosine, mean_over_tasks
from metagap.quantities.linear_learner import Adaptation, adaptation, facts, not_quadratic
from metagap.quantities.quantity import Quantity, Watched
from metagap.tasks.episode import Episode
from metagap.tasks.linear_risk import Array, Facts

BAI = (
    "Bai, Chen, Zhou, Zhao, Lee, Kakade, Wang, Xiong (2021), How Important is the Train-Validation Split in "
    "Meta-Learning?, ICML"
)

FLAT = 1e-9
"""A least curvature below this share of the largest one counts as none."""


def unsplit(watched: Watched) -> Watched:
    """The same learner where tasks have no queries of their own: all examples are adapted to and scored."""
    spec = watched.spec._replace(shots=watched.spec.shots + watched.spec.queries)
    algorithm = watched.algorithm
    return replace(watched, algorithm=algorithm.bind(algorithm.network, spec, algorithm.precision), spec=spec)


def together(task: Episode) -> Episode:
    """All examples of a task, as its support set and as its queries."""
    x, y = torch.cat([task.support_x, task.query_x]), torch.cat([task.support_y, task.query_y])
    return Episode(x, y, x, y, task.classes)


def _alignment(watched: Watched) -> Tensor:
    """The cosine between the mean meta-gradients of both objectives over training tasks."""
    whole, training = unsplit(watched).algorithm, replace(watched, target=watched.source)

    def gradients(meta: Params, task: Episode) -> list[Params]:
        split, same = watched.algorithm.meta_gradient(meta, task), whole.meta_gradient(meta, together(task))
        return [
            {n: v for n, v in one[0].items() if n != PROGRESS and not n.startswith(CARRIED)} for one in (split, same)
        ]

    return cosine(*mean_over_tasks(training, gradients))


def _no_objective(watched: Watched) -> str:
    algorithm, name = watched.algorithm, type(watched.algorithm).__name__
    if not algorithm.trains:
        return f"{name} is not trained"
    if algorithm.pooled:
        return f"{name} is trained on pooled examples, not on tasks with support and queries"
    if algorithm.derivative == "other":
        return f"{name}'s meta-gradient is not the derivative of a loss on the queries"
    return ""


def asymptotic_error(operator: Array, noise: Array, known: Facts) -> float:
    """T times the mean squared error of the w0 that is found on T tasks, for T without end: Bai et al., section 4.

    It solves sum_t A_t (w0 - w_t) + N_t e_t = 0, so that its covariance is H^-1 (E[A C A] + s^2 E[N N']) H^-1 / T,
    where H = E[A]. operator: A (T, d, d); noise: N (T, d, n).
    """
    hessian = operator.mean(0)
    values = np.linalg.eigvalsh(hessian)
    if values[0] <= FLAT * values[-1]:
        raise UserError("the meta-objective is flat in a direction, so that no initialisation is the best one")
    inverse = np.linalg.inv(hessian)
    spread = operator @ known.covariance @ operator + known.noise**2 * noise @ noise.swapaxes(1, 2)
    return float(np.trace(inverse @ spread.mean(0) @ inverse))


def split_error(found: Adaptation, query_x: Array, known: Facts) -> float:
    """Of train-validation: adapted to a support set, scored on queries (T, k, d)."""
    own = -np.eye(query_x.shape[1]) + np.zeros((len(query_x), 1, 1))
    return _error(query_x @ found.start, np.concatenate([query_x @ found.targets, own], 2), known)


def unsplit_error(found: Adaptation, x: Array, known: Facts) -> float:
    """Of train-train: adapted to all examples (T, n, d), scored on them."""
    return _error(x @ found.start, x @ found.targets - np.eye(x.shape[1]), known)


def _error(slope: Array, noise: Array, known: Facts) -> float:
    """Of least squares of residuals that are slope (w0 - w) + noise e."""
    return asymptotic_error(slope.swapaxes(1, 2) @ slope, slope.swapaxes(1, 2) @ noise, known)


def _ratio(watched: Watched) -> float:
    watched = _training(watched)
    tasks, known = watched.source(watched.episodes), facts(watched.source_tasks, watched)
    x = torch.cat([tasks.support_x, tasks.query_x], 1)
    query_x, every_x = (one.double().cpu().numpy() for one in (tasks.query_x, x))
    split = split_error(adaptation(watched, tasks.support_x), query_x, known)
    return unsplit_error(adaptation(unsplit(watched), x), every_x, known) / split


def _no_ratio(watched: Watched) -> str:
    return _no_objective(watched) or not_quadratic(_training(watched))


def _training(watched: Watched) -> Watched:
    """With as many inner steps as in meta-training."""
    return replace(watched, steps=watched.algorithm.inner_steps)


ALIGNMENT = Quantity(
    name="train-train-alignment",
    about="Cosine between two mean meta-gradients of training tasks: adapted to the support set and scored on the "
    "queries, and adapted to all examples and scored on them; near 1 where splitting a task makes no difference.",
    citation=BAI,
    cost="2 meta-gradients per episode",
    of="cell",
    measure=_alignment,
    applies=_no_objective,
)
ERROR_RATIO = Quantity(
    name="train-train-error-ratio",
    about="Asymptotic mean squared error, over many training tasks, of the initialisation that train-train finds, over "
    "that of train-validation; below 1 where examples are better not held back as queries.",
    citation=BAI,
    cost="some adaptations to each episode",
    kinds=("regression",),
    of="cell",
    measure=_ratio,
    applies=_no_ratio,
)
