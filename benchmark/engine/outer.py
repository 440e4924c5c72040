"""The outer loop: one step of the outer optimizer on the mean meta-gradient of a meta-batch."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from torch import Tensor

from benchmark.algorithms.base import Algorithm, Params
from benchmark.engine.mapping import Mapping, mean_over_tasks
from benchmark.suite import Training
from benchmark.tasks.episode import Episode

log = logging.getLogger("metagap")


class OuterLoop:
    """Meta-parameters and the optimizer that moves them; its state is all there is to save and restore."""

    def __init__(self, algorithm: Algorithm, meta: Params, training: Training, mapping: Mapping, compile: bool):
        """algorithm: bound. meta: the meta-parameters, updated in place. compile: the whole meta-gradient."""
        self.meta = meta
        self.training = training
        self.iteration = 0
        self._gradient = mean_over_tasks(algorithm.meta_gradient, mapping)
        self._compiled = torch.compile(self._gradient, dynamic=False, fullgraph=True) if compile else None
        optimizer = torch.optim.Adam if training.optimizer == "adam" else torch.optim.SGD
        self._optimizer = optimizer(list(meta.values()), lr=training.lr, fused=True)

    def step(self, episodes: Episode) -> dict[str, Tensor]:
        """One outer step on a meta-batch; returns its mean metrics without waiting for the device."""
        gradient, metrics = self.gradient(episodes)
        for name, parameter in self.meta.items():
            parameter.grad = gradient[name].to(parameter.dtype)
        if self.training.clip is not None:
            torch.nn.utils.clip_grad_value_(self.meta.values(), self.training.clip)
        self._optimizer.param_groups[0]["lr"] = self.training.lr * self._schedule()
        self._optimizer.step()
        self.iteration += 1
        return metrics

    def gradient(self, episodes: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The mean meta-gradient of a meta-batch and its mean metrics."""
        if self._compiled is not None:
            try:
                return self._compiled(self.meta, episodes)
            except Exception as error:
                if self.iteration:
                    raise
                first = str(error).strip().partition("\n")[0]
                log.warning("compilation failed, going on without it (%s: %s)", type(error).__name__, first)
                self._compiled = None
        return self._gradient(self.meta, episodes)

    @property
    def compiled(self) -> bool:
        """Whether the meta-gradient is compiled."""
        return self._compiled is not None

    def _schedule(self) -> float:
        done = self.iteration / self.training.iterations
        match self.training.schedule:
            case "linear":
                return 1 - done
            case "cosine":
                return (1 + math.cos(math.pi * done)) / 2
            case _:
                return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {"meta": self.meta, "optimizer": self._optimizer.state_dict(), "iteration": self.iteration}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        for name, value in state["meta"].items():
            self.meta[name].copy_(value)
        self._optimizer.load_state_dict(state["optimizer"])
        self.iteration = state["iteration"]
