"""How long a cell takes on this machine and what it leaves on the disk, from a few iterations and episodes of it."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from metagap.conditions import STANDARD
from metagap.engine.capture import WARM_UP, Captured
from metagap.engine.policy import outer_loop
from metagap.engine.strategy import Strategy
from metagap.machine import Machine
from metagap.runner.along import scored_along
from metagap.runner.context import TrainingContext, seed_of
from metagap.runner.quantities import seconds_of_quantities
from metagap.runner.score import EPISODES_IN_MEMORY, Evaluators, conditions, missing
from metagap.suite import Cell, Split
from metagap.tasks.sampling import Sampler

TIMED = 5
"""Iterations or batches of episodes that are timed, fewer where they take long."""
PATIENCE = 1.0
"""Seconds after which timing stops."""
FEW = 8
"""Tasks that show what a task takes in which a policy acts for hundreds of steps."""
BYTES_A_ROW, BYTES_A_METRIC = 11, 8
"""Of a row of an evaluation file, packed, as seen on Omniglot; and of every further metric, at most."""


class CostEstimate(NamedTuple):
    """What a cell takes: seconds of an outer step and of scoring an episode, how many of both, and what it leaves.

    An episode along training counts as one of the evaluation, which takes at least as many inner steps.
    """

    iteration: float
    iterations: int
    episode: float
    episodes: int
    bytes: int
    quantities: float = 0.0
    """Seconds of all quantities."""

    @property
    def seconds(self) -> float:
        """Of the whole cell, without preparations such as reading data and compiling."""
        return self.iterations * self.iteration + self.episodes * self.episode + self.quantities


def estimate(cell: Cell, machine: Machine) -> CostEstimate:
    """Time a cell without leaving anything behind. Raises UserError where its data are missing.

    Nothing is compiled for it: what is timed is the plain way, which a long training may well beat.
    """
    context = TrainingContext(cell, dataclasses.replace(machine, compile=False))
    learned = sum(value.numel() * value.element_size() for value in context.meta.values())
    iterations = cell.training.iterations if context.algorithm.trains else 0
    iteration = _iteration(context) if iterations else 0.0
    validated = cell.training.validations * cell.training.validation_episodes if cell.suite.validation else 0
    episode, tested = _evaluation(context)
    along = sum(count for *_, count in scored_along(context))
    rows = tested * (cell.evaluation.path_steps + 1) + along
    episodes = tested + along + (validated if iterations else 0)
    kept = sum(point > 0 for point in context.points)  # the untrained start is no file
    size = learned * (1 + kept) + (BYTES_A_ROW + BYTES_A_METRIC * (len(cell.suite.metrics) - 1)) * rows
    return CostEstimate(iteration, iterations, episode, episodes, size, seconds_of_quantities(context))


def _iteration(context: TrainingContext) -> float:
    """Seconds of an outer step; on a CPU from as many tasks as are computed at once, for the others take as long."""
    settings, device, strategy = context.cell.training, context.device, context.training_strategy
    if context.algorithm.acts and device.type == "cpu":  # tracing what takes long would take longer than timing it
        strategy = strategy._replace(backend="eager")
    outer = outer_loop(context.bind(context.training_spec), context.meta, settings, strategy, context.machine.cores)
    sampler = Sampler(context.training_tasks, context.training_spec, seed_of("timing", 0), device)
    whole = device.type != "cpu" or context.algorithm.pooled
    tasks = settings.meta_batch if whole else min(settings.meta_batch, _at_once(context, strategy))

    def iterate() -> None:
        outer.update(sampler.episodes(tasks).to(device, context.dtype))

    outer.schedule()
    outer.map.start_workers()
    timed = _timed(Captured(iterate, sampler.generators) if context.captures else iterate, device, strategy)
    return timed * settings.meta_batch / tasks


def _at_once(context: TrainingContext, strategy: Strategy) -> int:
    """The tasks that are computed side by side: in one operation, and on every core of a CPU."""
    cores = context.machine.cores if context.device.type == "cpu" else 1
    return cores * strategy.at_once


def _evaluation(context: TrainingContext) -> tuple[float, int]:
    """Seconds of scoring a test episode, on the average over the splits that are here, and how many are scored."""
    seconds, count = 0.0, 0
    evaluators = Evaluators(context)
    timed: dict[Any, float] = {}
    for split in context.cell.suite.test_splits:
        if split.optional and missing(split):
            continue
        spec = context.spec(split)
        form = spec._replace(world=spec.world and (type(spec.world), spec.world.horizon))
        if form not in timed:  # tasks of one form take equally long, whatever they show
            timed[form] = _episode(evaluators, split)
        scored = sum(conditions(context, split).values())
        seconds, count = seconds + scored * timed[form], count + scored
    return seconds / max(count, 1), count


def _episode(evaluators: Evaluators, split: Split) -> float:
    """Seconds of an episode among as many others as are computed side by side."""
    context, evaluation = evaluators.context, evaluators.of(split, STANDARD)
    at_once = min(_at_once(context, evaluation.map.strategy), EPISODES_IN_MEMORY)
    if context.algorithm.acts and context.device.type == "cpu":
        at_once = min(at_once, FEW)
    drawn = context.sampler(split, "timing").episodes(at_once).to(context.device, context.dtype)
    evaluation.map.start_workers()
    return _timed(lambda: evaluation(context.meta, drawn), context.device, evaluation.map.strategy) / at_once


def _timed(call: Callable[[], Any], device: torch.device, strategy: Strategy) -> float:
    """Seconds of a call once it has been traced and captured: the median of a few, or of one that takes long."""
    if device.type != "cpu" or strategy.backend != "eager":
        for _ in range(1 if device.type == "cpu" else WARM_UP + 2):
            call()
    _wait(device)
    seconds: list[float] = []
    while len(seconds) < TIMED and sum(seconds) < PATIENCE:
        began = time.perf_counter()
        call()
        _wait(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
