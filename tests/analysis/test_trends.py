"""Slopes and trends of a sweep: against independent computations, and where there is nothing to compare."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from metagap.analysis.grids import Grids
from metagap.analysis.intervals import Term, crossed, crossed_estimate, summarise
from metagap.analysis.joint import Joint
from metagap.analysis.trends import slope_weights, trend_weights, trends
from metagap.results import SweepResults
from metagap.selftest.trends import AXIS, made_up
from metagap.selftest.worlds import GAUSSIAN
from metagap.suite import Axis


@cache
def sweep(slope: float = 0.03, seeds: int = 4) -> SweepResults:
    return made_up(np.random.default_rng(0), GAUSSIAN, seeds, 30, slope, algorithms=2)


def grids(found: SweepResults, split: str = "home", algorithm: str = "algorithm 0") -> list[np.ndarray]:
    """(S, M) at each value."""
    return [Grids(one).get(algorithm, split).to_numpy() for one in found.members.values()]


def row(found: SweepResults, what: str = "score", split: str = "home", algorithm: str = "algorithm 0"):
    table = trends(found, detectable=False).trends
    return table[(table["what"] == what) & (table["split"] == split) & (table["algorithm"] == algorithm)].iloc[0]


def test_weights_are_those_of_least_squares_and_of_abelson_and_tukey():
    y = np.random.default_rng(0).normal(size=5)
    assert slope_weights(AXIS) @ y == pytest.approx(np.polyfit(np.log2(AXIS.values), y, 1)[0])
    linear = Axis(key="training.lr", values=[1, 2, 7])
    assert slope_weights(linear) @ y[:3] == pytest.approx(np.polyfit([1, 2, 7], y[:3], 1)[0])
    assert trend_weights(2) == pytest.approx([-0.707, 0.707], abs=1e-3)
    assert trend_weights(4) == pytest.approx([-0.866, -0.134, 0.134, 0.866], abs=1e-3)  # their table


def test_no_other_contrast_is_better_in_the_worst_case_of_a_monotone_trend():
    steps = np.array([[0.0] * k + [1.0] * (5 - k) for k in range(1, 5)])  # the extreme monotone curves
    steps -= steps.mean(axis=1, keepdims=True)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)

    def worst(weights: np.ndarray) -> float:
        return float((steps @ (weights / np.linalg.norm(weights))).min())

    best = worst(trend_weights(5))
    others = np.random.default_rng(0).normal(size=(300, 5)) * 0.2 + trend_weights(5)
    assert all(worst(one - one.mean()) <= best + 1e-12 for one in others)


def test_the_slope_is_computed_run_by_run_and_episode_by_episode():
    found, expected = sweep(), row(sweep())
    x = np.log2(AXIS.values)
    per_episode = np.tensordot((x - x.mean()) / np.sum((x - x.mean()) ** 2), np.stack(grids(found)), axes=1)
    interval = crossed(per_episode)
    assert expected["paired"] and expected["values"] == 5 and expected["key"] == AXIS.key
    assert tuple(expected[["slope", "low", "high"]]) == pytest.approx(interval[:3])
    assert (expected["least"], expected["greatest"]) == pytest.approx(tuple(grids(found)[k].mean() for k in (0, -1)))
    gap = np.tensordot(slope_weights(AXIS), np.stack(grids(found, "domain 0")), axes=1)
    both = crossed_estimate([Term(per_episode), Term(gap, weight=-1)])
    of_gap = row(found, "domain gap", "domain 0")
    assert of_gap["p"] == pytest.approx(both.p_value()) and of_gap["slope"] == pytest.approx(both.center)


def test_other_test_episodes_at_each_value_are_independent():
    found = sweep()
    members = {
        values: dataclasses.replace(one, episodes=one.recorded, met={"home": str(values)})
        for values, one in found.members.items()
    }
    apart = row(SweepResults(found.axes, members))
    terms = [Term(one, weight=weight) for one, weight in zip(grids(found), slope_weights(AXIS), strict=True)]
    assert not apart["paired"] and apart["slope"] == pytest.approx(row(found)["slope"])
    assert apart["p"] == pytest.approx(crossed_estimate([term for term in terms if term.weight]).p_value())
    assert apart["p"] > row(found)["p"]  # what makes an episode easy does not drop out


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_sides_of_the_same_episodes_vary_together(statistic):
    rng = np.random.default_rng(0)
    sides = [rng.normal(size=(3, 200)) + rng.normal(size=200) for _ in range(3)]
    joint = Joint(tuple((weight, Term(side, weight=2.0)) for weight, side in zip((-1.0, 0.0, 1.0), sides, strict=True)))
    first, _, last = (summarise(side, statistic) for side in sides)
    assert joint.per_seed(statistic) == pytest.approx(2 * (last - first))
    as_difference = Term(sides[2], sides[0], weight=2.0).episode_covariance(statistic)
    assert joint.episode_covariance(statistic) == pytest.approx(as_difference)
    assert joint.bounds((0, 1)) == (-2, 2)


def test_what_does_not_change_has_no_slope_and_is_not_claimed():
    found = sweep()
    first = next(iter(found.members.values()))
    same = {
        values: dataclasses.replace(first, episodes=first.recorded, cells=one.cells)
        for values, one in found.members.items()
    }
    still = row(SweepResults(found.axes, same))
    assert (still["slope"], still["p"], still["p_trend"], still["verdict"]) == (0, 1, 1, "cannot tell")
    not_swept = trends(SweepResults(found.axes, dict.fromkeys(found.members, first)))
    assert not_swept.trends.empty and len(not_swept.points) > 0


def test_claims_need_three_seeds_and_are_of_one_family():
    table = trends(sweep(0.1)).trends
    claimed = table[table["family"] > 0]
    assert set(zip(claimed["what"], claimed["split"], strict=True)) == {
        ("score", "home"),
        ("score", "domain 0"),
        ("domain gap", "domain 0"),
    }
    assert set(claimed["family"]) == {6} and (claimed["p_holm"] >= claimed["p_trend"]).all()
    scores = claimed[claimed["what"] == "score"]
    assert set(scores["verdict"]) == {"improves"} and (scores["detectable"] < scores["detectable_claim"]).all()
    down = trends(sweep(-0.1)).trends
    assert set(down.loc[down["what"] == "score", "verdict"]) == {"worsens"}
    two = trends(sweep(0.1, seeds=2)).trends
    assert set(two["verdict"]) == {"cannot tell"} and two["p_holm"].isna().all() and two["detectable"].isna().all()
    assert np.isfinite(two["low"]).all()


def test_seeds_that_a_value_lacks_are_left_out():
    found, few = sweep(), sweep(seeds=3)
    members = {**found.members, (5,): few.members[5,]}
    mixed = trends(SweepResults(found.axes, members), detectable=False)
    assert set(mixed.trends["seeds"]) == {3}
    assert "Not every value has the same seeds of algorithm 0; seed 3 is left out." in mixed.notes


def test_along_each_key_of_a_grid_the_other_is_averaged_over():
    found = sweep()
    several = list(found.members.values())
    axes = (Axis(key="source.train_classes", values=[1, 2]), Axis(key="training.lr", values=[0.1, 0.3]))
    members = dict(zip([(1, 0.1), (1, 0.3), (2, 0.1), (2, 0.3)], several, strict=False))
    table = trends(SweepResults(axes, members), detectable=False).trends
    here = table[(table["what"] == "score") & (table["split"] == "home") & (table["algorithm"] == "algorithm 0")]
    means = [one.mean() for one in grids(found)[:4]]
    assert here["key"].tolist() == ["source.train_classes", "training.lr"]
    assert here["slope"].tolist() == pytest.approx(
        [(means[2] + means[3] - means[0] - means[1]) / 2, (means[1] + means[3] - means[0] - means[2]) / 2 / 0.2]
    )
    del members[2, 0.3]
    assert trends(SweepResults(axes, members), detectable=False).trends.empty
