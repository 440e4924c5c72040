import numpy as np
import pandas as pd

from metagap.analysis.divergence import diverged, worst_if_nan
from metagap.kinds.classification import CLASSIFICATION
from metagap.kinds.regression import REGRESSION


def table(losses, null=2.0, **columns):
    n = len(losses)
    base = {"split": "s", "condition": "standard", "episode": range(n), "query_loss": losses, "null_loss": null}
    return pd.DataFrame(base | columns)


def test_regression_diverges_beyond_ten_times_the_trivial_error():
    losses = [0.1, 20.0, 20.1, np.inf, np.nan]
    assert diverged(table(losses), REGRESSION).tolist() == [False, False, True, True, True]


def test_classification_diverges_only_when_the_loss_is_not_finite():
    losses = [0.1, 1e9, np.inf, -np.inf, np.nan]
    assert diverged(table(losses), CLASSIFICATION).tolist() == [False, False, True, True, True]


def test_the_trivial_error_is_the_mean_of_each_split():
    episodes = table([25.0] * 4, null=[1.0, 5.0, 1.0, 1.0], split=["a", "a", "b", "b"], episode=[0, 1, 0, 1])
    assert diverged(episodes, REGRESSION).tolist() == [False, False, True, True]


def test_an_episode_counts_once_in_the_trivial_error_however_often_it_was_met():
    once = table([35.0, 35.0], null=[1.0, 7.0], episode=[0, 1])
    often = pd.concat([once, *[once.iloc[[0]]] * 5], ignore_index=True)
    assert not diverged(once, REGRESSION).any()
    assert not diverged(often, REGRESSION).any()


def test_the_index_is_kept():
    episodes = table([0.1, np.inf]).set_axis([7, 3])
    assert diverged(episodes, REGRESSION).to_dict() == {7: False, 3: True}


def test_nan_is_the_worst():
    assert worst_if_nan(pd.Series([1.0, np.nan]), -np.inf).tolist() == [1.0, -np.inf]
