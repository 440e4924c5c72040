"""higher, in the loop of its own example."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from metagap.speed.peers.base import Peer
from metagap.speed.timing import Way
from metagap.speed.workloads import Problem, flat_gradient

with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # it has some that newer Pythons frown on
    from higher import innerloop_ctx  # pyright: ignore[reportMissingImports]  # an extra


class Higher(Peer):
    """Task by task: innerloop_ctx, steps of its differentiable optimizer, backward (examples/maml-omniglot.py)."""

    name = "higher"
    algorithms = ("maml", "fomaml")

    def ways(self, problem: Problem, cores: int) -> list[Way]:
        """The same loop on one thread and on all cores."""
        network = copy.deepcopy(problem.network)
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)

        def step() -> Any:
            if problem.workload.evaluates:
                return _evaluate(problem, network)
            optimizer.zero_grad()
            _meta_gradient(problem, network)
            optimizer.step()

        return [Way(f"{n} thread{'s' * (n > 1)}", step, n) for n in sorted({1, cores})]

    def answer(self, problem: Problem) -> Tensor:
        """The gradient that its optimizer would be given, or the query losses."""
        network = copy.deepcopy(problem.network)
        if problem.workload.evaluates:
            return _evaluate(problem, network)
        _meta_gradient(problem, network)
        return flat_gradient(network)


def _meta_gradient(problem: Problem, network: nn.Module) -> None:
    """Add the mean meta-gradient to the gradients of the network; for FOMAML that at the adapted weights."""
    tasks, inner = len(problem.episodes.support_x), torch.optim.SGD(network.parameters(), lr=problem.workload.inner_lr)
    for support_x, support_y, query_x, query_y, _ in zip(*problem.episodes, strict=True):
        with innerloop_ctx(network, inner, copy_initial_weights=False, track_higher_grads=not problem.first_order) as (
            adapted,
            optimizer,
        ):
            for _ in range(problem.workload.steps):
                optimizer.step(problem.loss(adapted(support_x), support_y))
            loss = problem.loss(adapted(query_x), query_y) / tasks
            if not problem.first_order:
                loss.backward()
                continue
            gradients = torch.autograd.grad(loss, adapted.parameters())
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)


def _evaluate(problem: Problem, network: nn.Module) -> Tensor:
    """The query losses (tasks,) after adaptation."""
    inner, losses = torch.optim.SGD(network.parameters(), lr=problem.workload.inner_lr), []
    for support_x, support_y, query_x, query_y, _ in zip(*problem.episodes, strict=True):
        with innerloop_ctx(network, inner, track_higher_grads=False) as (adapted, optimizer):
            for _ in range(problem.workload.steps):
                optimizer.step(problem.loss(adapted(support_x), support_y))
            with torch.no_grad():
                losses.append(problem.loss(adapted(query_x), query_y))
    return torch.stack(losses).cpu()
