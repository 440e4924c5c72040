"""Bent."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import OURS

GRID = 5
"""Points a side that are moved; the pixels between them follow smoothly."""


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    points = 2 * level * draws.normal(2, GRID, GRID)  # an image is 2 wide in the coordinates of `grid_sample`
    moves = F.interpolate(points, images.shape[-2:], mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    still = F.affine_grid(torch.eye(2, 3).expand(len(images), -1, -1), list(images.shape), align_corners=False)
    return F.grid_sample(images, still + moves, padding_mode="reflection", align_corners=False)


ELASTIC = Corruption(
    name="elastic",
    about="Moves a 5 x 5 grid of points at random, and smoothly the pixels between them; the level is the standard "
    "deviation of a move, as a share of the side.",
    citation=f"Ronneberger, Fischer, Brox (2015), U-Net; {OURS}",
    levels=(0.01, 0.02, 0.03, 0.045, 0.06),
    function=_function,
)
