"""The proxy A-distance: how well a linear classifier tells training examples from those of a split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Generator

from metagap.errors import UserError
from metagap.quantities.examples import Samples, features, inputs, no_features
from metagap.quantities.quantity import Quantity

FOLDS = 5
"""Of cross-validation."""


def a_distance(samples: Samples, generator: Generator) -> float:
    """2 (1 - 2 error), of logistic regression (C = 1) on held-out tasks; the error is the mean of both sides'.

    Whole tasks are held out: batch norm makes the examples of a task depend on each other. Inputs that occur among the
    held-out examples are left out of what the classifier is fitted to, or a small set of images would be told apart by
    heart. Near 0 the two cannot be told apart; the error may exceed 1/2 by chance, so that it may be a little below 0.
    """
    from sklearn.linear_model import LogisticRegression

    sizes = [len(samples.source), len(samples.target)]
    side = np.repeat([0, 1], sizes)
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    x = np.concatenate([samples.source, samples.target])
    said = np.empty_like(side)
    for known, held_out in _folds(samples, side, generator):
        said[held_out] = model.fit(x[known], side[known]).predict(x[held_out])
    error = np.mean([np.mean(said[side == which] != which) for which in (0, 1)])
    return float(2 * (1 - 2 * error))


def _folds(samples: Samples, side: np.ndarray, generator: Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What is known and what is held out (n + m,), fold by fold; the tasks of both sides are spread over all folds."""
    fold = np.empty_like(side)
    for which in (0, 1):
        tasks, number = np.unique(samples.task[side == which], return_inverse=True)
        if len(tasks) < FOLDS:
            raise UserError(f"it needs {FOLDS} tasks of each side; there are {len(tasks)}")
        fold[side == which] = torch.randperm(len(tasks), generator=generator).numpy()[number] % FOLDS
    for one in range(FOLDS):
        held_out = fold == one
        known = ~held_out & ~np.isin(samples.identity, samples.identity[held_out])
        if len(np.unique(side[known])) < 2:
            raise UserError("the tasks share so many examples that none are left to fit the classifier to")
        yield known, held_out


ABOUT = "2 (1 - 2 error) of a linear classifier of training examples against the split's, on held-out tasks, "
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
