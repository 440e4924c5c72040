"""Sound as a spectrogram: the logarithm of its power in bands of the mel scale."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

WINDOW, HOP = 0.025, 0.010
"""Seconds of a frame, and from one to the next: the usual ones of speech."""
FLOOR = 1e-6
"""Added to a power, so that silence has a logarithm."""


def log_mel(samples: Tensor, rate: int, mels: int) -> Tensor:
    """(mels, frames) of samples (n,): a frame every 10 ms, each of 25 ms under a Hann window, none beyond the ends."""
    window, hop = round(WINDOW * rate), round(HOP * rate)
    spectrum = torch.stft(samples, window, hop, window=torch.hann_window(window), center=False, return_complex=True)
    return torch.log(filters(rate, mels) @ spectrum.abs().square() + FLOOR)


def filters(rate: int, mels: int) -> Tensor:
    """Triangles of height 1 (mels, frequencies), evenly spaced from 0 to rate / 2 on the scale of HTK:
    2595 log10(1 + f / 700). Raises ValueError where a band holds no frequency of the spectrum."""
    window = round(WINDOW * rate)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 1400), mels + 2) / 2595) - 1)
    low, middle, high = (edges[i : mels + i, None] for i in range(3))
    f = np.arange(window // 2 + 1) * rate / window
    weights = np.minimum((f - low) / (middle - low), (high - f) / (high - middle)).clip(0)
    if (weights.sum(1) == 0).any():
        raise ValueError(f"bands are narrower than the {rate / window:.0f} Hz of the spectrum")
    return torch.from_numpy(weights.astype(np.float32))
