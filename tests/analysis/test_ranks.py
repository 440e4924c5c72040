"""The test of ranks, against other libraries and against what is true in simulations."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from metagap.analysis import ranks
from metagap.analysis.ranks import rank_test
from metagap.errors import UserError


def table(values):
    return pd.DataFrame(values, columns=list("abcdefgh")[: np.shape(values)[1]])


def iman_davenport(chi2, suites, algorithms):
    return (suites - 1) * chi2 / (suites * (algorithms - 1) - chi2)


def test_f_is_made_of_the_chi_square_of_scipy(rng):
    assert iman_davenport(9.28, 14, 4) == pytest.approx(3.69, abs=0.005)  # the example of Demsar 2006, section 3.2.2
    scores = rng.normal([0, 0.3, 0.8, 0], size=(14, 4)).round(1)
    assert any(len(set(row)) < 4 for row in scores)  # ties
    found = rank_test(table(scores))
    expected = iman_davenport(stats.friedmanchisquare(*scores.T).statistic, 14, 4)
    assert found.statistic == pytest.approx(expected) and found.freedom == (3, 39)
    assert found.p_f == pytest.approx(stats.f.sf(expected, 3, 39))
    assert found.p == pytest.approx(found.p_f, abs=0.02)
    assert found.critical_difference == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), rel=1e-3)  # q of 4 at 0.05
    assert found.ranks["c"] == pytest.approx(stats.rankdata(-scores, axis=1)[:, 2].mean())
    assert ((found.pairs["rank_difference"].abs() > found.critical_difference) == (found.pairs["p"] < 0.05)).all()


def test_nemenyi_has_the_p_values_of_scikit_posthocs(rng):
    from scikit_posthocs import posthoc_nemenyi_friedman

    scores = table(rng.normal([0, 0, 0.5, 1], size=(12, 4)).round(1))
    theirs = posthoc_nemenyi_friedman(scores)
    pairs = rank_test(scores).pairs
    assert len(pairs) == 6
    for a, b, p in zip(pairs["a"], pairs["b"], pairs["p"], strict=True):
        assert p == pytest.approx(theirs.loc[a, b], abs=1e-12)


def test_p_of_agreement_is_that_of_counting():
    """Three suites that agree about three algorithms: one of the 36 ways in which two can follow the first."""
    found = rank_test(table([[3, 2, 1]] * 3))
    assert found.statistic == np.inf and found.p_f == 0
    assert found.p == pytest.approx(1 / 36, abs=0.005)
    assert rank_test(table([[3, 2, 1]] * 2)).p == pytest.approx(1 / 6, abs=0.01)


def test_p_is_that_of_all_shufflings():
    """Three suites, not of one mind: the ranks of the second and the third in all 36 ways."""
    scores = np.array([[3, 2, 1], [3, 1, 2], [2, 3, 1]])

    def spread(second, third):
        sums = np.add(np.add([1, 2, 3], second), third)
        return ((sums - sums.mean()) ** 2).sum()

    orders = list(permutations([1, 2, 3]))
    every = [spread(second, third) for second in orders for third in orders]
    observed = ((stats.rankdata(-scores, axis=1).sum(axis=0) - 6) ** 2).sum()
    assert rank_test(table(scores)).p == pytest.approx(np.mean(np.array(every) >= observed), abs=0.02)


def test_a_clear_winner_is_told_and_the_others_are_a_group(rng):
    found = rank_test(table(rng.normal([0, 0, 0, 5], size=(20, 4))))
    assert found.ranks.index[0] == "d" and found.warning == "" and found.p < 0.001
    first = found.pairs[found.pairs["a"] == "d"]
    assert (first["verdict"] == "d better").all() and len(first) == 3
    assert [set(group) for group in found.groups] == [{"a", "b", "c"}]


def test_groups_overlap_and_have_no_group_within_another():
    order = np.tile(np.arange(5.0, 0, -1), (6, 1))  # ranks 1 to 5; the critical difference is 2.49
    found = rank_test(table(order))
    assert 2 < found.critical_difference < 3
    assert found.groups == [list("abc"), list("bcd"), list("cde")]


def test_without_a_significant_test_all_are_one_group(rng):
    found = rank_test(table(rng.normal(size=(10, 4))))
    assert found.p > 0.05 and [set(group) for group in found.groups] == [set("abcd")]


def test_few_suites_are_warned_about():
    assert "no power" in rank_test(table([[3, 2, 1]] * 2)).warning
    assert "little power" in rank_test(table([[3, 2, 1]] * 6)).warning


def test_ties_everywhere_are_no_difference():
    found = rank_test(table(np.ones((12, 3))))
    assert found.p == 1 and found.statistic == 0 and (found.pairs["verdict"] == "cannot tell").all()


@pytest.mark.parametrize("shape", [(5, 2), (1, 3)])
def test_too_little_to_compare(shape):
    with pytest.raises(UserError, match="at least 3 algorithms and 2 suites"):
        rank_test(table(np.ones(shape)))


@pytest.mark.parametrize("suites", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (10, 20))])
def test_the_level_holds_and_the_power_is_more_than_that_of_chi_square(rng, suites, monkeypatch):
    """Of 1000 tables, the bound is 5% and 2.7 times the error of a share. The suites differ in level and spread."""
    monkeypatch.setattr(ranks, "PERMUTATIONS", 999)  # a test of 5% is exact with these too

    def rejected(shift):
        spread = rng.uniform(0.5, 2, size=(1000, suites, 1))
        noise = rng.normal(size=(1000, suites, 4)) + rng.normal(size=(1000, suites, 1))
        scores = spread * (noise + np.array([shift, 0, 0, 0]))
        found = [ranks._permuted(one) for one in stats.rankdata(-scores, axis=2)]
        chi2 = stats.friedmanchisquare(*np.moveaxis(scores, 2, 0), axis=1).pvalue
        return np.mean(np.array(found) < 0.05), np.mean(chi2 < 0.05)

    level, _ = rejected(0.0)
    assert 0.02 <= level <= 0.05 + 2.7 * np.sqrt(0.05 * 0.95 / 1000)
    ours, chi_square = rejected(1.0)
    assert ours > chi_square
