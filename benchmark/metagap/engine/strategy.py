"""Execution strategies: how a function of one task is computed for many."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from metagap.algorithms.base import Algorithm
from metagap.engine.layouts import LAYOUTS, Layout
from metagap.errors import UserError

Batching = Literal["vmap", "loop"]
BackendName = Literal["eager", "traced", "compiled"]

MOST_TASKS = 256


class Strategy(NamedTuple):
    """How a function of one task is computed for many. None of it changes what is computed, but for rounding.

    The order of the fields stays: checkpoints keep a strategy as a tuple.
    """

    batching: Batching = "vmap"
    """vmap: many tasks in every operation; loop: task by task."""
    layout: Layout = "plain"
    """Of the network's layers, see `layouts`."""
    backend: BackendName = "eager"
    """eager: as it is written; traced: as a list of tensor operations; compiled: these made into kernels by torch."""
    chunk: int = MOST_TASKS
    """Tasks at once, at most; of no effect in a loop."""
    share: bool | None = True
    """Compute what is needed twice only once, and keep it; False: save the memory; None: as `tracing` finds better. For
    traced and compiled."""

    @property
    def at_once(self) -> int:
        """Tasks that are computed at once, at most."""
        return 1 if self.batching == "loop" else self.chunk

    def __str__(self) -> str:
        at_once = [f"chunk={self.chunk}"] if self.batching == "vmap" and self.chunk != MOST_TASKS else []
        again = ["recompute"] if self.share is False else []
        return " ".join([self.batching, self.layout, self.backend, *at_once, *again])


AS_WRITTEN = Strategy("loop")
"""One task at a time, eagerly: what every algorithm can follow."""


def permitted(strategy: Strategy, algorithm: Algorithm) -> Strategy:
    """`strategy`, or the one that an algorithm which is not mappable can follow."""
    return strategy if algorithm.mappable else AS_WRITTEN


def parse(text: str, strategy: Strategy) -> Strategy:
    """`strategy` with the choices in `text`, such as `vmap traced` or `loop channels-last`; raises UserError."""
    words = text.replace(",", " ").split()
    for choices in (get_args(Batching), LAYOUTS, get_args(BackendName), ("share", "recompute")):
        if len(chosen := list(dict.fromkeys(word for word in words if word in choices))) > 1:
            raise UserError(f"--engine '{text}': {' and '.join(chosen)} exclude each other")
    if "loop" in words and any(word.startswith("chunk=") for word in words):
        raise UserError(f"--engine '{text}': a loop takes one task at a time, so it has no chunk")
    for word in words:
        if word in ("vmap", "loop"):
            strategy = strategy._replace(batching=word)
        elif word in LAYOUTS:
            strategy = strategy._replace(layout=word)
        elif word in ("eager", "traced", "compiled"):
            strategy = strategy._replace(backend=word)
        elif word in ("share", "recompute"):
            strategy = strategy._replace(share=word == "share")
        elif word.startswith("chunk=") and word[6:].isdigit() and int(word[6:]):
            strategy = strategy._replace(chunk=int(word[6:]))
        elif word != "auto":
            allowed = ["auto", *get_args(Batching), *LAYOUTS, *get_args(BackendName), "share", "recompute", "chunk=N"]
            raise UserError(f"--engine: '{word}' is not allowed; allowed, one or several: {', '.join(allowed)}")
    return strategy
