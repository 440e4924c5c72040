"""Coarser."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import HENDRYCKS


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    height, width = images.shape[-2:]
    small = F.adaptive_avg_pool2d(images, (max(1, int(height * level)), max(1, int(width * level))))
    return F.interpolate(small, (height, width), mode="nearest")


PIXELATE = Corruption(
    name="pixelate",
    about="Averages over squares; the level is how many there are along a side, as a share of the pixels.",
    citation=HENDRYCKS,
    levels=(0.6, 0.5, 0.4, 0.3, 0.25),
    function=_function,
)
