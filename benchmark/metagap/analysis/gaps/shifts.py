"""Shifts: the same tasks in another shape than that of training."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from metagap.analysis.gaps.kind import Contrast, GapKind, between
from metagap.analysis.grids import Grids


def _shot_and_way(grids: Grids, algorithm: str) -> Iterator[Contrast]:
    """A split without a counterpart of its role and source, in the suite's own shape, is left out."""
    sources = {split.name: split.source for split in grids.suite.splits}
    for split, about in grids.splits[~grids.splits["home"]].iterrows():
        peers = grids.home(about["role"])
        same = [peer for peer in peers if sources.get(peer) == sources.get(str(split))]
        if about["role"] == "in-distribution":
            same += peers
        yield from between(partial(grids.get, algorithm), same, [str(split)])


SHOT_AND_WAY_SHIFT = GapKind(
    "shot and way shift",
    "between splits",
    "cost",
    "the suite's ways and shots − other ways and shots",
    _shot_and_way,
)
