"""A cell that is trained by several devices: how many it is, and what is heard of them here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch

from metagap.engine.batching import batched
from metagap.engine.distributed import Group
from metagap.engine.together import Tell, run_together
from metagap.machine import Machine
from metagap.runner import randomness
from metagap.runner.context import Report, TrainingContext, log
from metagap.tasks.sampling import Sampler


def count_devices(context: TrainingContext) -> int:
    """How many devices train the cell: those that are asked for, or fewer, and the log says why."""
    asked = context.machine.devices_per_cell
    if asked == 1:
        return 1
    if reason := _undivided(context):
        count = 1
    else:
        count, reason = min(asked, context.cell.training.meta_batch), "one for each task"
    if count < asked:
        fewer = "one device" if count == 1 else f"{count} devices"
        log.warning("%s is trained by %s instead of %d: %s", context.cell.label, fewer, asked, reason)
    return count


def _undivided(context: TrainingContext) -> str:
    """Why a meta-batch of a cell cannot be divided among devices; empty where it can."""
    if context.algorithm.pooled:
        return "it is given the examples of all tasks as one batch"
    sampler = Sampler(context.training_tasks, context.training_spec, 0, context.device)
    task = sampler.episodes(1).to(context.device, context.dtype)
    gradient = batched(context.bind(context.training_spec).meta_gradient, "loop", mean=True)
    with torch.no_grad():
        random = randomness.is_drawn(lambda: gradient(context.meta, task), context.device)
    return "it draws random numbers while it computes, as for dropout, and they would be other ones" if random else ""


def train_together(
    context: TrainingContext,
    work: Callable[..., None],
    arguments: Sequence[Any],
    count: int,
    report: Report,
) -> None:
    """Call `work(group, report, machine, cell, ...)` in a process for each of `count` devices, with these arguments.

    Raises what the first of them failed with. The others are ended then, and what they have saved is kept.
    """
    machines = context.machine.members(count)
    said = set()

    def hear(told: Any) -> None:
        match told:
            case "report", *progress:
                report(*progress)
            case "log", level, text if text not in said:
                said.add(text)
                log.log(level, "%s", text)

    given = (log.getEffectiveLevel(), machines, work, (context.cell, *arguments))
    run_together(_member, given, [machine.device for machine in machines], hear)


# In their processes.


def _member(
    group: Group,
    tell: Tell,
    level: int,
    machines: Sequence[Machine],
    work: Callable[..., None],
    arguments: Sequence[Any],
) -> None:
    log.setLevel(level)
    log.addHandler(_Forward(tell))
    log.propagate = False
    report: Report = (lambda *progress: tell(("report", *progress))) if group.leads else lambda *_: None
    work(group, report, machines[group.rank], *arguments)


class _Forward(logging.Handler):
    def __init__(self, tell: Tell):
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(("log", record.levelno, record.getMessage()))
