"""metagap's own engine on a case: the one place here that knows its interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from metagap.algorithms.base import Algorithm, Params
from metagap.engine.capture import WARM_UP, Captured
from metagap.engine.choice import choose, for_compiling
from metagap.engine.evaluate import Evaluation
from metagap.engine.layouts import in_layout
from metagap.engine.memory import within
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import ExecutorName, Strategy, parse
from metagap.speed.workloads import Case, flat
from metagap.suite import Training
from metagap.tasks.episode import Episode


def strategy_for(case: Case, run: ExecutorName, engine: str, memory: int | None) -> Strategy:
    """What the engine chooses for a case. run: unless `engine` says otherwise. memory: bytes, as for `metagap run`."""
    algorithm, meta = case.bound(), _meta(case)
    strategy = choose(algorithm, meta, case.episodes, engine=engine)
    if memory is not None:
        strategy = within(memory, in_layout(algorithm, strategy.layout).meta_gradient, meta, case.episodes, strategy)
    strategy = (
        for_compiling(strategy, case.network, case.device) if run == "compiled" else strategy._replace(executor=run)
    )
    return parse(engine, strategy)


class Ours:
    """A case by a strategy of the engine."""

    def __init__(self, case: Case, strategy: Strategy, cores: int):
        """cores: for tasks side by side, on a CPU."""
        pieces = -(-len(case.episodes.support_x) // strategy.at_once)
        self.case, self.cores = case, min(cores, pieces) if case.device.type == "cpu" else 1
        self.weights = _meta(case)
        algorithm, spec, steps = case.bound(), case.workload.spec, case.workload.steps
        if case.workload.evaluates:
            self._evaluation = Evaluation(algorithm, spec, steps, strategy, last_only=True, cores=self.cores)
            self._map = self._evaluation.map
            self._map.start_workers()
            return
        self._outer = OuterLoop(algorithm, self.weights, _training(case), strategy, self.cores)
        self._map = self._outer.map
        self._map.start_workers()
        self._update: Callable[[], Any] = lambda: self._outer.update(case.episodes)
        if case.device.type == "cuda":
            self._update = Captured(self._update, [])

    @property
    def strategy(self) -> Strategy:
        """The strategy that is followed, which after an iteration may be a simpler one than was asked for."""
        return self._map.strategy

    @property
    def warm_up(self) -> int:
        """Iterations until all are alike: on a GPU a training step is captured after a few."""
        return WARM_UP + 2 if self.case.device.type == "cuda" else 2

    def iteration(self) -> Any:
        """A whole outer step, or the evaluation of all episodes."""
        if self.case.workload.evaluates:
            return self._evaluation(self.weights, self.case.episodes)
        self._outer.schedule()
        return self._update()

    def alone(self) -> Any:
        """The piece of an iteration that is computed at once, on this thread: so that its memory can be seen."""
        piece = self.case.episodes.tasks(0, self.strategy.at_once)
        if self.case.workload.evaluates:
            return self._evaluation(self.weights, piece)
        return self._outer.update(piece)

    def answer(self) -> Tensor:
        """The meta-gradient as one vector, or the query losses (tasks,) of an evaluation."""
        if self.case.workload.evaluates:
            return self.iteration()["query_loss"][:, -1]
        return flat(self._outer.gradient(self.case.episodes)[0])


def one_task(case: Case) -> Callable[[], Any]:
    """What a task needs to be computed, and nothing twice: its meta-gradient, or adaptation and prediction."""
    algorithm, meta = case.bound(), _meta(case)
    task = Episode(*(field[0] for field in case.episodes))
    if case.workload.evaluates:
        return lambda: algorithm.predict(algorithm.adapt(meta, task.support, case.workload.steps), task.query_x)
    if case.algorithm == "reptile":
        return lambda: algorithm.meta_gradient(meta, task)
    return lambda: Algorithm.meta_gradient(algorithm, meta, task)


def _meta(case: Case) -> Params:
    return case.bound().init(case.network, 0, torch.Generator())


def _training(case: Case) -> Training:
    """Adam at 0.001, and for Reptile the step onto the mean of the adapted weights."""
    options: dict[str, Any] = {"optimizer": "sgd", "lr": 1.0} if case.algorithm == "reptile" else {"lr": 0.001}
    return Training(iterations=1, meta_batch=len(case.episodes.support_x), **options)
