"""The conditions under which splits are scored: as the suite has it, and as gaps and intervals need it besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Diagnostic = Literal["batch-norm", "shuffled", "open"]
"""What `evaluation.diagnostics` of a suite can ask for."""


@dataclass(frozen=True)
class Condition:
    """One way to score the test episodes of a split.

    Attributes:
        name: in the records.
        meaning: in words.
        diagnostic: what asks for it in a suite; None: it is always there.
        roles: of the splits that are scored under it; empty: all.
        batch_norm: the statistics that queries are normalised with, where these are not the suite's own.
        shuffles: whether the support labels of each task are shuffled.
        disjoint: whether the tasks are others, which share no image.
    """

    name: str
    meaning: str
    diagnostic: Diagnostic | None = None
    roles: tuple[str, ...] = ()
    batch_norm: Literal["transductive", "inductive"] | None = None
    shuffles: bool = False
    disjoint: bool = False

    def __str__(self) -> str:
        return self.name


STANDARD = Condition("standard", "as the suite has it; every inner step is scored")
TRANSDUCTIVE = Condition(
    "transductive", "batch statistics of the whole query set", "batch-norm", ("in-distribution",), "transductive"
)
INDUCTIVE = Condition(
    "inductive", "batch statistics of the support set and one query", "batch-norm", ("in-distribution",), "inductive"
)
SHUFFLED = Condition(
    "shuffled", "the support labels of each task are shuffled", "shuffled", ("in-distribution",), shuffles=True
)
OPEN = Condition("open", "tasks that share no image", "open", disjoint=True)

CONDITIONS = (STANDARD, TRANSDUCTIVE, INDUCTIVE, SHUFFLED, OPEN)
"""All of them, in the order in which a split is scored."""
