"""The Fréchet distance between training examples and those of a split, each taken for a Gaussian."""

from __future__ import annotations

import numpy as np

from metagap.quantities.examples import features, inputs, no_features
from metagap.quantities.quantity import Quantity


def gaussian_distance(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """|m - m'|^2 + tr(C + C' - 2 (C^1/2 C' C^1/2)^1/2): Dowson and Landau (1982).

    The last root's trace comes of eigenvalues, which stay real where covariances are singular.
    """
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    return float(np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * shared)


def squared_frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Between Gaussians fitted to samples (n, d) and (m, d), with covariances shrunk as Ledoit and Wolf (2004) have it.

    It is above 0 for two samples of one distribution, the more so the fewer they are.
    """
    from sklearn.covariance import ledoit_wolf

    return gaussian_distance(a.mean(0), ledoit_wolf(a)[0], b.mean(0), ledoit_wolf(b)[0])


ABOUT = "Squared Fréchet distance between Gaussians fitted to training examples and to the split's, by their"
CITATION = "Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter (2017), GANs Trained by a Two Time-Scale Update Rule"
MEANING = ", in units of the training examples' variance; large where they lie apart or differ in spread."

INPUTS = Quantity(
    name="frechet-inputs",
    about=f"{ABOUT} inputs{MEANING}",
    citation=CITATION,
    cost="the eigenvalues of 2 covariances",
    measure=lambda watched: squared_frechet(*inputs(watched)[:2]),
)
FEATURES = Quantity(
    name="frechet-features",
    about=f"{ABOUT} learned features{MEANING}",
    citation=CITATION,
    cost="1 forward pass per episode and the eigenvalues of 2 covariances",
    measure=lambda watched: squared_frechet(*features(watched)[:2]),
    applies=no_features,
)
