"""Shifts: the same tasks in another shape than that of training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import pandas as pd

from metagap.analysis.gaps.kind import TABLE, Contrast, GapKind, Read, between
from metagap.analysis.grids import Grids


def _shot(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    return _shifts(grids, partial(grids.get, algorithm), {"shots"})


def _imbalance(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    return _shifts(grids, partial(grids.get, algorithm), {"imbalance"})


def _way(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    """Scores at other ways are not comparable: guessing does better with fewer."""
    best = grids.metric.best_score

    def normalised(split: str) -> pd.DataFrame | None:
        grid, chance = grids.get(algorithm, split), grids.metric.chance_score(grids.ways(split))
        return None if grid is None or chance is None else (grid - chance) / (best - chance)

    return _shifts(grids, normalised, {"ways"}, {"ways", "shots"}) if math.isfinite(best) else iter(())


def _shifts(grids: Grids, read: Read, *differences: set[str]) -> Iterator[Contrast]:
    """Splits whose tasks differ from the suite's own in one of these sets of keys, and in nothing else.

    A split without a counterpart of its role and source, in the suite's own form, is left out.
    """
    sources = {split.name: split.source for split in grids.suite.splits}
    for split, about in grids.splits[~grids.splits["home"]].iterrows():
        peers = grids.home(about["role"])
        same = [peer for peer in peers if sources.get(peer) == sources.get(str(split))]
        if about["role"] == "in-distribution" and grids.suite.horizon(str(split)) == grids.suite.horizon():
            same += peers
        own = {**about, "imbalance": grids.suite.imbalance(str(split))}
        if {key for key in ("ways", "shots", "imbalance") if own[key] != getattr(grids.suite.task, key)} in differences:
            yield from between(read, same, [str(split)])


def _horizon(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    """Sums of rewards grow with the horizon, and are compared per step."""
    suite = grids.suite
    if suite.horizon() is None:
        return

    def read(split: str) -> pd.DataFrame | None:
        grid, steps = grids.get(algorithm, split), suite.horizon(split)
        return None if grid is None or steps is None else grid / steps if grids.metric.accumulates else grid

    sources = {split.name: split.source | {"horizon": None} for split in suite.splits}
    for split in map(str, grids.splits.index[~grids.splits["home"]]):
        if suite.shape(split) == suite.shape() and suite.horizon(split) != suite.horizon():
            peers = [*grids.home("in-distribution"), *grids.home(grids.role(split))]
            same = [peer for peer in peers if sources.get(peer) == sources.get(split)]
            yield from between(read, same, [split])


SHOT_SHIFT = GapKind(
    "shot shift", "between splits", "cost", "the suite's shots − other shots, with the suite's ways", _shot
)
IMBALANCE_SHIFT = GapKind(
    "imbalance shift",
    "between splits",
    "cost",
    "the suite's imbalance − another, with the suite's ways and shots",
    _imbalance,
)
WAY_SHIFT = GapKind(
    "way shift (chance-normalised)",
    "between splits",
    "cost",
    "the suite's ways and shots − others, each (a − 1/N)/(1 − 1/N)",
    _way,
    shown_where=TABLE,  # in another unit than the others
)
HORIZON_SHIFT = GapKind(
    "horizon shift (per step)",
    "between splits",
    "cost",
    "the suite's horizon − another, of tasks that are the same but for it; sums of rewards divided by their horizon",
    _horizon,
    shown_where=TABLE,  # in another unit than the others
    unit="per step",
)
