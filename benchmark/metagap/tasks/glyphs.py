"""Drawn characters: an image source with shift parameters that needs no download."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from pydantic import Field, PositiveFloat, PositiveInt

from metagap import digests
from metagap.memory import require
from metagap.tasks import drawing
from metagap.tasks.drawing import Style, draw_glyphs
from metagap.tasks.image_store import Reading
from metagap.tasks.images import ImageStore
from metagap.tasks.source import ImageSource, Seed

BYTES_OF_A_DRAWING = 10_000
"""What the strokes of one take while they become an image."""

NonNegative = Annotated[float, Ge(0)]


class Glyphs(ImageSource):
    """Characters of invented alphabets, drawn by an unsteady hand, with parameters that shift the domain.

    The first 60% of the alphabets are for meta-training, the next 20% for validation, the last 20% for meta-testing.
    The same seed gives the same characters whatever the shift parameters, so that two domains can share them.
    """

    image_size: Annotated[int, Ge(8), Le(4096)] = Field(
        default=28, description="images are resized to this many pixels a side"
    )
    alphabets: PositiveInt = Field(default=30, description="number of alphabets")
    characters: PositiveInt = Field(default=20, description="characters in each alphabet")
    instances: PositiveInt = Field(default=20, description="drawings of each character")
    seed: Seed = Field(default=0, description="which characters are invented")
    rotation: float = Field(default=0.0, description="degrees by which every drawing is turned")
    slant: float = Field(default=0.0, description="degrees by which every drawing is sheared")
    stroke_width: PositiveFloat = Field(default=1.0, description="factor on the width of the pen")
    noise: NonNegative = Field(default=0.0, description="standard deviation of the noise on every pixel, of 1")
    inversion: float = Field(default=0.0, ge=0, le=1, description="share of drawings that are dark on light")
    clutter: NonNegative = Field(default=0.0, description="mean number of stray strokes per drawing")
    jitter: NonNegative = Field(default=1.0, description="factor on the unsteadiness of the hand")

    licence = "made on the fly"
    citation = "none: drawn by metagap"

    def stamp(self) -> str:
        """The drawing code: other code draws other characters."""
        return digests.of_file(Path(drawing.__file__))

    def digest(self, classes: str = "all") -> str:
        """Nothing is read: options and revision determine everything."""
        return f"revision {self.revision}"

    def looking_like(self, other: ImageSource) -> ImageSource:
        """The same characters as another drew them: all options but those that decide what characters there are."""
        if not isinstance(other, Glyphs):
            return super().looking_like(other)
        own = {"alphabets", "characters", "seed", "train_classes", "train_images"}
        return self.model_copy(update={k: getattr(other, k) for k in type(self).model_fields if k not in own})

    def read(self) -> Reading:
        """Draw all characters; takes a few seconds for tens of thousands of images."""
        count = self.alphabets * self.characters * self.instances
        require(count * (self.image_size**2 + BYTES_OF_A_DRAWING), f"glyphs: drawing {count:,} images")
        style = Style(**{name: getattr(self, name) for name in asdict(Style())})
        images, names = draw_glyphs(self.alphabets, self.characters, self.instances, self.image_size, style, self.seed)
        return Reading(images.flatten(0, 2).numpy(), np.arange(len(names)).repeat(self.instances), names)

    def parts(self, store: ImageStore) -> dict[str, list[int]]:
        """Classes by alphabet: 60% train, 20% val, 20% test."""
        ends = [round(self.alphabets * share) * self.characters for share in (0.6, 0.8, 1.0)]
        return {
            part: list(range(start, end))
            for part, start, end in zip(("train", "val", "test"), [0, *ends[:-1]], ends, strict=True)
        }
