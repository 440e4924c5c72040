"""Turned."""

from __future__ import annotations

from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import OURS


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    return functional.rotate(images, level, InterpolationMode.BILINEAR)


ROTATION = Corruption(
    name="rotation",
    about="Turns images about their centre, counter-clockwise, with black corners; the level is the angle in degrees.",
    citation=OURS,
    levels=(15, 30, 45, 60, 75),
    function=_function,
)
