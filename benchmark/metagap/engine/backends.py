"""Backends: how the pieces of a batch are run. Pieces are some of its tasks, as many as are computed at once.

Each is a way to run a function of some tasks (see `batching`); what it computes is the same. A backend that cannot
run a function names the next simpler one: compiled, traced, eager.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import fx

from metagap.algorithms.base import Params
from metagap.engine.batching import TaskFunction
from metagap.engine.internals import pool
from metagap.engine.internals.pool import Cuts
from metagap.engine.memory import first_line
from metagap.engine.strategy import BackendName, Strategy
from metagap.engine.tracing import is_random, trace
from metagap.engine.trees import count, cut, devices, tree_leaves
from metagap.errors import is_out_of_memory

log = logging.getLogger("metagap")

Advance = Callable[[int], None]
"""Told the number of tasks done."""

ALONE = 1.0
"""Seconds that are computed on one core before others are called in, which takes some seconds itself."""


MOST_COMPILED = 10_000
"""Operations of a trace, at most, for it to be compiled: 3,400 took torch three minutes, and the time grows faster."""


class Backend(Protocol):
    """Runs a function of some tasks for the pieces of a batch."""

    def run(self, meta: Params, episodes: Any, cuts: Cuts, advance: Advance) -> Iterator[Any]:
        """The result of every piece, in their order. Raises CannotRunError."""
        ...

    def start(self) -> None:
        """Wait for what takes time to start and will be wanted."""
        ...


class CannotRunError(Exception):
    """The backend cannot run this function; the text says why."""

    def __init__(self, reason: BaseException, instead: BackendName):
        super().__init__(f"{type(reason).__name__}: {first_line(reason)}")
        self.instead: BackendName = instead


class Eager:
    """The function as it is written, piece by piece."""

    def __init__(self, function: TaskFunction):
        self._function = function

    def run(self, meta: Params, episodes: Any, cuts: Cuts, advance: Advance) -> Iterator[Any]:
        """See `Backend`."""
        for start, end in cuts:
            tasks = cut(episodes, start, end)
            with torch.no_grad():
                result = self.prepared(meta, tasks)(meta, tasks)
            yield result
            advance(end - start)

    def prepared(self, meta: Params, tasks: Any) -> TaskFunction:
        """The function, ready for tensors of these shapes."""
        return self._function

    def start(self) -> None:
        """Nothing."""


class Traced(Eager):
    """The function as a list of tensor operations (see `tracing`), made for each shape of a piece."""

    def __init__(self, function: TaskFunction, share: bool | None):
        super().__init__(function)
        self._share = share
        self._ready: dict[Any, TaskFunction] = {}

    def prepared(self, meta: Params, tasks: Any) -> TaskFunction:
        """The function, ready for tensors of these shapes."""
        key = tuple((leaf.shape, leaf.stride(), leaf.dtype, leaf.device) for leaf in tree_leaves((meta, tasks)))
        if key not in self._ready:
            with torch.random.fork_rng(devices(tasks)):  # the same numbers as of a function that was made ready before
                self._ready[key] = self._made_ready(meta, tasks)
        return self._ready[key]

    def _made_ready(self, meta: Params, tasks: Any) -> TaskFunction:
        return self.trace(meta, tasks)

    def trace(self, meta: Params, tasks: Any) -> fx.GraphModule:
        """The trace for tensors of these shapes. Raises CannotRunError."""
        try:
            return trace(self._function, meta, tasks, share=self._share)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            found = CannotRunError(error, "eager")
            log.info("cannot be traced, going on without (%s)", found)
            raise found from error


class Compiled(Traced):
    """The trace made into kernels by torch."""

    def _made_ready(self, meta: Params, tasks: Any) -> TaskFunction:
        traced = self.trace(meta, tasks)
        if (operations := len(traced.graph.nodes)) > MOST_COMPILED:
            found = CannotRunError(ValueError(f"{operations:,} operations, and {MOST_COMPILED:,} at most"), "traced")
            log.warning("not compiled, which would take long (%s)", found)
            raise found
        try:
            compiled = torch.compile(traced, dynamic=False, fullgraph=True)
            with torch.no_grad():
                compiled(meta, tasks)
            return compiled
        except Exception as error:
            found = CannotRunError(error, "traced")
            log.warning("compilation failed, going on without it (%s)", found)
            raise found from error


class Workers:
    """The trace run by several processes, on a core each; a last piece of another size is left to this one.

    Results come in the order of the pieces, so that their sums do not depend on the number of cores.
    """

    def __init__(self, traced: Traced, cores: int):
        """cores: this process has one of them."""
        self._traced, self._others = traced, cores - 1
        self._jobs: dict[Any, pool.Run] = {}
        self._spent = 0.0

    def run(self, meta: Params, episodes: Any, cuts: Cuts, advance: Advance) -> Iterator[Any]:
        """See `Backend`."""
        started = time.monotonic()
        done = self._side_by_side(meta, episodes, cuts, advance)
        yield from done
        yield from self._traced.run(meta, episodes, cuts[len(done) :], advance)
        self._spent += time.monotonic() - started

    def start(self) -> None:
        """Start the workers and wait until they are there: not only after some computing."""
        pool.workers(self._others).ready(None)
        self._spent = ALONE

    def _side_by_side(self, meta: Params, episodes: Any, cuts: Cuts, advance: Advance) -> list[Any]:
        """The results of the pieces of one size; none of them where workers are of no use."""
        size = cuts[0][1] - cuts[0][0]
        alike = [(start, end) for start, end in cuts if end - start == size]
        if not self._others or len(alike) < 2 or self._spent < ALONE or devices(episodes):
            return []
        tasks = cut(episodes, *alike[0])
        function = self._traced.prepared(meta, tasks)
        if not isinstance(function, fx.GraphModule) or is_random(function.graph):
            return []
        try:
            if not pool.workers(self._others).ready():
                return []
            key = (id(function), count(episodes))
            if key not in self._jobs:
                with torch.no_grad():
                    first = function(meta, tasks)
                self._jobs[key] = pool.workers(self._others).run(function, meta, episodes, alike, first)
            return self._jobs[key](meta, episodes, lambda piece: advance(alike[piece][1] - alike[piece][0]))
        except pool.WorkerError as error:
            log.warning("going on with one core: %s", error)
            self._others = 0
            return []


def backend(strategy: Strategy, function: TaskFunction, cores: int) -> Backend:
    """The backend that a strategy names. cores: for pieces side by side, on a CPU, where they are traced."""
    if strategy.backend == "eager":
        return Eager(function)
    if strategy.backend == "compiled":
        return Compiled(function, strategy.share)
    traced = Traced(function, strategy.share)
    return Workers(traced, cores) if cores > 1 else traced
