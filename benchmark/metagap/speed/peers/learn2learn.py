"""learn2learn, in the loops of its own examples."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from metagap.speed.peers.base import Peer
from metagap.speed.timing import Way
from metagap.speed.workloads import Problem, flat_gradient

with contextlib.redirect_stderr(io.StringIO()):  # one of its dependencies prints advice when it is imported
    from learn2learn.algorithms import MAML


class Learn2Learn(Peer):
    """Task by task: clone, adapt, backward (maml_omniglot.py); for Reptile a copy and an optimizer of its own.

    It is spared what the examples do for their log alone: waiting for the device after each task.
    """

    name = "learn2learn"

    def ways(self, problem: Problem, cores: int) -> list[Way]:
        """The same loop on one thread and on all cores."""
        iteration = stepping(problem, copy.deepcopy(problem.network))
        return [Way(f"{n} thread{'s' * (n > 1)}", iteration, n) for n in sorted({1, cores})]

    def answer(self, problem: Problem) -> Tensor:
        """The gradient that its optimizer would be given, or the query losses."""
        network = copy.deepcopy(problem.network)
        if problem.workload.evaluates:
            return _evaluate(problem, network)
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        (_reptile if problem.algorithm == "reptile" else _maml)(problem, network)
        return flat_gradient(network)


def stepping(problem: Problem, network: nn.Module) -> Callable[[], Any]:
    """What does one iteration on this network: an outer step that changes its weights, or an evaluation."""
    if problem.workload.evaluates:
        return lambda: _evaluate(problem, network)
    reptile = problem.algorithm == "reptile"
    optimizer = torch.optim.SGD(network.parameters(), 1.0) if reptile else torch.optim.Adam(network.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        (_reptile if reptile else _maml)(problem, network)
        optimizer.step()

    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return step


def _maml(problem: Problem, network: nn.Module) -> None:
    """Add the mean meta-gradient to the gradients of the network (examples/vision/maml_omniglot.py)."""
    maml = MAML(network, lr=problem.workload.inner_lr, first_order=problem.first_order)
    for support_x, support_y, query_x, query_y, _ in zip(*problem.episodes, strict=True):
        learner = maml.clone()
        for _ in range(problem.workload.steps):
            learner.adapt(problem.loss(learner(support_x), support_y))
        problem.loss(learner(query_x), query_y).backward()
    for gradient in _gradients(network):
        gradient.mul_(1.0 / len(problem.episodes.support_x))


def _reptile(problem: Problem, network: nn.Module) -> None:
    """Set the gradients to the weights minus the mean adapted ones (examples/vision/reptile_miniimagenet.py)."""
    for support_x, support_y, query_x, query_y, _ in zip(*problem.episodes, strict=True):
        learner = copy.deepcopy(network)
        optimizer = torch.optim.SGD(learner.parameters(), lr=problem.workload.inner_lr)
        for _ in range(problem.workload.steps):
            optimizer.zero_grad()
            problem.loss(learner(support_x), support_y).backward()
            optimizer.step()
        problem.loss(learner(query_x), query_y)
        for gradient, adapted in zip(_gradients(network), learner.parameters(), strict=True):
            gradient.add_(adapted.data, alpha=-1.0)
    for gradient, parameter in zip(_gradients(network), network.parameters(), strict=True):
        gradient.mul_(1.0 / len(problem.episodes.support_x)).add_(parameter.data)


def _gradients(network: nn.Module) -> list[Tensor]:
    """What autograd has left at the parameters, which all have something there."""
    return [parameter.grad.data for parameter in network.parameters() if parameter.grad is not None]


def _evaluate(problem: Problem, network: nn.Module) -> Tensor:
    """The query losses (tasks,) after adaptation; without the graph of second derivatives, which is not needed."""
    maml, losses = MAML(network, lr=problem.workload.inner_lr, first_order=True), []
    for support_x, support_y, query_x, query_y, _ in zip(*problem.episodes, strict=True):
        learner = maml.clone()
        for _ in range(problem.workload.steps):
            learner.adapt(problem.loss(learner(support_x), support_y))
        with torch.no_grad():
            losses.append(problem.loss(learner(query_x), query_y))
    return torch.stack(losses).cpu()
