"""Gaps between splits: what is lost on the way from the training tasks to new tasks and to new domains."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pandas as pd

from metagap.analysis.gaps.kind import TABLE, Contrast, GapKind, Read, between
from metagap.analysis.grids import AVERAGE, Grids


def _task(grids: Grids, algorithm: str) -> list[Contrast]:
    return to_new_tasks(grids, partial(grids.get, algorithm))


def to_new_tasks(grids: Grids, read: Read, minus: Read | None = None) -> list[Contrast]:
    """From the training tasks to new ones of the training domain. minus: see `between`."""
    return between(read, grids.home("meta-train"), grids.home("in-distribution")[:1], minus=minus)


def _recurring(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    for split in grids.home("recurring-task"):
        yield from between(partial(grids.get, algorithm), grids.home("meta-train"), [split])


def _domain(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    return each_domain(grids, "in-distribution", partial(grids.get, algorithm))


def _domain_in_loss(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    """A loss is better where it is less, so that the sides change places.

    Of tasks that answer back it is minus the return, so that it is left out where the return is the score.
    """
    if grids.kind.acts and grids.metric.name == grids.kind.metric.name:
        return iter(())

    def read(split: str) -> pd.DataFrame | None:
        losses = grids.get(algorithm, split, column="query_loss")
        return None if losses is None else -losses

    return each_domain(grids, "in-distribution", read)


def _domain_as_ratio(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    return _domain(grids, algorithm) if math.isfinite(grids.metric.best_score) else iter(())


def _total(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    return each_domain(grids, "meta-train", partial(grids.get, algorithm))


def each_domain(grids: Grids, home: str, read: Read, minus: Read | None = None) -> Iterator[Contrast]:
    """From the home split to every domain, and to the mean over several. minus: see `between`."""
    for split in grids.domains:
        yield from between(read, grids.home(home), [split], minus=minus)
    if len(grids.domains) > 1:
        yield from to_all_domains(grids, home, read, minus)


def to_all_domains(grids: Grids, home: str, read: Read, minus: Read | None = None) -> list[Contrast]:
    """From the home split to the mean over the domains, or to the only one. minus: see `between`."""
    label = AVERAGE if len(grids.domains) > 1 else ""
    return between(read, grids.home(home), grids.domains, label, minus)


TASK_GAP = GapKind("task gap", "between splits", "cost", "meta-train − in-distribution", _task)
RECURRING_TASK_GAP = GapKind("recurring-task gap", "between splits", "cost", "meta-train − recurring-task", _recurring)
DOMAIN_GAP = GapKind("domain gap", "between splits", "cost", "in-distribution − cross-domain", _domain)
DOMAIN_GAP_IN_LOSS = GapKind(
    "domain gap in loss",
    "between splits",
    "cost",
    "loss cross-domain − loss in-distribution",
    _domain_in_loss,
    shown_where=TABLE,  # in another unit than the others
    unit="loss",
)
DOMAIN_ERROR_RATIO = GapKind(
    "domain error ratio",
    "between splits",
    "cost",
    "error cross-domain / error in-distribution; error = best possible score − score",
    _domain_as_ratio,
    shown_where=TABLE,
    unit="ratio",
)
TOTAL_GAP = GapKind("total gap", "between splits", "cost", "meta-train − cross-domain", _total)
