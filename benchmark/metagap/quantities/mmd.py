"""The maximum mean discrepancy between training examples and those of a split."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist, pdist

from metagap.errors import UserError
from metagap.quantities.examples import features, inputs, no_features
from metagap.quantities.quantity import Quantity


def squared_mmd(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased estimate for samples (n, d) and (m, d): Gretton et al. (2012), equation 3.

    The kernel is exp(-|x - x'|^2 / (2 s^2)), where s is the median distance between two different examples of both
    samples together. Its mean is 0 where the distributions are the same, so that it may be a little below 0.
    """
    width = np.median(pdist(np.concatenate([a, b])))
    if not width > 0:
        raise UserError("most examples are the same: their median distance is zero")

    def kernel(distances: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * np.square(distances / width))

    return float(kernel(pdist(a)).mean() + kernel(pdist(b)).mean() - 2 * kernel(cdist(a, b)).mean())


ABOUT = "Squared maximum mean discrepancy (RBF kernel as wide as the median distance) between training examples and"
CITATION = "Gretton, Borgwardt, Rasch, Schölkopf, Smola (2012), A Kernel Two-Sample Test, JMLR"
MEANING = "; large where their distributions differ, 0 on average where they do not."

INPUTS = Quantity(
    name="mmd-inputs",
    about=f"{ABOUT} the split's, of their inputs{MEANING}",
    citation=CITATION,
    cost="the distances between 1000 examples",
    measure=lambda watched: squared_mmd(*inputs(watched)[:2]),
)
FEATURES = Quantity(
    name="mmd-features",
    about=f"{ABOUT} the split's, of their learned features{MEANING}",
    citation=CITATION,
    cost="1 forward pass per episode and the distances between 1000 examples",
    measure=lambda watched: squared_mmd(*features(watched)[:2]),
    applies=no_features,
)
