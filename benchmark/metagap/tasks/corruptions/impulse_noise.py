"""Salt and pepper."""

from __future__ import annotations

from torch import Tensor

from metagap.tasks.corruptions.corruption import Corruption, Draws
from metagap.tasks.corruptions.levels import HENDRYCKS


def _function(images: Tensor, level: float, draws: Draws) -> Tensor:
    uniform = draws.uniform(*images.shape[1:])
    return images.masked_fill(uniform < level / 2, 0.0).masked_fill(uniform > 1 - level / 2, 1.0)


IMPULSE_NOISE = Corruption(
    name="impulse-noise",
    about="Makes pixels black or white, as often the one as the other; the level is the share of such pixels.",
    citation=HENDRYCKS,
    levels=(0.03, 0.06, 0.09, 0.17, 0.27),
    function=_function,
)
