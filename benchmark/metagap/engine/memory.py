"""How many tasks at once a budget of memory allows."""

from __future__ import annotations

import logging

from torch import fx

from metagap.algorithms.base import Params
from metagap.engine.mapping import TaskFunction, TaskMap
from metagap.engine.strategy import Strategy
from metagap.engine.tracing import peak_bytes, trace
from metagap.errors import UserError
from metagap.tasks.episode import Episode

log = logging.getLogger("metagap")


def within(budget: int, function: TaskFunction, meta: Params, episodes: Episode, strategy: Strategy) -> Strategy:
    """`strategy` with as many tasks at once as fit into `budget` bytes, by the traces of one and of two tasks.

    Raises UserError where one task does not fit. Where the function cannot be traced the strategy stays as it is.
    """
    try:
        one = peak_bytes(_traced(function, meta, episodes.tasks(0, 1), strategy))
    except Exception as error:
        reason = str(error).partition("\n")[0]
        log.warning("--memory %s cannot be kept to, for what a task needs is not known (%s)", _text(budget), reason)
        return strategy
    if one > budget:
        raise UserError(f"--memory {_text(budget)} is too little: one task needs {_text(one)}")
    if strategy.batching == "loop" or len(episodes.support_x) < 2:
        return strategy
    two = peak_bytes(_traced(function, meta, episodes.tasks(0, 2), strategy))
    return strategy._replace(chunk=min(strategy.chunk, 1 + (budget - one) // max(1, two - one)))


def _traced(function: TaskFunction, meta: Params, tasks: Episode, strategy: Strategy) -> fx.GraphModule:
    return trace(TaskMap(function, strategy, mean=True).piece, meta, tasks, share=strategy.share)


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


def _text(size: int) -> str:
    for unit in ("bytes", "K", "M"):
        if size < 1024:
            return f"{size:.3g} {unit}".replace(" K", "K").replace(" M", "M")
        size = size / 1024
    return f"{size:.3g}G"
