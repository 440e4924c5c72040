"""Mapping a function of one task over a batch of tasks, by an execution strategy."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx, nn
from torch.func import vmap
from torch.utils._pytree import tree_leaves, tree_map

from metagap.algorithms.base import Params
from metagap.engine.kernels import differentiable
from metagap.engine.layouts import arranged
from metagap.engine.strategy import AS_WRITTEN, Strategy
from metagap.engine.tracing import is_random, trace
from metagap.engine.workers import Run, WorkerError, workers
from metagap.errors import UserError
from metagap.models.layers_in_use import last_layer
from metagap.tasks.episode import Episode

log = logging.getLogger("metagap")

TaskFunction = Callable[[Params, Episode], Any]

ALONE = 1.0
"""Seconds that are computed on one core before others are called in, which takes some seconds itself."""


class TaskMap:
    """A function of one task as a function of a batch of tasks, computed piece by piece.

    Every result gains a leading task dimension, or is the mean over the tasks. The whole function is mapped, with any
    differentiation inside it: differentiating a mapped function instead would give wrong second derivatives through
    batch norm. Where the strategy cannot be followed, the next simpler one is, and the log
    says so. Sums run over the pieces in their order, so that they do not depend on `cores`.
    """

    def __init__(
        self,
        function: TaskFunction,
        strategy: Strategy,
        *,
        mean: bool = False,
        cores: int = 1,
        network: nn.Module | None = None,
        falls_back: bool = True,
    ):
        """cores: for pieces side by side, a process on each; on a CPU, and only where they are traced.

        network: what the function computes, so that the log can name the layer that vmap cannot map. falls_back:
        whether tasks are then computed one by one.
        """
        self.strategy, self.cores = strategy, cores
        self._function, self._mean, self._network, self._run = function, mean, network, strategy.executor
        self._falls_back = falls_back
        self._ready: dict[Any, TaskFunction] = {}
        self._runs: dict[Any, Run] = {}
        self._spent = 0.0

    def __call__(self, meta: Params, episodes: Episode, advance: Callable[[int], None] = lambda _: None) -> Any:
        """The results for a batch of tasks; advance is told the number of tasks done, piece by piece.

        Raises UserError where the memory does not hold one task.
        """
        while True:
            try:
                return self._compute(meta, episodes, advance)
            except Exception as error:
                if _of_memory(error):
                    self._halve(len(episodes.support_x), error)
                elif self.strategy.batching == "vmap" and self._falls_back:
                    self._unmap(meta, episodes, error)
                else:
                    raise

    def _compute(self, meta: Params, episodes: Episode, advance: Callable[[int], None]) -> Any:
        started = time.monotonic()
        meta = arranged(meta, self.strategy.layout)  # once for all tasks
        results: list[Any] = []
        for result in self._pieces(meta, episodes, advance):
            results = [tree_map(torch.add, results[0], result)] if self._mean and results else [*results, result]
        self._spent += time.monotonic() - started
        if self._mean:
            return tree_map(lambda leaf: leaf / len(episodes.support_x), results[0])
        return tree_map(lambda *leaves: torch.cat(leaves), *results) if len(results) > 1 else results[0]

    def _pieces(self, meta: Params, episodes: Episode, advance: Callable[[int], None]) -> Iterator[Any]:
        """The results of the pieces in their order."""
        total, size = len(episodes.support_x), self.strategy.at_once
        cuts = [(start, min(start + size, total)) for start in range(0, total, size)]
        by_workers = self._by_workers(meta, episodes, cuts if total % size == 0 else cuts[:-1], advance)
        yield from by_workers
        for start, end in cuts[len(by_workers) :]:
            tasks = episodes.tasks(start, end)
            with torch.no_grad():
                yield self._prepare(meta, tasks)(meta, tasks)
            advance(end - start)

    def _by_workers(
        self, meta: Params, episodes: Episode, cuts: list[tuple[int, int]], advance: Callable[[int], None]
    ) -> list[Any]:
        """The results of these pieces, which have one size; none of them where workers are of no use."""
        if self.cores == 1 or len(cuts) < 2 or self._spent < ALONE or episodes.support_x.device.type != "cpu":
            return []
        tasks = episodes.tasks(*cuts[0])
        function = self._prepare(meta, tasks)
        if self.strategy.executor != "traced" or not isinstance(function, fx.GraphModule) or is_random(function.graph):
            return []
        try:
            if not workers(self.cores - 1).ready():
                return []
            key = (id(function), len(episodes.support_x))
            if key not in self._runs:
                with torch.no_grad():
                    first = function(meta, tasks)
                self._runs[key] = workers(self.cores - 1).run(function, meta, episodes, cuts, first)
            return self._runs[key](meta, episodes, lambda piece: advance(cuts[piece][1] - cuts[piece][0]))
        except WorkerError as error:
            log.warning("going on with one core: %s", error)
            self.cores = 1
            return []

    def start_workers(self) -> None:
        """Start the workers and wait until they are there, where they will be wanted: not only after some computing."""
        if self.cores > 1 and self.strategy.executor == "traced":
            workers(self.cores - 1).ready(None)
            self._spent = ALONE

    def piece(self, meta: Params, tasks: Episode) -> Any:
        """The results of one piece: stacked, or their sum."""
        with differentiable():
            if self.strategy.batching == "loop":
                result = self._function(meta, Episode(*(field[0] for field in tasks)))
                return result if self._mean else tree_map(lambda leaf: leaf[None], result)
            mapped = vmap(self._function, in_dims=(None, 0), randomness="different")(meta, tasks)
            return tree_map(lambda leaf: leaf.sum(0), mapped) if self._mean else mapped

    def _prepare(self, meta: Params, tasks: Episode) -> TaskFunction:
        """`piece` made ready for tensors of these shapes."""
        if self.strategy.executor == "eager":
            return self.piece
        key = tuple((leaf.shape, leaf.stride(), leaf.dtype, leaf.device) for leaf in tree_leaves((meta, tasks)))
        if key not in self._ready:
            devices = [tasks.support_x.device] if tasks.support_x.is_cuda else []
            with torch.random.fork_rng(devices):  # the same numbers as of a function that was made ready before
                self._ready[key] = self._made_ready(meta, tasks)
        return self._ready[key]

    def _made_ready(self, meta: Params, tasks: Episode) -> TaskFunction:
        try:
            traced = trace(self.piece, meta, tasks, share=self.strategy.share)
        except Exception as error:
            if _of_memory(error):
                raise
            log.info("cannot be traced, going on without (%s: %s)", type(error).__name__, _first_line(error))
            self.strategy = self.strategy._replace(executor="eager")
            return self.piece
        if self.strategy.executor == "traced":
            return traced
        try:
            compiled = torch.compile(traced, dynamic=False, fullgraph=True)
            with torch.no_grad():
                compiled(meta, tasks)
            return compiled
        except Exception as error:
            log.warning("compilation failed, going on without it (%s: %s)", type(error).__name__, _first_line(error))
            self.strategy = self.strategy._replace(executor="traced")
            return traced

    def _unmap(self, meta: Params, episodes: Episode, error: Exception) -> None:
        """Go on task by task after `vmap` failed; raises what a single task raises where that fails too."""
        tasks = episodes.tasks(0, 1)
        alone = TaskMap(self._function, AS_WRITTEN._replace(layout=self.strategy.layout), mean=self._mean)
        alone(meta, tasks)
        with contextlib.suppress(Exception), last_layer(self._network) as layer, torch.no_grad():
            self.piece(arranged(meta, self.strategy.layout), episodes.tasks(0, self.strategy.chunk))
        self.strategy = self.strategy._replace(batching="loop", executor=self._run)
        self._ready.clear()
        self._runs.clear()
        log.warning(
            "the engine computes task by task, for vmap cannot map %s%s (%s)",
            "this network" if self._network is None else type(self._network).__name__,
            layer.where(),
            "it looks at values" if ".item()" in str(error) else _first_line(error).removeprefix("vmap: ")[:160],
        )

    def _halve(self, tasks: int, error: BaseException) -> None:
        """Half as many tasks at once, after memory did not suffice."""
        at_once = min(self.strategy.at_once, tasks)
        if at_once == 1:
            raise UserError(f"out of memory with a single task at a time: {_first_line(error)}") from None
        self.strategy = self.strategy._replace(chunk=at_once // 2)
        self._ready.clear()
        self._runs.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        log.warning("out of memory with %d tasks at once, going on with %d", at_once, at_once // 2)


def _of_memory(error: BaseException) -> bool:
    """Whether memory ran out: a type of its own on a GPU, a text on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
