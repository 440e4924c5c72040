"""Gaussian noise."""

from __future__ import annotations

from torch import Tensor

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import HENDRYCKS


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    return images + level * draws.normal(*images.shape[1:])


GAUSSIAN_NOISE = Corruption(
    name="gaussian-noise",
    about="Adds normal noise to every pixel and channel; the level is its standard deviation, of white = 1.",
    citation=HENDRYCKS,
    levels=(0.08, 0.12, 0.18, 0.26, 0.38),
    function=_function,
)
