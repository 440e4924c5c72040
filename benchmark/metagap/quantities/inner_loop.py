"""The inner loop of an algorithm, as quantities look at it: where it begins and ends, and what it moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.func import grad

from metagap.algorithms.base import CARRIED, Algorithm, Params
from metagap.engine.kernels import differentiable
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy, permitted
from metagap.quantities.quantity import EACH_AT_ONCE, Watched
from metagap.tasks.episode import Episode, Support

PROBED = 2
"""Tasks that tell what the inner loop moves."""
ROUNDING = 0.05
"""By which, in half precision, predictions may differ that are computed in different ways."""


@dataclass(frozen=True)
class InnerLoop:
    """Of an algorithm at some meta-parameters: functions of one task, which can be mapped over tasks.

    Its parameters are those tensors that adaptation changes, as they are at its start: ANIL's are the head, CAVIA's the
    context, and a head that is made for the task is there already. Gradients are with respect to these.
    """

    algorithm: Algorithm
    steps: int
    names: tuple[str, ...]
    """Of the parameters."""

    @classmethod
    def of(cls, watched: Watched) -> InnerLoop:
        """That of a watched learner. What it moves is seen in what it does to the first tasks."""
        algorithm, names = watched.algorithm, dict[str, None]()
        for task in probes(watched):
            with torch.no_grad(), differentiable():
                start, end = (algorithm.adapt(watched.meta, task.support, steps) for steps in (0, watched.steps))
            names |= {
                name: None
                for name, value in start.items()
                if value.is_floating_point() and not name.startswith(CARRIED) and not torch.equal(value, end[name])
            }
        return cls(algorithm, watched.steps, tuple(names))

    def start(self, meta: Params, task: Episode) -> Params:
        """What the first inner step begins from."""
        return self.algorithm.adapt(meta, task.support, 0)

    def end(self, meta: Params, task: Episode) -> Params:
        """What the last inner step leads to."""
        return self.algorithm.adapt(meta, task.support, self.steps)

    def parameters(self, point: Params) -> Params:
        """Those of a point that adaptation changes."""
        return {name: point[name] for name in self.names}

    def moved(self, start: Params, end: Params) -> Params:
        """The displacement of the parameters."""
        return {name: end[name] - start[name] for name in self.names}

    def output(self, point: Params, x: Tensor) -> Tensor:
        """The predictions (n, ways) or (n, 1) for one batch, as they are scored; differentiable."""
        return self.algorithm.forward(point, x)[:, self.algorithm.spec.columns]

    def gradient(self, point: Params, data: Support) -> Params:
        """Of the mean loss of the predictions for labelled examples, which are one batch."""
        return self._gradient(lambda whole: self.algorithm.loss(self.output(whole, data.x), data.y), point)

    def inner_gradient(self, point: Params, support: Support) -> Params:
        """Of the inner loop's own objective, which may be a multiple of the mean loss."""
        return self._gradient(lambda whole: self.algorithm.support_loss(whole, support), point)

    def curved(self, point: Params, support: Support, vector: Params) -> Params:
        """The second derivative of the inner loop's objective, times a vector."""
        return self._gradient(lambda whole: dot(self.inner_gradient(whole, support), vector), point)

    def _gradient(self, loss: Callable[[Params], Tensor], point: Params) -> Params:
        return grad(lambda parameters: loss({**point, **parameters}))(self.parameters(point))


def no_adaptation(watched: Watched) -> str:
    """Why nothing can be said of the parameters that adaptation changes; empty where something can."""
    if not watched.steps:
        return "there are no inner steps: evaluation.steps is 0"
    if not InnerLoop.of(watched).names:
        return f"{_name(watched)} has no inner gradient steps: adaptation changes none of its parameters"
    return ""


def no_gradients(watched: Watched) -> str:
    """Why nothing can be said of their gradients; empty where something can."""
    if fault := no_adaptation(watched):
        return fault
    if not _predicts_by_its_network(watched):
        return f"{_name(watched)} predicts something else than its network, whose gradients are not its own"
    return ""


def mean_over_tasks(watched: Watched, function: Callable[[Params, Episode], Any]) -> Any:
    """The mean over the expected episodes of what a function of one task gives; large results are not kept."""
    strategy = permitted(Strategy(chunk=EACH_AT_ONCE), watched.algorithm)
    task_map = TaskMap(function, strategy, mean=True, network=watched.algorithm.network)
    return task_map(watched.meta, watched.target(watched.episodes))


def dot(a: Params, b: Params) -> Tensor:
    """The inner product of two sets of tensors of the same names."""
    return reduce(torch.add, [(value * b[name]).sum() for name, value in a.items()])


def cosine(a: Params, b: Params) -> Tensor:
    """The cosine between them; not a number where one of them is zero."""
    return dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())


def probes(watched: Watched) -> list[Episode]:
    """A few tasks, to look at what an algorithm does."""
    episodes = watched.target(min(PROBED, watched.episodes))
    return [Episode(*(field[i] for field in episodes)) for i in range(len(episodes.support_x))]


def _predicts_by_its_network(watched: Watched) -> bool:
    algorithm, task = watched.algorithm, probes(watched)[0]
    with torch.no_grad(), differentiable():
        point = algorithm.adapt(watched.meta, task.support, 0)
        said, computed = algorithm.predict(point, task.query_x), algorithm.forward(point, task.query_x)
    return said.shape == computed.shape and not bool((said - computed).norm() > ROUNDING * said.norm())


def _name(watched: Watched) -> str:
    return type(watched.algorithm).__name__
