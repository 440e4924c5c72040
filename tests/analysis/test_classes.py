"""The interval over classes, by simulation from a known truth."""

from dataclasses import replace

import numpy as np
import pytest

from metagap.analysis.classes import class_effect, classes_estimate, over_classes
from metagap.analysis.intervals import over_episodes
from metagap.analysis.scores import score_table
from metagap.analysis.variance import variance_table


def drawn(rng, classes, episodes, ways=5):
    """The classes of every episode, (M, N), without any twice in an episode."""
    return np.argsort(rng.random((episodes, classes)), axis=1)[:, :ways]


def made(rng, members, classes, effect_sd):
    """Scores of mean 0 with new classes and new episodes."""
    return (effect_sd * rng.normal(size=classes))[members].sum(axis=1) + rng.normal(size=len(members))


def coverage(intervals):
    return np.mean([one.low <= 0 <= one.high for one in intervals])


@pytest.mark.parametrize(("classes", "episodes"), [(20, 200), (20, 1000), (50, 300), (100, 200), (400, 200)])
@pytest.mark.parametrize("effect_sd", [pytest.param(0.1, marks=pytest.mark.slow), 0.5])
def test_it_covers_new_classes(rng, classes, episodes, effect_sd):
    """400 classes in 200 episodes: each is met two or three times, and there are fewer episodes than classes."""
    members = [drawn(rng, classes, episodes) for _ in range(4)]
    cases = [(made(rng, one, classes, effect_sd), one) for one in members for _ in range(300)]
    assert 0.92 <= coverage(over_classes(*case) for case in cases) <= 0.99
    if effect_sd == 0.5 and classes <= 100:
        assert coverage(over_episodes(scores) for scores, _ in cases) < 0.7


def test_the_components_are_recovered(rng):
    members = drawn(rng, 60, 600)
    found = [class_effect(made(rng, members, 60, 0.4), members) for _ in range(300)]
    assert np.mean([one.classes for one in found]) == pytest.approx(0.16, rel=0.05)
    assert np.mean([one.episodes for one in found]) == pytest.approx(1, rel=0.02)
    means = [made(rng, members, 60, 0.4).mean() for _ in range(2000)]
    assert np.var(means) == pytest.approx(0.16 * found[0].weight + 1 / 600, rel=0.12)


def test_in_a_balanced_design_of_one_class_each_it_is_the_analysis_of_variance(rng):
    members = np.repeat(np.arange(8), 5)[:, None]
    scores = rng.normal(size=8)[members[:, 0]] + rng.normal(size=40)
    groups = scores.reshape(8, 5)
    within = groups.var(axis=1, ddof=1).mean()
    found = class_effect(scores, members)
    assert found.episodes == pytest.approx(within)
    assert found.classes == pytest.approx(groups.mean(axis=1).var(ddof=1) - within / 5)
    estimate = classes_estimate(scores, members)
    assert estimate.variance == pytest.approx(groups.mean(axis=1).var(ddof=1) / 8)


def test_without_a_class_effect_it_is_the_interval_over_episodes(rng):
    members = drawn(rng, 30, 300)
    scores = rng.normal(size=(2, 300))
    while class_effect(scores.mean(axis=0), members).classes > 0:
        scores = rng.normal(size=(2, 300))
    found = over_classes(scores, members)
    assert found[:3] == pytest.approx(over_episodes(scores)[:3])
    assert (found.kind, found.n) == ("classes", 30)


def test_a_score_with_bounds_stays_within_them(rng):
    members = drawn(rng, 10, 40)
    scores = np.clip(1 + 0.1 * made(rng, members, 10, 1.0), 0, 1)
    found = over_classes(scores, members, bounds=(0, 1))
    assert 0 < found.low < found.center < found.high < 1


def test_nothing_is_said_where_classes_and_episodes_cannot_be_told_apart(rng):
    same = np.tile(np.arange(5), (30, 1))
    assert np.isnan(over_classes(rng.normal(size=30), same)[1:3]).all()
    assert np.isnan(over_classes([0.5], [[1, 2]])[1:3]).all()


def test_a_score_that_is_not_finite_makes_it_infinitely_wide(rng):
    scores = rng.normal(size=50)
    scores[3] = -np.inf
    assert over_classes(scores, drawn(rng, 20, 50))[:3] == (-np.inf, -np.inf, np.inf)


def test_shapes_have_to_fit(rng):
    with pytest.raises(ValueError, match=r"\(episodes, ways\) for \(30,\) scores, not \(29, 5\)"):
        over_classes(rng.normal(size=30), drawn(rng, 20, 29))


def test_the_table_of_scores_has_it_where_the_classes_were_recorded(bench, rng, only):
    members = drawn(rng, 20, 100)
    scores = np.clip(0.6 + 0.05 * np.stack([made(rng, members, 20, 0.5) for _ in range(3)]), 0, 1)
    results = bench().split("new", "in-distribution").add("new", scores).add("new", scores, condition="open").results()
    results = replace(results, classes={("maml", seed, "new"): members for seed in range(3)})
    table = score_table(results)
    found, expected = only(table, condition="standard"), over_classes(scores, members, bounds=(0, 1))
    assert (found["classes_low"], found["classes_high"]) == pytest.approx(expected[1:3])
    assert np.isnan(only(table, condition="open")["classes_low"])
    assert list(variance_table(results)["component"])[:3] == ["seed", "classes", "episode"]
