"""Gaps between splits: what is lost on the way from the training tasks to new tasks and to new domains."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pandas as pd

from metagap.analysis.gaps.kind import TABLE, Contrast, GapKind, Read, between
from metagap.analysis.grids import AVERAGE, Grids


def _task(grids: Grids, algorithm: str) -> list[Contrast]:
    return between(partial(grids.get, algorithm), grids.home("meta-train"), grids.home("in-distribution")[:1])


def _recurring(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    for split in grids.home("recurring-task"):
        yield from between(partial(grids.get, algorithm), grids.home("meta-train"), [split])


def _domain(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    return _each_domain(grids, "in-distribution", partial(grids.get, algorithm))


def _domain_above_chance(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    best = grids.metric.best_score

    def normalised(split: str) -> pd.DataFrame | None:
        grid, chance = grids.get(algorithm, split), grids.metric.chance_score(grids.ways(split))
        return None if grid is None or chance is None else (grid - chance) / (best - chance)

    if math.isfinite(best):
        yield from _each_domain(grids, "in-distribution", normalised)


def _total(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    return _each_domain(grids, "meta-train", partial(grids.get, algorithm))


def _each_domain(grids: Grids, home: str, read: Read) -> Iterator[Contrast]:
    """From the home split to every domain, and to the mean over them."""
    for split in grids.domains:
        yield from between(read, grids.home(home), [split])
    yield from between(read, grids.home(home), grids.domains, AVERAGE)


TASK_GAP = GapKind("task gap", "between splits", "cost", "meta-train − in-distribution", _task)
RECURRING_TASK_GAP = GapKind("recurring-task gap", "between splits", "cost", "meta-train − recurring-task", _recurring)
DOMAIN_GAP = GapKind("domain gap", "between splits", "cost", "in-distribution − cross-domain", _domain)
DOMAIN_GAP_ABOVE_CHANCE = GapKind(
    "domain gap (chance-normalised)",
    "between splits",
    "cost",
    "in-distribution − cross-domain, each (a − 1/N)/(1 − 1/N)",
    _domain_above_chance,
    shown_where=TABLE,  # in another unit than the others
)
TOTAL_GAP = GapKind("total gap", "between splits", "cost", "meta-train − cross-domain", _total)
