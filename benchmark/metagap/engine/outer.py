"""The outer loop: one step of the outer optimizer on the mean meta-gradient of a meta-batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from metagap import optimizers
from metagap.algorithms.base import CARRIED, PROGRESS, Algorithm, Params
from metagap.engine.distributed import Portion
from metagap.engine.layouts import in_layout
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy, permitted
from metagap.suite import Training
from metagap.tasks.episode import Episode


class OuterLoop:
    """Meta-parameters and the optimizer that moves them; its state is all there is to save and restore."""

    def __init__(
        self,
        algorithm: Algorithm,
        meta: Params,
        training: Training,
        strategy: Strategy,
        cores: int = 1,
        portion: Portion | None = None,
        others: Sequence[Algorithm] = (),
    ):
        """algorithm: bound. meta: the meta-parameters, updated in place. cores: for the tasks, on a CPU.

        portion: what the tasks of a step are of the meta-batch; None: all of it, as where they are pooled. others: the
        algorithm as it is bound to further forms of tasks.
        """
        assert portion is None or not algorithm.pooled
        self._portion = portion
        self.meta = meta
        self.training = training
        self.iteration = 0
        self._pooled = algorithm.pooled
        if algorithm.pooled:  # all there is in one piece
            strategy = strategy._replace(batching="loop")
        strategy = permitted(strategy, algorithm)
        bound = [in_layout(one, strategy.layout) for one in (algorithm, *others)]
        cores = cores if len(bound) == 1 else 1  # each map has workers of its own
        self._maps = [
            TaskMap(one.meta_gradient, strategy, mean=True, cores=cores, network=one.network, portion=portion)
            for one in bound
        ]
        self._algorithm = bound[0]
        self._carried = {name: value for name, value in meta.items() if name.startswith(CARRIED)}
        self._learned = {name: value for name, value in meta.items() if name not in (PROGRESS, *self._carried)}
        parameters = list(self._learned.values())
        # What an algorithm learns in addition to the network has a name with "/", such as a relation module.
        groups = groupby(sorted(self._learned, key=_part), key=_part)
        self._parts = [[self._learned[name] for name in names] for _, names in groups]
        device = parameters[0].device
        # On a GPU the step size is a tensor, so that a captured step reads the present one; it is written ahead.
        on_gpu = device.type == "cuda"
        self._lr: Tensor | float = torch.tensor(training.lr, device=device) if on_gpu else training.lr
        optimizer = optimizers.find(training.optimizer)
        self._optimizer: torch.optim.Optimizer = optimizer.made(parameters, self._lr, training.model_dump())

    @property
    def map(self) -> TaskMap:
        """What computes the meta-gradient, of tasks of the first form."""
        return self._maps[0]

    @property
    def strategy(self) -> Strategy:
        """How the meta-gradient is computed: the strategy that was given, or what it was changed to."""
        return self.map.strategy

    @property
    def engine(self) -> str:
        """How the steps so far were computed, for the record."""
        return str(self.strategy)

    def step(self, episodes: Episode, form: int = 0) -> dict[str, Tensor]:
        """One outer step on a meta-batch; returns its mean metrics without waiting for the device.

        form: of the tasks, 0 for that of the algorithm, and 1, 2, ... for those of the others.
        """
        self.schedule()
        metrics = self.update(episodes, form)
        self.iteration += 1
        return metrics

    def schedule(self) -> None:
        """Set what depends on how much of meta-training is done: the step size, and `PROGRESS` where it is kept."""
        if PROGRESS in self.meta:
            self.meta[PROGRESS].fill_(self.iteration / self.training.iterations)
        lr = self._scheduled_lr()
        if isinstance(self._lr, Tensor):
            self._lr.fill_(lr)
        else:
            for group in self._optimizer.param_groups:
                group["lr"] = lr

    def update(self, episodes: Episode, form: int = 0) -> dict[str, Tensor]:
        """What a step does on the device: all of it can be captured in a CUDA graph."""
        gradient, metrics = self.gradient(episodes, form)
        self._descend(gradient)
        tasks = len(episodes.support_x) if self._portion is None else self._portion.tasks
        self._carry(gradient, tasks)  # of the mean over tasks
        return metrics

    def _descend(self, gradient: Params) -> None:
        """A step of the optimizer."""
        for name, parameter in self._learned.items():
            # A fused optimizer reads memory in order, whatever the strides are, and a layout may have others.
            parameter.grad = gradient[name].to(parameter.dtype).contiguous()
        if self.training.clip is not None:
            torch.nn.utils.clip_grad_value_(self._learned.values(), self.training.clip)
        if self.training.clip_norm is not None:
            for part in self._parts:
                torch.nn.utils.clip_grad_norm_(part, self.training.clip_norm)
        self._optimizer.step()

    def _carry(self, gradient: Params, tasks: int) -> None:
        """Add what the tasks add to the meta-parameters that are handed on."""
        for name, value in self._carried.items():
            value.add_(gradient[name], alpha=tasks)

    def gradient(self, episodes: Episode, form: int = 0) -> tuple[Params, dict[str, Tensor]]:
        """The mean meta-gradient of a meta-batch and its mean metrics."""
        return self._maps[form](self.meta, episodes.pooled() if self._pooled else episodes)

    def _scheduled_lr(self) -> float:
        training = self.training
        steps = training.schedule_steps or training.iterations
        passed = self.iteration * steps // training.iterations
        done = passed / steps
        final = training.final_lr or 0.0
        match training.schedule:
            case "linear":
                return final + (training.lr - final) * (1 - done)
            case "cosine":
                return final + (training.lr - final) * (1 + math.cos(math.pi * done)) / 2
            case "step":
                return training.lr * (training.decay or 1.0) ** passed
            case _:
                return training.lr

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {"meta": self.meta, "optimizer": self._optimizer.state_dict(), "iteration": self.iteration}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        for name, value in state["meta"].items():
            self.meta[name].copy_(value)
        self._optimizer.load_state_dict(state["optimizer"])
        if isinstance(self._lr, Tensor):
            for group in self._optimizer.param_groups:
                group["lr"] = self._lr
        self.iteration = state["iteration"]


def _part(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""
