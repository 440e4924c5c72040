"""Lossy compression."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import HENDRYCKS


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).squeeze(-1).numpy()
    decoded = torch.from_numpy(np.stack([_decoded(image, int(level)) for image in pixels]))
    return (decoded.unsqueeze(-1) if decoded.ndim == 3 else decoded).permute(0, 3, 1, 2).float() / 255


def _decoded(image: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


JPEG = Corruption(
    name="jpeg",
    about="Compresses as JPEG and decodes again; the level is the quality, of 100.",
    citation=HENDRYCKS,
    levels=(25, 18, 15, 10, 7),
    function=_function,
)
