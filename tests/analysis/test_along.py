"""Scores, gaps and selection along training, against direct loops and known truths."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import t

from metagap.analysis.along import (
    along_training,
    checkpoints_of,
    final_quantities,
    gap_curves,
    openings,
    quantity_curves,
    score_curves,
    selected_iterations,
    selection_costs,
)
from metagap.analysis.along.openings import NEVER, OPENS, REVERSED, TOO_FEW
from metagap.analysis.along.selection import LAST, VALIDATION, best, cross_fitted, taken
from metagap.analysis.intervals import over_seeds
from metagap.selftest.along import OPENS_AT, false_claims, made_up

ITERATIONS = [0, 40, 80, 120]
LEVELS = {"train": 0.8, "val": 0.6, "new": 0.65, "kana": 0.5, "digits": 0.4}
ROLES = dict(zip(LEVELS, ("meta-train", "meta-val", "in-distribution", "cross-domain", "cross-domain"), strict=True))


@pytest.fixture
def followed(bench, rng):
    """One algorithm at four checkpoints, with scores that rise, and the scores (K, S, M) of each split."""
    made, scores = bench(), {}
    for split, level in LEVELS.items():
        made.split(split, ROLES[split])
        rise = np.linspace(0.2 - level, 0, len(ITERATIONS))[:, None, None]
        noise = rng.normal(0, 0.05, 30) + rng.normal(0, 0.02, (4, 3, 1)) + rng.normal(0, 0.03, (4, 3, 30))
        scores[split] = level + rise + noise
        made.follow(split, scores[split], ITERATIONS)
    return made, scores


def by_loop(terms, level):
    """(value, low, high) of weighted grids by plain loops: the crossed interval, its quantile by bisection."""
    seeds = len(terms[0][1])
    totals = [sum(weight * sum(map(float, grid[s])) / len(grid[s]) for weight, grid in terms) for s in range(seeds)]
    value = sum(totals) / seeds
    parts = [(sum((total - value) ** 2 for total in totals) / (seeds - 1) / seeds, seeds - 1)]
    for weight, grid in terms:
        m, shared = len(grid[0]), []
        for a in range(seeds):
            for b in range(seeds):
                if a != b:
                    means = sum(grid[a]) / m, sum(grid[b]) / m
                    products = [(x - means[0]) * (y - means[1]) for x, y in zip(grid[a], grid[b], strict=True)]
                    shared.append(sum(products) / (m - 1) / m)
        parts.append((weight**2 * max(sum(shared) / len(shared), 0), m - 1))
    variance = sum(part for part, _ in parts)

    def outside(q):
        return sum(part * 2 * t.sf(q, df) for part, df in parts) / variance - (1 - level)

    half = brentq(outside, 0, 1e4, xtol=1e-12) * variance**0.5
    return value, value - half, value + half


def test_the_curves_of_gaps_are_those_of_a_direct_loop(followed, only):
    made, scores = followed
    table = gap_curves(checkpoints_of(made.results()))
    assert len(table) == 4 * 4  # the task gap, two domains and their average
    weights = {
        ("task gap", "new"): {"train": 1, "new": -1},
        ("domain gap", "kana"): {"new": 1, "kana": -1},
        ("domain gap", "average"): {"new": 1, "kana": -0.5, "digits": -0.5},
    }
    for (gap, split), sides in weights.items():
        for k, iteration in enumerate(ITERATIONS):
            row = only(table, gap=gap, split=split, iteration=iteration)
            terms = [(weight, scores[name][k]) for name, weight in sides.items()]
            assert tuple(row[["value", "low", "high"]]) == pytest.approx(by_loop(terms, 0.95), abs=1e-9)
            together = by_loop(terms, 1 - 0.05 / 4)
            assert tuple(row[["all_low", "all_high"]]) == pytest.approx(together[1:], abs=1e-9)
            assert (row["checkpoints"], row["seeds"], row["n_episodes"]) == (4, 3, 30)


def test_the_curves_of_scores_have_every_split_and_iteration(followed, only):
    made, scores = followed
    table = score_curves(checkpoints_of(made.results()))
    assert len(table) == 5 * 4
    row = only(table, split="val", iteration=40)
    assert row["score"] == pytest.approx(scores["val"][1].mean()) and row["role"] == "meta-val"
    assert row["low"] < row["score"] < row["high"] and row["interval"] == "crossed"


def curve(lows, highs, seeds=3, together=None):
    """A table of one curve with these intervals, and the lower ends of the simultaneous ones."""
    names = {"algorithm": "maml", "gap": "task gap", "split": "new", "statistic": "mean", "interval": "crossed"}
    size = {"checkpoints": len(lows), "seeds": seeds, "n_episodes": 9, "value": 0.5}
    return pd.DataFrame(
        {
            "iteration": range(0, 10 * len(lows), 10),
            "low": lows,
            "high": highs,
            "all_low": together or lows,
            "all_high": highs,
        }
        | names
        | size
    )


@pytest.mark.parametrize(
    ("lows", "highs", "verdict", "opens", "before"),
    [
        ([-1, 0.1, -1, 0.2, 0.1], [1] * 5, OPENS, 30, 20),  # what closes again has not opened
        ([0.1, 0.1, 0.1], [1] * 3, OPENS, 0, None),
        ([-1, -1, 0.1], [1, -0.1, 1], OPENS, 20, 10),  # the other side does not count
        ([-1, -1, -1], [1, -0.1, -0.2], REVERSED, 10, 0),
        ([0.1, 0.1, -0.1], [1] * 3, NEVER, None, None),
        ([-np.inf, -np.inf], [np.inf] * 2, NEVER, None, None),
    ],
)
def test_a_gap_opens_where_it_stays_open(lows, highs, verdict, opens, before):
    row = openings(curve(lows, highs)).iloc[0]
    assert row["verdict"] == verdict
    for name, expected in (("opens", opens), ("before", before)):
        assert np.isnan(row[name]) if expected is None else row[name] == expected
    assert openings(curve(lows, highs, seeds=2)).iloc[0]["verdict"] == TOO_FEW


def test_simultaneous_intervals_say_later_or_nothing():
    row = openings(curve([-1, 0.2, 0.3, 0.4], [1] * 4, together=[-2, -0.1, 0.1, 0.2])).iloc[0]
    assert (row["opens"], row["opens_together"]) == (10, 20)
    row = openings(curve([-1, 0.2], [1] * 2, together=[-2, -0.1])).iloc[0]
    assert row["opens"] == 10 and np.isnan(row["opens_together"])


def test_a_gap_without_a_curve_has_no_opening():
    assert openings(curve([0.1], [0.2])).empty


def test_a_planted_opening_is_found():
    for seed in range(3):
        lost = (0.0,) * OPENS_AT + (0.2,) * 2
        found = openings(gap_curves(made_up(np.random.default_rng(seed), 5, 200, lost))).iloc[0]
        assert (found["opens"], found["before"], found["opens_together"]) == (OPENS_AT, OPENS_AT - 1, OPENS_AT)


def test_the_costs_of_selection_are_those_of_a_direct_loop(followed, only):
    made, scores = followed
    table = selection_costs(checkpoints_of(made.results()))
    assert set(table["split"]) == {"train", "new", "kana", "digits"} and len(table) == 4 * 2
    target, val = scores["kana"], scores["val"]
    oracle, last, chosen = np.zeros((3, 30)), np.zeros((3, 30)), np.zeros((3, 30))
    for s in range(3):
        on_val = max(range(4), key=lambda k: val[k, s].mean())
        for m in range(30):
            other = [n for n in range(30) if n % 2 != m % 2]
            oracle[s, m] = target[max(range(4), key=lambda k: target[k, s, other].mean()), s, m]
            last[s, m], chosen[s, m] = target[3, s, m], target[on_val, s, m]
    for rule, picked in ((LAST, last), (VALIDATION, chosen)):
        row = only(table, split="kana", rule=rule)
        assert row["oracle"] == pytest.approx(oracle.mean()) and row["score"] == pytest.approx(picked.mean())
        if (picked == oracle).all():
            assert row["cost"] == 0
        else:
            expected = by_loop([(1, oracle - picked)], 0.95)
            assert tuple(row[["cost", "low", "high"]]) == pytest.approx(expected, abs=1e-9)


def test_a_cost_is_claimed_where_the_best_iteration_is_not_the_last(bench, rng, only):
    made = bench().split("val", "meta-val").split("new", "in-distribution").split("kana", "cross-domain")
    luck = rng.normal(0, 0.05, 200)
    for split, level in {"val": (0.2, 0.5, 0.7), "new": (0.2, 0.5, 0.7), "kana": (0.2, 0.6, 0.3)}.items():
        noise = rng.normal(0, 0.005, (3, 4, 1)) + rng.normal(0, 0.03, (3, 4, 200))
        made.follow(split, np.array(level)[:, None, None] + luck + noise, [0, 50, 100])
    checkpoints = checkpoints_of(made.results())
    table = selection_costs(checkpoints)
    for rule in (LAST, VALIDATION):
        row = only(table, split="kana", rule=rule)
        assert row["verdict"] == "costs" and row["cost"] == pytest.approx(0.3, abs=0.02) and row["family"] == 4
        assert only(table, split="new", rule=rule)["verdict"] == "cannot tell"
    results = made.results()
    cells = results.cells.assign(selection="best on validation", selected_iteration=[100, 100, 50, 75])
    found = selected_iterations(replace(results, cells=cells), checkpoints)
    chosen = dict(zip(cells["seed"], cells["selected_iteration"], strict=True))
    assert found["validation"].tolist() == [100] * 4 and found["selected"].tolist() == [chosen[s] for s in range(4)]
    assert found["same"].tolist() == [chosen[s] == 100 for s in range(4)]
    assert found["is_checkpoint"].tolist() == [chosen[s] != 75 for s in range(4)]


def test_two_seeds_claim_nothing_and_one_speaks_about_episodes(bench, rng):
    for seeds, interval in ((2, "crossed"), (1, "episodes, seeds not sampled")):
        made = bench().split("new", "in-distribution").split("kana", "cross-domain")
        for split, levels in {"new": (0.2, 0.9), "kana": (0.9, 0.2)}.items():
            made.follow(split, np.array(levels)[:, None, None] + rng.normal(0, 0.01, (2, seeds, 50)), [0, 9])
        checkpoints = checkpoints_of(made.results())
        gaps = gap_curves(checkpoints)
        assert set(gaps["interval"]) == {interval}
        assert set(openings(gaps)["verdict"]) == {TOO_FEW}
        costs = selection_costs(checkpoints)
        assert (
            set(costs["verdict"]) == {"cannot tell"} and costs["p_holm"].isna().all() and (costs["family"] == 0).all()
        )


def test_without_checkpoints_every_table_is_empty(bench):
    made = bench().split("new", "in-distribution").add("new", np.full((3, 4), 0.5))
    assert all(table.empty for table in along_training(made.results()))


def test_the_cross_fitted_oracle_is_not_favoured_by_luck_and_the_naive_one_is():
    """Eleven checkpoints that are equally good: what is chosen and scored on the same episodes looks better."""
    rng = np.random.default_rng(0)
    fitted, naive = [], []
    for _ in range(300):
        scores = 0.6 + 0.1 * rng.normal(size=(11, 3, 100))
        fitted.append(cross_fitted(scores).mean())
        naive.append(taken(scores, best(scores)).mean())
    error = np.std(fitted) / np.sqrt(300)
    assert abs(np.mean(fitted) - 0.6) < 3 * error
    assert np.mean(naive) - 0.6 > 10 * error


def test_the_cross_fitted_oracle_finds_what_is_better():
    rng = np.random.default_rng(1)
    scores = np.array([0.2, 0.8, 0.5])[:, None, None] + 0.1 * rng.normal(size=(3, 2, 40))
    assert np.array_equal(cross_fitted(scores), scores[1])
    assert best(np.array([[[0.5]], [[0.5]], [[np.nan]]])).tolist() == [0]  # the first of equals; no number is the worst
    assert np.isnan(cross_fitted(scores[:, :, :1])).all()


@pytest.mark.slow
def test_at_most_one_in_twenty_claims_along_training_is_false():
    assert max(false_claims(3, 100, 400)) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)


def test_quantities_are_averaged_run_by_run_and_over_the_domains(bench, only):
    made = bench().split("new", "in-distribution").split("kana", "cross-domain").split("digits", "cross-domain")
    results = made.add("new", np.full((2, 3), 0.5)).results()
    rows = [
        {"algorithm": "maml", "seed": seed, "quantity": "norm", "iteration": at, "split": split, "episode": m}
        | {"value": at + 10 * seed + m + (100 if split == "kana" else 0)}
        for seed in (0, 1)
        for at in ((0, 5) if seed == 0 else (0, 7))
        for split in ("new", "kana", "digits")
        for m in (0, 1)
    ]
    results = replace(results, quantities=pd.DataFrame(rows))
    curves, final = quantity_curves(results), final_quantities(results)
    start = only(curves, split="new", iteration=0)
    runs = np.array([[0.5], [10.5]])
    assert tuple(start[["value", "low", "high"]]) == pytest.approx(over_seeds(runs)[:3]) and start["n_episodes"] == 2
    end = only(final, split="average")  # each run at its own last iteration
    assert end["value"] == pytest.approx(((5.5 + 50) + (17.5 + 50)) / 2)
    assert (end["iteration"], end["seeds"], end["n_episodes"]) == (7, 2, 4)
    missing = results.quantities.assign(value=lambda table: table["value"].where(table["seed"] == 0))
    assert np.isnan(only(final_quantities(replace(results, quantities=missing)), split="new")["value"])
