"""Shifts: the same tasks in another shape than that of training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pandas as pd

from metagap.analysis.gaps.kind import TABLE, Contrast, GapKind, Read, between
from metagap.analysis.grids import Grids


def _shot(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    return _shifts(grids, partial(grids.get, algorithm), other_ways=False)


def _way(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    """Scores at other ways are not comparable: guessing does better with fewer."""
    best = grids.metric.best_score

    def normalised(split: str) -> pd.DataFrame | None:
        grid, chance = grids.get(algorithm, split), grids.metric.chance_score(grids.ways(split))
        return None if grid is None or chance is None else (grid - chance) / (best - chance)

    return _shifts(grids, normalised, other_ways=True) if math.isfinite(best) else iter(())


def _shifts(grids: Grids, read: Read, other_ways: bool) -> Iterator[Contrast]:
    """A split without a counterpart of its role and source, in the suite's own shape, is left out."""
    sources = {split.name: split.source for split in grids.suite.splits}
    for split, about in grids.splits[~grids.splits["home"]].iterrows():
        peers = grids.home(about["role"])
        same = [peer for peer in peers if sources.get(peer) == sources.get(str(split))]
        if about["role"] == "in-distribution":
            same += peers
        if (about["ways"] != grids.suite.task.ways) == other_ways:
            yield from between(read, same, [str(split)])


SHOT_SHIFT = GapKind(
    "shot shift", "between splits", "cost", "the suite's shots − other shots, with the suite's ways", _shot
)
WAY_SHIFT = GapKind(
    "way shift (chance-normalised)",
    "between splits",
    "cost",
    "the suite's ways and shots − others, each (a − 1/N)/(1 − 1/N)",
    _way,
    shown_where=TABLE,  # in another unit than the others
)
