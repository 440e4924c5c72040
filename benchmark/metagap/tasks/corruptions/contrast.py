"""Less contrast."""

from __future__ import annotations

from torch import Tensor

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import HENDRYCKS


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    mean = images.mean((-2, -1), keepdim=True)
    return mean + level * (images - mean)


CONTRAST = Corruption(
    name="contrast",
    about="Moves all pixels towards the mean of their channel; the level is the share of the contrast that is left.",
    citation=HENDRYCKS,
    levels=(0.4, 0.3, 0.2, 0.1, 0.05),
    function=_function,
)
