"""Windows of series: where they begin, so that none crosses a gap or holds two of anything, and no two share a step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np


def gaps(position: np.ndarray, series: np.ndarray, most: float) -> np.ndarray:
    """Which steps come at no regular time after the one before: bool (n,), for rows in order of series and position.

    The usual step of a series is the median of its steps. One that is more than `most` times as long, or as short, is
    not regular. The first step of a series is.
    """
    step = np.diff(position, prepend=position[:1]).astype(np.float64)
    irregular = np.zeros(len(position), bool)
    bounds = [0, *(np.flatnonzero(np.diff(series)) + 1), len(position)]
    for begin, end in itertools.pairwise(bounds):
        own = step[begin + 1 : end]
        if len(own):
            usual = np.median(own)
            irregular[begin + 1 : end] = (own > most * usual) | (own * most < usual)
    return irregular


def changes(codes: Sequence[np.ndarray]) -> np.ndarray:
    """Which rows differ from the one before in any of these: bool (n,)."""
    return np.any([np.diff(code, prepend=code[:1]) != 0 for code in codes], axis=0)


def starts(breaks: np.ndarray, extent: int, stride: int) -> tuple[np.ndarray, int]:
    """Where windows of `extent` steps begin, every `stride` steps of each run, and the length of the longest run.

    breaks: (n,) bool, which rows begin a run; the first does anyway.
    """
    begin = np.flatnonzero(np.r_[True, breaks[1:]])
    length = np.diff(np.r_[begin, len(breaks)])
    count = np.maximum(0, (length - extent) // stride + 1)
    before = np.repeat(count.cumsum() - count, count)
    return np.repeat(begin, count) + stride * (np.arange(count.sum()) - before), int(length.max())


def forecasts(channels: np.ndarray, window: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """All windows of one series that share no step: inputs (n, channels, window), and what comes next (n, horizon).

    channels: (time, channels), of which the last is to be predicted.
    """
    extent = window + horizon
    count = len(channels) // extent
    cut = channels[: count * extent].reshape(count, extent, channels.shape[1])
    return cut[:, :window].transpose(0, 2, 1), cut[:, window:, -1]


def resampled(values: np.ndarray, length: int) -> np.ndarray:
    """A series (time,) stretched or squeezed to (length,), interpolated linearly."""
    return np.interp(np.linspace(0, len(values) - 1, length), np.arange(len(values)), values)
