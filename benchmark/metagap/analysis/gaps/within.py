"""Gaps within a split: two readings of the same episodes, such as support and query."""

from __future__ import annotations

from collections.abc import Iterator

from metagap.analysis.gaps.kind import PAGE, TABLE, Contrast, GapKind, within
from metagap.analysis.grids import Grids
from metagap.analysis.intervals import Term
from metagap.conditions import INDUCTIVE, SHUFFLED, TRANSDUCTIVE


def _within_task(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    for split in grids.plain:
        support = grids.get(algorithm, split, column="support_score")
        yield from within(split, support, grids.get(algorithm, split))


def _adaptation(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    if grids.headline[algorithm] > 0:
        for split in grids.plain:
            yield from within(split, grids.get(algorithm, split), grids.get(algorithm, split, step=0))


def _zero_step(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    for split in grids.plain:
        before = grids.get(algorithm, split, step=0)
        if before is not None:
            yield Contrast(split, [Term(before.to_numpy())])


def _transduction(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    """Only the batch-norm mode that is not the suite's own is recorded under its name."""
    for split in grids.plain:
        usual = grids.get(algorithm, split)
        inductive = grids.get(algorithm, split, INDUCTIVE.name)
        transductive = grids.get(algorithm, split, TRANSDUCTIVE.name)
        yield from within(split, usual, inductive) if inductive is not None else within(split, transductive, usual)


def _memorization(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    for split in grids.plain:
        yield from within(split, grids.get(algorithm, split), grids.get(algorithm, split, SHUFFLED.name))


WITHIN_TASK_GAP = GapKind(
    "within-task gap", "within a split", "cost", "support − query, after adaptation", _within_task, PAGE
)
ADAPTATION_GAIN = GapKind(
    "adaptation gain", "within a split", "benefit", "after − before adaptation", _adaptation, PAGE
)
ZERO_STEP_SCORE = GapKind("zero-step score", "within a split", "score", "score before adaptation", _zero_step, TABLE)
TRANSDUCTION_GAP = GapKind(
    "transduction gap", "within a split", "benefit", "transductive − inductive", _transduction, PAGE
)
MEMORIZATION = GapKind(
    "memorization", "within a split", "benefit", "true − shuffled support labels", _memorization, PAGE
)
