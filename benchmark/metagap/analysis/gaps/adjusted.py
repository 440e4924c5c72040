"""Gaps adjusted for difficulty: what an algorithm loses beyond what a reference loses on the same episodes.

A domain whose classes are easy makes every gap small. A reference that has meta-learned nothing shows how hard it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from metagap.analysis.gaps.between import each_domain, to_new_tasks
from metagap.analysis.gaps.kind import Contrast, GapKind
from metagap.analysis.grids import Grids


def reference_of(grids: Grids) -> str | None:
    """The suite's reference; None where there is none, or it has no results: another one would not be the same gap."""
    label = grids.suite.reference_label
    return label if label in grids.algorithms else None


def _task(grids: Grids, algorithm: str) -> Iterable[Contrast]:
    reference = reference_of(grids)
    if reference in (None, algorithm):
        return []
    return to_new_tasks(grids, partial(grids.get, algorithm), partial(grids.get, reference))


def _domain(grids: Grids, algorithm: str) -> Iterable[Contrast]:
    reference = reference_of(grids)
    if reference in (None, algorithm):
        return []
    read, minus = (partial(grids.get, name) for name in (algorithm, reference))
    return each_domain(grids, "in-distribution", read, minus)


ADJUSTED_TASK_GAP = GapKind(
    "difficulty-adjusted task gap", "between splits", "cost", "task gap − task gap of the reference, paired", _task
)
ADJUSTED_DOMAIN_GAP = GapKind(
    "difficulty-adjusted domain gap",
    "between splits",
    "cost",
    "domain gap − domain gap of the reference, paired",
    _domain,
)
ADJUSTED = (ADJUSTED_TASK_GAP, ADJUSTED_DOMAIN_GAP)
