"""Planted differences are found at the promised power."""

import numpy as np
import pytest

from metagap.analysis.comparisons import compare
from metagap.analysis.intervals import Term, crossed_estimate
from metagap.analysis.power import Plan, episodes_needed, power, sampled, seeds_needed
from metagap.errors import UserError

REPETITIONS = 1000
NEARLY = 0.04  # three standard errors of a share of 80% in so many repetitions


def found_at(rng, plan, seeds, episodes, difference, alpha):
    """How often the test of the comparisons finds a planted difference in crossed designs."""
    hits = 0
    for _ in range(REPETITIONS):
        luck = np.sqrt(plan.seed) * rng.normal(size=(seeds, 1)) + difference
        terms = []
        for place, (episode, rest) in enumerate(zip(plan.episode, plan.rest, strict=True)):
            shared = np.sqrt(episode) * rng.normal(size=episodes)
            values = shared + np.sqrt(rest) * rng.normal(size=(seeds, episodes)) + (luck if place == 0 else 0)
            terms.append(Term(values, np.zeros_like(values)))
        hits += crossed_estimate(terms).p_value() < alpha
    return hits / REPETITIONS


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(
    ("episodes", "alpha", "plan"),
    [
        (200, 0.05, Plan(0.01**2, np.array([0.1**2]), np.array([0.12**2]))),
        (200, 0.05 / 30, Plan(0.003**2, np.array([0.05**2, 0.04**2]), np.array([0.1**2, 0.1**2]))),
        (1000, 0.05, Plan(0.01**2, np.array([0.1**2]), np.array([0.12**2]))),
        (1000, 0.05 / 30, Plan(0.0, np.array([0.0]), np.array([0.1**2]))),
    ],
)
def test_a_planted_difference_is_found_at_the_promised_power(rng, seeds, episodes, alpha, plan):
    difference = sampled(plan, seeds, episodes).detectable(0.8, alpha)
    assert found_at(rng, plan, seeds, episodes, difference, alpha) == pytest.approx(0.8, abs=NEARLY)


def test_no_difference_is_found_at_most_as_often_as_the_level():
    plan = Plan(0.01**2, np.array([0.1**2]), np.array([0.1**2]))
    assert 0.03 < sampled(plan, 3, 200).power(0.0, 0.05) < 0.055


def test_what_is_needed_is_the_least_that_reaches_the_target():
    plan = Plan(0.01**2, np.array([0.1**2]), np.array([0.12**2]))
    seeds = int(seeds_needed(plan, 600, 0.02, 0.8, 0.05))
    assert sampled(plan, seeds, 600).power(0.02, 0.05) >= 0.8 > sampled(plan, seeds - 1, 600).power(0.02, 0.05)
    episodes = int(episodes_needed(plan, 6, 0.02, 0.8, 0.05))
    assert sampled(plan, 6, episodes).power(0.02, 0.05) >= 0.8 > sampled(plan, 6, episodes - 2).power(0.02, 0.05)


def test_what_no_number_can_buy():
    seeds_vary = Plan(0.05**2, np.array([0.0]), np.array([0.1**2]))
    assert episodes_needed(seeds_vary, 3, 0.02, 0.8, 0.05) == np.inf
    episodes_vary = Plan(0.0, np.array([0.3**2]), np.array([0.1**2]))
    assert seeds_needed(episodes_vary, 200, 0.02, 0.8, 0.05) == np.inf


@pytest.fixture
def results(bench, rng):
    """Three algorithms on two domains: a and b differ by 3 points, and the runs of c vary much."""

    def make(seeds=3, episodes=100, unfinished=False):
        made = bench(steps={"a": 1, "b": 1, "c": 1})
        for split in ("far", "farther"):
            made.split(split, "cross-domain")
            luck = 0.1 * rng.normal(size=episodes)
            for name, level, sd in (("a", 0.63, 0.01), ("b", 0.6, 0.01), ("c", 0.6, 0.1)):
                runs = level + sd * rng.normal(size=(seeds, 1)) + luck + 0.1 * rng.normal(size=(seeds, episodes))
                runs = runs - np.inf if unfinished and name == "c" else runs
                made.add(split, runs, name)
        return made.results()

    return make


def test_all_pairs_the_most_powerful_first(results):
    found = power(results())
    assert len(found.pairs) == 3 and found.grid.empty
    assert list(found.pairs.loc[0, ["a", "b"]]) == ["a", "b"]
    assert found.pairs["detectable"].is_monotonic_increasing
    assert (found.pairs["detectable"] < found.pairs["detectable_holm"]).all()
    assert set(found.pairs["split"]) == {"average"} and set(found.pairs["asked"]) == {0.02}
    assert set(found.pairs["family"]) == {9}  # three pairs, on two splits and on average
    assert (found.pairs["power_low"] <= found.pairs["power"]).all()
    assert (found.pairs["seeds_needed_high"] >= found.pairs["seeds_needed"]).all()


def test_the_grid_holds_what_there_is_and_grows_with_seeds_and_episodes(results):
    made = results(seeds=4)
    found = power(made, "a", "b", 1.5)
    grid = found.grid.pivot(index="seeds", columns="n_episodes", values="power")
    assert 4 in grid.index and 100 in grid.columns
    assert (grid.diff().iloc[1:] > -1e-3).all(axis=None) and (grid.diff(axis=1).iloc[:, 1:] > -1e-3).all(axis=None)
    pair = found.pairs.iloc[0]
    assert grid.loc[4, 100] == pytest.approx(pair["power"])
    compared = compare(made, "a", "b", "average").scores.iloc[0]
    assert pair["difference"] == pytest.approx(compared["difference"])


def test_the_split_can_be_chosen(results):
    assert set(power(results(), on="far").pairs["split"]) == {"far"}


def test_two_seeds_claim_nothing(results):
    found = power(results(seeds=2), "a", "b").pairs.iloc[0]
    assert found["power"] == 0 and np.isnan(found["detectable"]) and found["seeds_needed"] >= 3


def test_scores_that_are_not_finite_have_no_power(results):
    found = power(results(unfinished=True)).pairs.set_index(["a", "b"])["power"]
    assert np.isfinite(found["a", "b"]) and np.isnan(found["a", "c"])


@pytest.mark.parametrize(
    ("arguments", "seeds", "message"),
    [
        (("a", "b"), 1, "'a' and 'b' share 1 seed on 'average'.*known from two"),
        ((), 1, "no two algorithms share two seeds on 'average'"),
        (("a", "d"), 3, "unknown algorithm 'd'; these results have a, b, c"),
        (("a",), 3, "name two algorithms, A and B, or none for all pairs; found a and None"),
        (("a", "a"), 3, "name two algorithms"),
        (("a", "b", 0.0), 3, "a difference of 0 percentage points cannot be looked for; it must be > 0"),
        (("a", "b", 2.0, 1.5), 3, "a power of 1.5 is not above 0.05 and below 1"),
        (("a", "b", 2.0, 0.8, "near"), 3, "unknown split 'near'; these results have far, farther, average"),
    ],
)
def test_bad_input_is_named(results, arguments, seeds, message):
    with pytest.raises(UserError, match=message):
        power(results(seeds), *arguments)


def test_errors_have_no_difference_that_goes_without_saying(bench, rng):
    made = bench("regression", steps={"a": 1, "b": 1}).split("far", "cross-domain")
    for name in "ab":
        made.add("far", -np.exp(rng.normal(size=(3, 30))), name)
    with pytest.raises(UserError, match="say the difference to be found, in MSE: --difference X"):
        power(made.results(), "a", "b")
    assert power(made.results(), "a", "b", 0.5).pairs.loc[0, "detectable"] > 0
