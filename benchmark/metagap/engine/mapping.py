"""Mapping a function of one task over a batch of tasks, by an execution strategy."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from metagap.algorithms.base import Params
from metagap.engine.backends import CannotRunError, backend
from metagap.engine.batching import TaskFunction, batched
from metagap.engine.distributed import Portion
from metagap.engine.layouts import arranged
from metagap.engine.memory import first_line, halved
from metagap.engine.strategy import AS_WRITTEN, Strategy
from metagap.engine.trees import count, cut, tree_map
from metagap.errors import is_out_of_memory
from metagap.models.layers_in_use import last_layer

log = logging.getLogger("metagap")


class TaskMap:
    """A function of one task as a function of a batch of tasks, computed piece by piece.

    Every result gains a leading task dimension, or is the mean over the tasks. Where the strategy cannot be followed,
    the next simpler one is, and the log says so. Sums run over the pieces in their order, so that they do not depend on
    `cores`.
    """

    strategy: Strategy
    """The one that is followed, which may be simpler than what was asked for."""

    def __init__(
        self,
        function: TaskFunction,
        strategy: Strategy,
        *,
        mean: bool = False,
        cores: int = 1,
        network: nn.Module | None = None,
        falls_back: bool = True,
        portion: Portion | None = None,
    ):
        """cores: for pieces side by side, a process on each; on a CPU, and only where they are traced.

        network: what the function computes, so that the log can name the layer that vmap cannot map. falls_back:
        whether tasks are then computed one by one. portion: what the tasks that are given are of a batch, whose mean
        over the tasks of all processes is wanted; what is not a mean is that of the tasks that are given.
        """
        self._function, self._mean, self._cores, self._network = function, mean, cores, network
        self._asked, self._falls_back, self._portion = strategy, falls_back, portion
        self._follow(strategy)

    def _follow(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self._piece = batched(self._function, strategy.batching, self._mean)
        self._backend = backend(strategy, self._piece, self._cores)

    @property
    def fell_back(self) -> bool:
        """Whether the strategy that was asked for could not be followed."""
        return self.strategy != self._asked

    def start_workers(self) -> None:
        """Start worker processes where they will be wanted and wait for them: not only after some computing."""
        self._backend.start()

    def __call__(self, meta: Params, episodes: Any, advance: Callable[[int], None] = lambda _: None) -> Any:
        """The results for a batch of tasks; advance is told the number of tasks done, piece by piece.

        Raises MemoryError where there is none for one task.
        """
        computed, tasks = self._computed(meta, episodes, _Progress(advance)), count(episodes)
        if not self._mean:
            return computed
        if self._portion is not None:
            computed, tasks = self._portion.summed(computed), self._portion.tasks
        return tree_map(lambda leaf: leaf / tasks, computed)

    def _computed(self, meta: Params, episodes: Any, progress: _Progress) -> Any:
        """The sum of the results, or all of them, by the strategy or the next simpler one that works."""
        while True:
            try:
                return self._tried(meta, episodes, progress.start())
            except CannotRunError as error:
                self._follow(self.strategy._replace(backend=error.instead))
            except Exception as error:
                if is_out_of_memory(error):
                    self._follow(halved(self.strategy, count(episodes), error))
                elif self.strategy.batching == "vmap" and self._falls_back:
                    self._follow(self._one_by_one(meta, episodes, error))
                else:
                    raise

    def _tried(self, meta: Params, episodes: Any, advance: Callable[[int], None]) -> Any:
        total, size = count(episodes), self.strategy.at_once
        cuts = [(start, min(start + size, total)) for start in range(0, total, size)]
        meta = arranged(meta, self.strategy.layout)  # once for all tasks
        results: list[Any] = []
        for result in self._backend.run(meta, episodes, cuts, advance):
            results = [tree_map(torch.add, results[0], result)] if self._mean and results else [*results, result]
        return tree_map(lambda *leaves: torch.cat(leaves), *results) if len(results) > 1 else results[0]

    def _one_by_one(self, meta: Params, episodes: Any, error: Exception) -> Strategy:
        """The strategy that goes task by task, after `vmap` failed; raises what a single task raises."""
        alone = TaskMap(self._function, AS_WRITTEN._replace(layout=self.strategy.layout), mean=self._mean)
        alone(meta, cut(episodes, 0, 1))
        with contextlib.suppress(Exception), last_layer(self._network) as layer, torch.no_grad():
            self._piece(arranged(meta, self.strategy.layout), cut(episodes, 0, self.strategy.chunk))
        log.warning(
            "the engine computes task by task, for vmap cannot map %s%s (%s)",
            "this network" if self._network is None else type(self._network).__name__,
            layer.where(),
            "it looks at values" if ".item()" in str(error) else first_line(error).removeprefix("vmap: ")[:160],
        )
        return self.strategy._replace(batching="loop", backend=self._asked.backend)


class _Progress:
    """Tells `advance` of every task once, however often the batch is begun."""

    def __init__(self, advance: Callable[[int], None]):
        self._advance, self._told, self._done = advance, 0, 0

    def start(self) -> Callable[[int], None]:
        """What is told of tasks done, from the first on."""
        self._done = 0
        return self._more

    def _more(self, tasks: int) -> None:
        self._done += tasks
        if self._done > self._told:
            self._advance(self._done - self._told)
            self._told = self._done
