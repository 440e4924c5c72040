"""Variance components, by simulation from a known truth."""

import numpy as np
import pytest

from metagap.analysis.intervals import Term, crossed_estimate
from metagap.analysis.variance import components, crossed_components, variance_table


def grid(rng, seeds, episodes, seed_sd, episode_sd, rest_sd):
    a = seed_sd * rng.normal(size=(seeds, 1))
    return a + episode_sd * rng.normal(size=episodes) + rest_sd * rng.normal(size=(seeds, episodes))


def by_name(found):
    return {one.name: one for one in found}


def test_the_components_of_seeds_and_episodes_are_recovered(rng):
    found = [crossed_components([Term(grid(rng, 4, 50, 0.5, 1.0, 2.0))]) for _ in range(1500)]
    assert np.mean([one.seed for one in found]) == pytest.approx(0.25, rel=0.1)
    assert np.mean([one.episode[0] for one in found]) == pytest.approx(1, rel=0.05)
    assert np.mean([one.rest[0] for one in found]) == pytest.approx(4, rel=0.02)


def test_they_are_the_mean_squares_of_the_analysis_of_variance(rng):
    values = grid(rng, 3, 7, 1, 1, 1)
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    rest = np.sum((values - rows - columns + values.mean()) ** 2) / (2 * 6)
    found = crossed_components([Term(values)])
    assert found.rest[0] == pytest.approx(rest)
    assert found.seed == pytest.approx(rows.var(ddof=1) - rest / 7)
    assert found.episode[0] == pytest.approx(columns.var(ddof=1) - rest / 3)


def test_the_parts_add_up_to_the_variance_of_the_headline(rng):
    values = grid(rng, 5, 40, 1, 1, 1)
    total = sum(one.of_mean for one in components(values))
    assert total == pytest.approx(crossed_estimate([Term(values)]).variance)


def test_classes_queries_and_interaction_are_told_apart(rng):
    """Accuracies of 20 queries that every run draws for itself, of 40 classes in 400 episodes of 4."""
    found = []
    for _ in range(150):
        members = np.argsort(rng.random((400, 40)), axis=1)[:, :4]
        effect = (0.04 * rng.normal(size=40))[members].sum(axis=1) + 0.03 * rng.normal(size=400)
        p = np.clip(0.6 + effect + 0.03 * rng.normal(size=(3, 1)) + 0.05 * rng.normal(size=(3, 400)), 0, 1)
        found.append(by_name(components(rng.binomial(20, p) / 20, members, 20)))
    mean = {name: np.mean([one[name].variance for one in found]) for name in found[0]}
    assert list(mean) == ["seed", "classes", "episode", "seed × episode", "queries"]
    assert mean["seed"] == pytest.approx(0.0009, rel=0.3)
    assert mean["classes"] == pytest.approx(4 * 0.0016, rel=0.1)
    assert mean["episode"] == pytest.approx(0.0009, rel=0.2)
    assert mean["seed × episode"] == pytest.approx(0.0025, rel=0.15)
    assert mean["queries"] == pytest.approx(0.6 * 0.4 / 20, rel=0.1)


def test_a_negative_estimate_is_zero_and_says_so():
    values = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]])  # the seeds disagree, and their means are equal
    found = by_name(components(values))
    assert (found["seed"].variance, found["seed"].is_negative) == (0.0, True)
    assert (found["seed × episode and queries"].variance, found["seed × episode and queries"].is_negative) == (
        pytest.approx(2 / 3),
        False,
    )


def test_one_seed_has_no_components():
    with pytest.raises(ValueError, match="two seeds and two episodes, not 1 and 5"):
        components(np.ones((1, 5)))


def test_a_row_for_each_source_with_its_share(bench, rng, only):
    made = bench().split("new", "in-distribution").split("far", "cross-domain")
    made.add("new", np.clip(0.6 + 0.1 * grid(rng, 3, 40, 0.5, 1, 1), 0, 1)).add("far", rng.random((1, 40)))
    found = variance_table(made.results())
    assert set(found["split"]) == {"new"}  # far has one seed
    assert list(found["component"]) == ["seed", "episode", "seed × episode", "queries"]
    assert found["share"].sum() == pytest.approx(1)
    assert (only(found, component="queries")["seeds"], only(found, component="queries")["n_episodes"]) == (3, 40)
