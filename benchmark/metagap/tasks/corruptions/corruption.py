"""What a corruption is: how an image is made worse, in five severities, the same way whenever and wherever it is asked.

It works on images as they are stored, before anything is normalised, and on the CPU, so that every device sees the same
pixels; other processors may round differently, by a grey level here and there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from metagap import digests

SEVERITIES = (1, 2, 3, 4, 5)
IMAGES_AT_ONCE = 1024
"""Images that are corrupted together, so that a large batch takes no more memory than they do."""


@dataclass(frozen=True)
class Draws:
    """Random numbers of n images, each with a stream of its own, which is the same at every severity."""

    seeds: list[int]
    _taken: list[Generator] = field(default_factory=list, init=False, repr=False, compare=False)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (n, *shape)."""
        return self._drawn(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers (n, *shape) between 0 and 1."""
        return self._drawn(torch.rand, shape)

    def _drawn(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        if not self._taken:
            self._taken.extend(Generator().manual_seed(seed) for seed in self.seeds)
        return torch.stack([draw(shape, generator=generator) for generator in self._taken])


Function = Callable[[Tensor, float, Draws], Tensor]
"""Of images (n, C, H, W) in [0, 1], the level of a severity and random numbers it gives such images; values beyond
[0, 1] are cut."""


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One way to make images worse."""

    name: str
    """As suites say it: lower-case letters, digits and hyphens."""
    about: str
    """One sentence on what it does, and what a level of it is."""
    citation: str
    """Where its levels are from."""
    levels: tuple[float, float, float, float, float]
    """What the severities 1 to 5 stand for."""
    function: Function
    """It has to give the same for an image whatever others are in the batch."""
    revision: int = 1
    """Raised by its author when other pixels come of the same severity."""

    def __call__(self, images: Tensor, rows: Tensor, severity: int) -> Tensor:
        """The images (n, C, H, W) uint8 at a severity of 1 to 5, on the CPU. rows: (n,) which image of its store each
        one is, on which its random numbers depend."""
        level, done = self.levels[severity - 1], []
        for some, places in zip(images.cpu().split(IMAGES_AT_ONCE), rows.split(IMAGES_AT_ONCE), strict=True):
            draws = Draws([digests.number(f"{self.name} {row}") for row in places.tolist()])
            changed = self.function(some.float() / 255, level, draws)
            done.append((changed * 255).round().clamp(0, 255).to(torch.uint8))
        return torch.cat(done)
