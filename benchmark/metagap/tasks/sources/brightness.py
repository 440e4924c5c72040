"""What the pixels of a user's images are worth: any depth, with transparency or not, becomes 8-bit grey or colour.

Two things are decided for a data set as a whole, so that what is brighter in one image is brighter next to the others:
which value is white, and what lies behind transparent pixels.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from metagap.errors import UserError

DEPTHS = tuple(2**bits - 1 for bits in (1, 8, 10, 12, 14, 16, 24, 31, 32))
"""The white of images, by bit depth."""
DOUBTFUL = 16
"""Fractional pixels whose maximum is between 1 and this are neither 0 to 1 nor 0 to 255."""
CONTRAST = 64
"""How far, of 255, the ink of every image should be from what lies behind it."""

Background = Literal["auto", "white", "black", "grey"]
BACKGROUNDS: dict[Background, int] = {"white": 255, "black": 0, "grey": 128}


class Rules(NamedTuple):
    """What the user says of the two; None and "auto": the data set's images decide."""

    white_level: float | None = None
    background: Background = "auto"


@dataclass(frozen=True)
class Levels:
    """What is white among whole and among fractional numbers, and what lies behind transparent pixels (0 to 255)."""

    whole: float = 255
    fractional: float = 1
    background: int = 255

    def scaled(self, array: np.ndarray) -> np.ndarray:
        """Numbers of any kind as uint8, black at 0 and white at the level of their kind."""
        if array.dtype == np.bool_:
            return array * np.uint8(255)
        white = self.fractional if array.dtype.kind == "f" else self.whole
        if array.dtype == np.uint8 and white == 255:
            return array
        return (array.astype(np.float64) * (255 / white)).round().clip(0, 255).astype(np.uint8)

    def flattened(self, image: np.ndarray) -> np.ndarray:
        """An image (H, W, 4) uint8 on its background, (H, W, 3); others as they are."""
        if image.ndim < 3 or image.shape[2] != 4:
            return image
        alpha = image[..., 3:] / 255
        return (image[..., :3] * alpha + self.background * (1 - alpha)).round().astype(np.uint8)


class Survey:
    """Looks at the images of a data set, which are `checked`, for what its `Levels` are."""

    def __init__(self) -> None:
        self.whole = self.fractional = 0.0
        self.ink: list[float] = []

    def numbers(self, array: np.ndarray) -> None:
        """One image or many of any depth."""
        highest = float(array.max(initial=0))
        if array.dtype.kind == "f":
            self.fractional = max(self.fractional, highest)
        elif array.dtype != np.bool_:
            self.whole = max(self.whole, highest)

    def transparency(self, image: np.ndarray) -> None:
        """One image (H, W, 4): how light is what is seen of it? Where all is equally opaque it has no say."""
        alpha = image[..., 3].astype(np.float64)
        if alpha.min() < alpha.max():
            own = Survey()
            own.numbers(image)
            image = own.levels("", Rules(white_level=_white(max(own.whole, own.fractional)))).scaled(image)
            self.ink.append(float((image[..., :3].mean(-1) * alpha).sum() / alpha.sum()))

    def levels(self, called: str, rules: Rules) -> Levels:
        """The levels of all that was seen. Raises UserError where the white of fractional pixels is not known."""
        whole, fractional = _white(self.whole), _white(self.fractional)
        if rules.white_level:
            whole = fractional = rules.white_level
        elif self.fractional <= 1 + 1e-3:
            fractional = 1
        elif self.fractional < DOUBTFUL:
            raise UserError(
                f"{called}: fractional pixels up to {self.fractional:.6g}; allowed: 0 to 1, 0 to 255, or the option "
                "`white_level` with the value that is white"
            )
        behind = self._behind() if rules.background == "auto" else BACKGROUNDS[rules.background]
        return Levels(whole, fractional, behind)

    def notes(self, levels: Levels) -> list[str]:
        """What a reader should know of the levels that were chosen."""
        notes = []
        if self.whole and levels.whole not in (255, 65535):
            notes.append(f"the value {levels.whole:,.6g} is white")
        if self.fractional and levels.fractional not in (1, 255):
            notes.append(f"the value {levels.fractional:,.6g} is white")
        if self.ink and levels.background != 255:
            behind = next(name for name, value in BACKGROUNDS.items() if value == levels.background)
            notes.append(f"transparent pixels are shown {behind}")
        return notes

    def _behind(self) -> int:
        """White if the ink of every image stays visible on it, else black, else grey, else what is farthest from it."""
        if not self.ink:
            return 255
        distance = {behind: min(abs(ink - behind) for ink in self.ink) for behind in BACKGROUNDS.values()}
        return next(
            (one for one in distance if distance[one] >= CONTRAST), max(distance, key=lambda one: distance[one])
        )


def _white(highest: float) -> float:
    return next((depth for depth in DEPTHS if highest <= depth), highest)


def checked(array: np.ndarray) -> np.ndarray:
    """Images as they are. Raises ValueError, with what is allowed, for what can be no pixels."""
    if array.dtype.kind not in "biuf":
        raise ValueError(f"its values are {array.dtype.name}; allowed: whole numbers, fractional numbers and booleans")
    if 0 in array.shape:
        raise ValueError(f"its shape is {array.shape}, so it has no pixels")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{int((~np.isfinite(array)).sum())} of its values are NaN or infinite")
    if array.dtype.kind in "if" and array.min() < 0:
        raise ValueError(f"it has negative values, down to {array.min():.6g}; allowed: 0 and above, 0 is black")
    return array


def decoded(image: Image.Image) -> tuple[np.ndarray, bool]:
    """The pixels of an image file, upright: (H, W), (H, W, 3) or (H, W, 4), and whether they are 8-bit levels already.

    Of several frames, the first.
    """
    image.load()
    with suppress(Exception):  # a damaged note on its orientation is none
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return checked(np.asarray(image)), False
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return checked(np.asarray(image)), True
