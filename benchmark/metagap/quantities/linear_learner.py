"""A learner on linear tasks as the affine map that its adaptation is: of its meta-parameters and of the targets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from metagap.models.linear import Linear
from metagap.quantities.quantity import Watched
from metagap.tasks.episode import Support
from metagap.tasks.linear_risk import Array, Facts

WEIGHT = "head.weight"


class Adaptation(NamedTuple):
    """On each of some support sets the adapted weights are start @ w0 + targets @ y + a constant, float64.

    start: (P, d, d), targets: (P, d, n).
    """

    start: Array
    targets: Array


def adaptation(watched: Watched, x: Tensor) -> Adaptation:
    """That to support inputs x (P, n, d)."""
    algorithm, x = watched.algorithm, x.double().cpu()
    meta = {name: value.double().cpu() for name, value in watched.meta.items()}
    _, n, d = x.shape

    def adapted(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        fast = algorithm.adapt({**meta, WEIGHT: w[None]}, Support(x, y[:, None]), watched.steps)
        return algorithm.predict(fast, torch.eye(d, dtype=x.dtype))[:, 0]

    moved = torch.cat([torch.zeros(1, d + n), torch.eye(d + n)]).double()
    w, y = meta[WEIGHT][0] + moved[:, :d], moved[:, d:]
    with torch.no_grad():
        found = vmap(vmap(adapted, in_dims=(0, None, 0)), in_dims=(None, 0, None))(w, x, y)  # (P, 1 + d + n, d)
    slopes = (found[:, 1:] - found[:, :1]).transpose(1, 2).numpy()
    return Adaptation(slopes[:, :, :d], slopes[:, :, d:])


def facts(tasks: Any, watched: Watched) -> Facts:
    """The moments of linear tasks."""
    return tasks.facts(watched.spec)


def start(watched: Watched) -> Array:
    """The weights (d,) that adaptation starts from."""
    return watched.meta[WEIGHT][0].double().cpu().numpy()


def not_quadratic(watched: Watched) -> str:
    """Why the meta-objective is no quadratic of known expectation, in words; empty where it is one.

    Then the adapted weights are w + D (w0 - w) + B e, for weights w of the task and noise e of the targets.
    """
    network, name = watched.algorithm.network, type(watched.algorithm).__name__
    if not all(hasattr(tasks, "facts") for tasks in (watched.source_tasks, watched.target_tasks)):
        return "the moments of these tasks are not known: it is for source linear"
    if not isinstance(network, Linear):
        return f"model {type(network).__name__} is not linear in its weights, so that the meta-objective is not convex"
    if len(network.features) > 1:
        return "the model learns features, so that the meta-objective is not convex"
    x = torch.as_tensor(facts(watched.target_tasks, watched).designs)[:1]
    if watched.meta[WEIGHT].shape != (1, x.shape[2]) or not watched.algorithm.mappable:
        return f"{name} does not adapt the weights of the model as a function of them"
    elsewhere = replace(watched, meta={**watched.meta, WEIGHT: 1 - 2 * watched.meta[WEIGHT]})
    once, again = adaptation(watched, x), adaptation(elsewhere, x)
    if not all(np.allclose(a, b, rtol=1e-6, atol=1e-9) for a, b in zip(once, again, strict=True)):
        return (
            f"what {name} adapts to is not affine in its meta-parameters, so that the meta-objective is not quadratic"
        )
    if not np.allclose(once.start, np.eye(x.shape[2]) - once.targets @ x.numpy(), rtol=1e-6, atol=1e-9):
        return f"{name} does not stay at a task's own weights where it starts from them"
    return ""
