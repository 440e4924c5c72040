"""How many tasks at once the memory allows: what a budget holds, and what is done when it runs out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import fx

from metagap.algorithms.base import Params
from metagap.engine.batching import TaskFunction, batched
from metagap.engine.strategy import Strategy
from metagap.engine.tracing import peak_bytes, trace
from metagap.engine.trees import count, cut
from metagap.errors import UserError

log = logging.getLogger("metagap")

_told: ContextVar[list[str] | None] = ContextVar("shortages", default=None)


@contextmanager
def watching_memory(told: list[str]) -> Iterator[None]:
    """Meanwhile a sentence is added to `told` whenever fewer tasks are computed at once because memory is short."""
    before = _told.set(told)
    try:
        yield
    finally:
        _told.reset(before)


def halved(strategy: Strategy, tasks: int, error: BaseException) -> Strategy:
    """`strategy` with half as many tasks at once, after memory did not suffice for a batch of `tasks`.

    Whoever has begun `watching_memory` is told. Raises MemoryError where that was one task.
    """
    at_once = min(strategy.at_once, tasks)
    if at_once == 1:
        raise MemoryError(f"out of memory with a single task at a time: {first_line(error)}") from None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    said = f"out of memory with {at_once} tasks at once, going on with {at_once // 2}"
    log.warning(said)
    if (told := _told.get()) is not None:
        told.append(said)
    return strategy._replace(chunk=at_once // 2)


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return str(error).strip().partition("\n")[0]


def within(budget: int, function: TaskFunction, meta: Params, episodes: Any, strategy: Strategy) -> Strategy:
    """`strategy` with as many tasks at once as fit into `budget` bytes, by the traces of one and of two tasks.

    Raises UserError where one task does not fit. Where the function cannot be traced the strategy stays as it is.
    """
    try:
        one = peak_bytes(_traced(function, meta, cut(episodes, 0, 1), strategy))
    except Exception as error:
        unknown = "--memory %s cannot be kept to, for what a task needs is not known (%s)"
        log.warning(unknown, _text(budget), first_line(error))
        return strategy
    if one > budget:
        raise UserError(f"--memory {_text(budget)} is too little: one task needs {_text(one)}")
    if strategy.batching == "loop" or count(episodes) < 2:
        return strategy
    two = peak_bytes(_traced(function, meta, cut(episodes, 0, 2), strategy))
    return strategy._replace(chunk=min(strategy.chunk, 1 + (budget - one) // max(1, two - one)))


def _traced(function: TaskFunction, meta: Params, tasks: Any, strategy: Strategy) -> fx.GraphModule:
    return trace(batched(function, strategy.batching, mean=True), meta, tasks, share=strategy.share)


def parse_bytes(text: str) -> int:
    """Bytes from a text such as 8G, 500M or 1000000; raises UserError."""
    number, unit = text.strip().rstrip("Bb"), 1
    for i, letter in enumerate("KMGT", start=1):
        if number[-1:].upper() == letter:
            number, unit = number[:-1], 1024**i
    try:
        found = int(float(number) * unit)
    except (ValueError, OverflowError):
        found = 0
    if found <= 0:
        raise UserError(f"--memory '{text}' is not a size; allowed: a number of bytes, with K, M, G or T, such as 8G")
    return found


def _text(size: float) -> str:
    for unit in ("bytes", "K", "M"):
        if size < 1024:
            return f"{size:.3g} {unit}".replace(" K", "K").replace(" M", "M")
        size = size / 1024
    return f"{size:.3g}G"
