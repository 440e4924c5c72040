"""Responses: contrasts against a direct loop, half-effect strengths with known truth, tables of hand-made results."""

from __future__ import annotations

import numpy as np
import pytest

from metagap.analysis.comparisons import holm
from metagap.analysis.intervals import Term, crossed_estimate, episodes_estimate
from metagap.analysis.responses import (
    AT_FLOOR,
    NO_FLOOR,
    Curves,
    area_weights,
    families,
    half_effect,
    response_tables,
)
from metagap.suite.schema import Dose

DISTANCES = np.array([0.0, 1.0, 2.0, 4.0])
TRUTH = np.array([0.8, 0.7, 0.5, 0.3])
FLOORS = np.full(4, 0.2)  # half of 0.8 and 0.2 is 0.5, at 2


def drawn(rng, truth=TRUTH, seeds=3, episodes=100, sd=(0.02, 0.1, 0.1)):
    """Grids (K, S, M) around a truth: effects of seeds, of episodes that all strengths share, and of single values."""
    of_seed, of_episode, rest = sd
    k = len(truth)
    return (
        truth[:, None, None]
        + of_seed * (rng.normal(size=(1, seeds, 1)) + 0.5 * rng.normal(size=(k, seeds, 1)))
        + of_episode * rng.normal(size=(1, 1, episodes))
        + rest * rng.normal(size=(k, seeds, episodes))
    )


@pytest.mark.parametrize("seeds", [1, 4])
def test_a_contrast_is_the_crossed_estimate_of_the_weighted_sum(seeds):
    grids, weights = drawn(np.random.default_rng(0), seeds=seeds), np.array([1.0, -0.25, 0.5, 0.0])
    found = Curves(grids).moments().contrast(weights, constant=0.3)
    total = sum(w * grid for w, grid in zip(weights, grids, strict=True)) + 0.3
    expected = (crossed_estimate if seeds > 1 else episodes_estimate)([Term(total)])
    assert found.center == pytest.approx(expected.center, rel=1e-12)
    np.testing.assert_allclose(found.parts, expected.parts, rtol=1e-9)


def test_the_shared_luck_of_episodes_by_a_direct_loop():
    grids, weights = drawn(np.random.default_rng(1), seeds=3, episodes=7), np.array([0.5, -1.0, 0.25, 0.25])
    k, s, m = grids.shape
    total = 0.0
    for a in range(s):
        for b in range(s):
            if a == b:
                continue
            left = [sum(weights[i] * grids[i, a, e] for i in range(k)) for e in range(m)]
            right = [sum(weights[i] * grids[i, b, e] for i in range(k)) for e in range(m)]
            total += (
                sum((x - sum(left) / m) * (y - sum(right) / m) for x, y in zip(left, right, strict=True)) / (m - 1) / m
            )
    assert Curves(grids).moments().contrast(weights).parts[1][0] == pytest.approx(
        max(total / (s * (s - 1)), 0), rel=1e-10
    )


def test_order_statistics_are_resampled_together():
    grids = drawn(np.random.default_rng(2))
    found = Curves(grids[:2], "iqm").moments().contrast(np.array([1.0, -1.0]))
    expected = crossed_estimate([Term(grids[0], grids[1])], "iqm")
    assert found.center == pytest.approx(expected.center)
    np.testing.assert_allclose(found.parts, expected.parts, rtol=1e-9)


def test_the_area_is_that_of_trapezoids():
    scores = np.random.default_rng(3).random(4)
    assert area_weights(DISTANCES) @ scores == pytest.approx(scores[0] - np.trapezoid(scores, DISTANCES) / 4)
    assert area_weights(DISTANCES).sum() == pytest.approx(0)


def test_half_effect_strengths_where_the_truth_is_seen():
    sure = drawn(np.random.default_rng(4), sd=(1e-4, 1e-3, 1e-3))
    found = half_effect(Curves(sure).moments(), DISTANCES, FLOORS)
    assert found.low < found.value < found.high < found.low + 0.05 and found.value == pytest.approx(2, abs=0.02)
    rising = half_effect(Curves(sure).moments(), DISTANCES, np.array([0.2, 0.2, 0.6, 0.6]))
    assert rising.value == pytest.approx(1.5, abs=0.02)  # 0.2 above half at 1, 0.2 below it at 2

    flat = half_effect(Curves(drawn(np.random.default_rng(5), np.full(4, 0.8))).moments(), DISTANCES, FLOORS)
    assert (flat.value, flat.low, flat.high) == (np.inf, np.inf, np.inf)
    lost = half_effect(Curves(drawn(np.random.default_rng(5), np.full(4, 0.2))).moments(), DISTANCES, FLOORS)
    assert np.isnan(lost.value) and lost.remark == AT_FLOOR
    none = half_effect(Curves(sure).moments(), DISTANCES, np.full(4, np.nan))
    assert np.isnan(none.value) and none.remark == NO_FLOOR

    near = drawn(np.random.default_rng(6), np.array([0.8, 0.7, 0.6, 0.49]))
    open_ended = half_effect(Curves(near).moments(), DISTANCES, FLOORS)
    assert open_ended.high == np.inf and 2 < open_ended.low < 4


def test_the_ends_are_where_the_contrast_stops_to_differ():
    grids = drawn(np.random.default_rng(7))
    found = half_effect(Curves(grids).moments(), DISTANCES, FLOORS)
    places = np.linspace(0, 4, 801)
    covered = []
    for d in places:
        i = min(int(np.searchsorted(DISTANCES, d, side="right")) - 1, 2)
        t = (d - DISTANCES[i]) / (DISTANCES[i + 1] - DISTANCES[i])
        h = (1 - t) * grids[i] + t * grids[i + 1] - grids[0] / 2 - 0.1
        interval = crossed_estimate([Term(h)]).interval("", 0)
        covered += [d] if interval.low <= 0 <= interval.high else []
    assert found.low == pytest.approx(covered[0], abs=0.006) and found.high == pytest.approx(covered[-1], abs=0.006)


def coverage(repeats, seeds=3):
    hits = [
        (found := half_effect(Curves(drawn(np.random.default_rng(i), seeds=seeds)).moments(), DISTANCES, FLOORS)).low
        <= 2
        <= found.high
        for i in range(repeats)
    ]
    return np.mean(hits)


def test_the_interval_holds_the_true_strength():
    assert coverage(30) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_holds_the_true_strength_as_often_as_it_says(seeds):
    assert 0.93 <= coverage(1500, seeds) <= 0.98


def responding(bench, falls, strengths=(1.0, 2.0, 4.0), neutral=0.0):
    """Results of algorithms whose scores fall, (K,) each, along one response; scores at home stay."""
    bench.split("home", "in-distribution")
    for strength in reversed(strengths):  # the order of the suite is not that of the strengths
        bench.split(f"r {strength:g}", "shifted")
        dose = Dose(of="r", strength=strength, reference="home", neutral=neutral)
        bench.suite["splits"][-1]["dose"] = dose.model_dump()
    rng = np.random.default_rng(8)
    luck = rng.normal(size=40)
    for algorithm, fall in falls.items():
        for split, score in zip(["home", *(f"r {strength:g}" for strength in strengths)], fall, strict=True):
            bench.add(split, score + 0.02 * luck + 0.01 * rng.normal(size=(4, 40)), algorithm)
    return bench.results()


def test_tables_of_a_response(bench):
    results = responding(
        bench(steps={"maml": 5, "anil": 5, "flat": 5}),
        {"maml": [0.8, 0.7, 0.5, 0.3], "anil": [0.8, 0.5, 0.3, 0.2], "flat": [0.8, 0.8, 0.8, 0.8]},
    )
    found = response_tables(results)
    assert families(results.suite)[0].splits == ["home", "r 1", "r 2", "r 4"]
    areas = found.areas.set_index("algorithm")
    assert areas["area"].to_dict() == pytest.approx({"maml": 0.8 - 0.5375, "anil": 0.8 - 0.3875, "flat": 0}, abs=0.01)
    assert areas.loc["maml", "half"] == pytest.approx(2, abs=0.1) and areas.loc["flat", "half"] == np.inf
    assert areas.loc["anil", "half"] == pytest.approx(1, abs=0.1)
    assert ((areas["low"] < areas["area"]) & (areas["area"] < areas["high"])).all()

    points = found.points[found.points["algorithm"] == "maml"]
    assert list(points["strength"]) == [0, 1, 2, 4] and (points["floor"] == 0.2).all()
    assert points["score"].to_numpy() == pytest.approx([0.8, 0.7, 0.5, 0.3], abs=0.02)

    pairs = found.pairs.set_index(["a", "b"])
    assert list(pairs["verdict"]) == ["maml smaller", "flat smaller", "flat smaller"]
    assert pairs.loc[("maml", "anil"), "difference"] == pytest.approx(-0.15, abs=0.01)
    assert set(pairs["family"]) == {3}
    np.testing.assert_allclose(pairs["p_holm"], holm(pairs["p"].to_numpy()))
    difference = found.areas.set_index("algorithm")["area"]
    assert pairs.loc[("maml", "anil"), "difference"] == pytest.approx(difference["maml"] - difference["anil"])


def test_strengths_that_fall_from_a_neutral_one(bench):
    results = responding(bench(), {"maml": [0.8, 0.7, 0.5, 0.3]}, strengths=(0.75, 0.5, 0.25), neutral=1.0)
    row = response_tables(results).areas.iloc[0]
    assert row["half"] == pytest.approx(0.5, abs=0.02) and row["half_high"] < 0.5 < row["half_low"]
    flat = responding(bench(), {"maml": [0.8] * 4}, strengths=(0.75, 0.5, 0.25), neutral=1.0)
    assert response_tables(flat).areas.iloc[0]["half"] == -np.inf


def test_the_trivial_predictor_is_the_floor_of_waves(bench):
    results = responding(bench("regression"), {"maml": [-0.4, -1.0, -2.2, -3.4]})
    row = response_tables(results).areas.query("statistic == 'mean'").iloc[0]
    assert row["half"] == pytest.approx(2, abs=0.1)  # half of -0.4 and -4


def test_two_seeds_claim_nothing_and_a_missing_split_leaves_an_algorithm_out(bench):
    made = bench(steps={"maml": 5, "anil": 5})
    made.split("home", "in-distribution").split("r 1", "shifted")
    made.suite["splits"][-1]["dose"] = Dose(of="r", strength=1, reference="home").model_dump()
    scores = np.random.default_rng(0).random((2, 10))
    made.add("home", scores).add("r 1", scores / 2).add("home", scores, "anil")
    found = response_tables(made.results())
    assert set(found.areas["algorithm"]) == {"maml"} and found.pairs.empty
    made.add("r 1", scores / 3, "anil")
    found = response_tables(made.results())
    assert list(found.pairs["verdict"]) == ["cannot tell"] and found.pairs["p_holm"].isna().all()
