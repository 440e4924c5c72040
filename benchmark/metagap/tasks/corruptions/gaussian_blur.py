"""Gaussian blur."""

from __future__ import annotations

import math

from torch import Tensor
from torchvision.transforms.v2 import functional

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import HENDRYCKS

SIDE = 32
"""Pixels a side of the images of CIFAR-10-C, which are nearer to those of few-shot tasks than ImageNet-C's 224."""
REACH = 4
"""Standard deviations that the kernel reaches to each side."""


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    side = min(images.shape[-2:])
    sigma = level * side / SIDE
    reach = min(math.ceil(REACH * sigma), side - 1)  # what the edges are mirrored by is less than the image
    return functional.gaussian_blur(images, [2 * reach + 1] * 2, [sigma] * 2) if reach else images


GAUSSIAN_BLUR = Corruption(
    name="gaussian-blur",
    about="Blurs by a normal kernel; the level is its standard deviation in pixels of an image of 32 pixels a side.",
    citation=HENDRYCKS.replace("ImageNet-C", "CIFAR-10-C"),
    levels=(0.4, 0.6, 0.7, 0.8, 1.0),
    function=_function,
)
