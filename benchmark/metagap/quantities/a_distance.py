"""The proxy A-distance: how well a linear classifier tells training examples from those of a split."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator

from metagap.errors import UserError
from metagap.quantities.examples import Samples, features, inputs, no_features
from metagap.quantities.quantity import Quantity

FOLDS = 5
"""Of cross-validation."""


def a_distance(samples: Samples, generator: Generator) -> float:
    """2 (1 - 2 error), of logistic regression (C = 1) on held-out examples; the error is the mean of both sides'.

    Examples with the same input are in the same fold, or a small set of images would be told apart by heart. Near 0
    the two cannot be told apart; the error may exceed 1/2 by chance, so that it may be a little below 0.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    sizes = [len(samples.source), len(samples.target)]
    side = np.repeat([0, 1], sizes)
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    x, folds = np.concatenate([samples.source, samples.target]), _folds(samples, generator)
    said = np.asarray(cross_val_predict(model, x, side, cv=PredefinedSplit(folds)))
    error = np.mean([np.mean(said[side == which] != which) for which in (0, 1)])
    return float(2 * (1 - 2 * error))


def _folds(samples: Samples, generator: Generator) -> np.ndarray:
    """The fold of each example, the same for the same input; both sides are spread over all folds."""
    sides = [np.unique(side) for side in np.split(samples.identity, [len(samples.source)])]
    if (fewest := min(map(len, sides))) < FOLDS:
        raise UserError(f"it needs {FOLDS} different examples of each side; there are {fewest}")
    fold = torch.randperm(int(samples.identity.max()) + 1, generator=generator).numpy()
    shuffled = np.argsort(fold)
    where = np.isin(shuffled, sides[1]).astype(int) - np.isin(shuffled, sides[0])  # -1: source alone, 1: target alone
    fold[shuffled[np.argsort(where, kind="stable")]] = np.arange(len(fold)) % FOLDS
    return fold[samples.identity]


ABOUT = "2 (1 - 2 error) of a linear classifier of training examples against the split's, on held-out ones, "
CITATION = "Ben-David, Blitzer, Crammer, Pereira (2007), Analysis of Representations for Domain Adaptation, NeurIPS"
MEANING = "; near 2 the two can be told apart, near 0 they cannot."

INPUTS = Quantity(
    name="a-distance-inputs",
    about=f"{ABOUT}by their inputs{MEANING}",
    citation=CITATION,
    cost=f"{FOLDS} logistic regressions",
    measure=lambda watched: a_distance(inputs(watched), watched.generator("folds")),
)
FEATURES = Quantity(
    name="a-distance-features",
    about=f"{ABOUT}by their learned features{MEANING}",
    citation=CITATION,
    cost=f"1 forward pass per episode and {FOLDS} logistic regressions",
    measure=lambda watched: a_distance(features(watched), watched.generator("folds")),
    applies=no_features,
)
