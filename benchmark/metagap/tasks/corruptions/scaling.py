"""Smaller."""

from __future__ import annotations

from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import OURS


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    return functional.affine(images, 0.0, [0, 0], level, [0.0, 0.0], InterpolationMode.BILINEAR)


SCALING = Corruption(
    name="scaling",
    about="Shrinks every image about its centre, with a black margin; the level is the factor on its sides.",
    citation=OURS,
    levels=(0.9, 0.8, 0.7, 0.6, 0.5),
    function=_function,
)
