"""metagap's own engine on a problem: the one place here that knows its interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from metagap.algorithms.base import Algorithm, Params
from metagap.engine.capture import WARM_UP, Captured
from metagap.engine.choice import choose, for_compiling
from metagap.engine.distributed import Portion
from metagap.engine.evaluate import Evaluator
from metagap.engine.layouts import in_layout
from metagap.engine.memory import within
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import BackendName, Strategy, parse
from metagap.speed.workloads import Problem, flat
from metagap.suite import Training
from metagap.tasks.episode import Episode


def strategy_for(problem: Problem, run: BackendName, engine: str, memory: int | None) -> Strategy:
    """What the engine chooses for a problem. run: unless `engine` says otherwise. memory: in bytes."""
    algorithm, meta = problem.bound(), _meta(problem)
    strategy = choose(algorithm, meta, problem.episodes, engine=engine)
    if memory is not None:
        strategy = within(memory, in_layout(algorithm, strategy.layout).meta_gradient, meta, problem.episodes, strategy)
    strategy = (
        for_compiling(strategy, problem.network, problem.device)
        if run == "compiled"
        else strategy._replace(backend=run)
    )
    return parse(engine, strategy)


class Ours:
    """A problem by a strategy of the engine."""

    def __init__(self, problem: Problem, strategy: Strategy, cores: int, portion: Portion | None = None):
        """cores: for tasks side by side, on a CPU. portion: what the episodes of the problem are of a meta-batch."""
        pieces = -(-len(problem.episodes.support_x) // strategy.at_once)
        self.problem, self.cores = problem, min(cores, pieces) if problem.device.type == "cpu" else 1
        self.weights = _meta(problem)
        algorithm, spec, steps = problem.bound(), problem.workload.spec, problem.workload.steps
        if problem.workload.evaluates:
            self._evaluation = Evaluator(algorithm, spec, steps, strategy, last_only=True, cores=self.cores)
            self._map = self._evaluation.map
            self._map.start_workers()
            return
        self._outer = OuterLoop(algorithm, self.weights, _training(problem), strategy, self.cores, portion)
        self._map = self._outer.map
        self._map.start_workers()
        self._update: Callable[[], Any] = lambda: self._outer.update(problem.episodes)
        if problem.device.type == "cuda" and portion is None:
            self._update = Captured(self._update, [])

    @property
    def strategy(self) -> Strategy:
        """The strategy that is followed, which after an iteration may be a simpler one than was asked for."""
        return self._map.strategy

    @property
    def warm_up(self) -> int:
        """Iterations until all are alike: on a GPU a training step is captured after a few."""
        return WARM_UP + 2 if self.problem.device.type == "cuda" else 2

    def iteration(self) -> Any:
        """A whole outer step, or the evaluation of all episodes."""
        if self.problem.workload.evaluates:
            return self._evaluation(self.weights, self.problem.episodes)
        self._outer.schedule()
        return self._update()

    def alone(self) -> Any:
        """The piece of an iteration that is computed at once, on this thread: so that its memory can be seen."""
        piece = self.problem.episodes.tasks(0, self.strategy.at_once)
        if self.problem.workload.evaluates:
            return self._evaluation(self.weights, piece)
        return self._outer.update(piece)

    def answer(self) -> Tensor:
        """The meta-gradient as one vector, or the query losses (tasks,) of an evaluation."""
        if self.problem.workload.evaluates:
            return self.iteration()["query_loss"][:, -1]
        return flat(self._outer.gradient(self.problem.episodes)[0])


def one_task(problem: Problem) -> Callable[[], Any]:
    """What a task needs to be computed, and nothing twice: its meta-gradient, or adaptation and prediction."""
    algorithm, meta = problem.bound(), _meta(problem)
    task = Episode(*(field[0] for field in problem.episodes))
    if problem.workload.evaluates:
        return lambda: algorithm.predict(algorithm.adapt(meta, task.support, problem.workload.steps), task.query_x)
    if problem.algorithm == "reptile":
        return lambda: algorithm.meta_gradient(meta, task)
    return lambda: Algorithm.meta_gradient(algorithm, meta, task)


def _meta(problem: Problem) -> Params:
    return problem.bound().init(problem.network, 0, torch.Generator())


def _training(problem: Problem) -> Training:
    """Adam at 0.001, and for Reptile the step onto the mean of the adapted weights."""
    options: dict[str, Any] = {"optimizer": "sgd", "lr": 1.0} if problem.algorithm == "reptile" else {"lr": 0.001}
    return Training(iterations=1, meta_batch=len(problem.episodes.support_x), **options)
