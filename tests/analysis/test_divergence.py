import numpy as np

from metagap.analysis.divergence import diverged, worst_if_nan
from metagap.kinds.classification import CLASSIFICATION
from metagap.kinds.regression import REGRESSION


def test_regression_diverges_beyond_ten_times_the_trivial_error():
    losses = np.array([[0.1, 20.0, 20.1], [np.inf, np.nan, -np.inf]])
    assert diverged(losses, REGRESSION, null_loss=2.0).tolist() == [[False, False, True], [True, True, True]]


def test_classification_diverges_only_when_the_loss_is_not_finite():
    losses = np.array([0.1, 1e9, np.inf, -np.inf, np.nan])
    assert diverged(losses, CLASSIFICATION, null_loss=2.0).tolist() == [False, False, True, True, True]


def test_nan_is_the_worst():
    assert worst_if_nan(np.array([1.0, np.nan]), -np.inf).tolist() == [1.0, -np.inf]
