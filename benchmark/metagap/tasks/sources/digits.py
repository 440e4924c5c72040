"""The handwritten digits that ship with scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from metagap.tasks.image_store import Reading
from metagap.tasks.sources.stored import StoredSource


class Digits(StoredSource):
    """The 1,797 handwritten digits that ship with scikit-learn: real images of 8x8 pixels, nothing to download."""

    title = "Digits"
    licence = "CC BY 4.0"
    citation = "Alpaydin, Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository"

    def paths(self) -> list[Path]:
        """None: they come with scikit-learn."""
        return []

    def read(self) -> Reading:
        """All images, 0..16 stretched to 0..255."""
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        images = (np.asarray(pixels).reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)
        return Reading(images, np.asarray(labels), list("0123456789"))
