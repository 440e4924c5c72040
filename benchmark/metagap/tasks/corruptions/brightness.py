"""Brighter."""

from __future__ import annotations

import torch
from torch import Tensor

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import HENDRYCKS


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    value = images.amax(1, keepdim=True)  # that of hue, saturation, value: the others stay if all channels are scaled
    brighter = (value + level).clamp(max=1)
    return torch.where(value > 0, images * (brighter / value.clamp(min=1e-6)), brighter)


BRIGHTNESS = Corruption(
    name="brightness",
    about="Adds to the value of every pixel, its greatest channel, and keeps its hue; the level is what is added.",
    citation=HENDRYCKS,
    levels=(0.1, 0.2, 0.3, 0.4, 0.5),
    function=_function,
)
