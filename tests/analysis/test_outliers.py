"""Collapsed runs are named, normal ones seldom."""

import numpy as np
import pytest

from metagap.analysis.intervals import Term, headline
from metagap.analysis.outliers import distances, limit, outlier_table

REPETITIONS = 1500


def flagged(rng, seeds, elsewhere, off):
    """How often some run of an algorithm is an outlier where the first lies `off` standard deviations away."""
    count = 0
    for _ in range(REPETITIONS):
        scores = rng.normal(size=seeds)
        scores[0] -= off
        others = list(rng.normal(size=(elsewhere, seeds)).std(axis=1, ddof=1))
        count += (distances(scores, others) > limit(seeds, elsewhere)).any()
    return count / REPETITIONS


@pytest.mark.parametrize(("seeds", "elsewhere", "power"), [(3, 4, 0.9), (5, 4, 0.99), (10, 4, 0.99), (10, 0, 0.99)])
def test_normal_runs_are_seldom_flagged_and_collapsed_ones_nearly_always(rng, seeds, elsewhere, power):
    assert 0.005 <= flagged(rng, seeds, elsewhere, 0) <= 0.025
    assert flagged(rng, seeds, elsewhere, 10) >= power


def test_an_outlier_is_named_with_the_interval_with_and_without_it(bench, rng, only):
    made = bench(steps={name: 1 for name in "abcd"}).split("new", "in-distribution")
    grids = {name: 0.7 + 0.01 * rng.normal(size=(4, 1)) + 0.05 * rng.normal(size=(4, 100)) for name in "abcd"}
    grids["b"][2] -= 0.4
    for name, scores in grids.items():
        made.add("new", scores, name)
    found = only(outlier_table(made.results()))
    assert (found["algorithm"], found["seed"], found["split"], found["seeds"]) == ("b", 2, "new", 4)
    assert found["score"] == pytest.approx(grids["b"][2].mean())
    assert tuple(found[["mean", "low", "high"]]) == pytest.approx(headline([Term(grids["b"])], bounds=(0, 1))[:3])
    kept = headline([Term(np.delete(grids["b"], 2, axis=0))], bounds=(0, 1))
    assert tuple(found[["others", "others_low", "others_high"]]) == pytest.approx(kept[:3])
    assert found["distance"] > found["threshold"] == limit(4, 3)


def test_a_run_that_alone_is_not_finite_is_an_outlier():
    assert list(distances(np.array([1.0, -np.inf, 1.1]), [])) == pytest.approx([np.nan, np.inf, np.nan], nan_ok=True)
    assert np.isnan(distances(np.array([-np.inf, -np.inf, 1.1]), [])).all()


def test_two_runs_cannot_say_which_of_them_is_off():
    assert np.isnan(distances(np.array([0.1, 0.9]), [0.01])).all()


def test_runs_within_the_error_of_their_episodes_are_none():
    scores = np.array([0.70, 0.70, 0.72])
    assert distances(scores, [1e-6]).max() > limit(3, 1) > distances(scores, [1e-6], np.full(3, 0.02)).max()
