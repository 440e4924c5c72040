"""Bernoulli bandits: what is drawn, what pays, and the Bayes optimum against a direct recursion."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from metagap.tasks.episode import TaskSpec, formed
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.world import rollouts
from metagap.tasks.worlds import bandit_optimum
from metagap.tasks.worlds.bandits import Bandits, best_arm


def directly(paid: tuple[int, ...], failed: tuple[int, ...], left: int, alpha: float, beta: float) -> float:
    """The optimum by trying everything, arms in their order, and remembering nothing."""
    if not left:
        return 0.0
    found = []
    for arm in range(len(paid)):
        p = (alpha + paid[arm]) / (alpha + beta + paid[arm] + failed[arm])
        one = tuple(int(other == arm) for other in range(len(paid)))
        more_paid, more_failed = tuple(np.add(paid, one)), tuple(np.add(failed, one))
        won = directly(more_paid, failed, left - 1, alpha, beta)
        lost = directly(paid, more_failed, left - 1, alpha, beta)
        found.append(p * (1 + won) + (1 - p) * lost)
    return max(found)


@pytest.mark.parametrize(("arms", "horizon"), [(2, 1), (2, 5), (3, 4), (4, 3)])
@pytest.mark.parametrize("prior", [(1.0, 1.0), (1.0, 4.0), (0.2, 0.2)])
def test_the_optimum_is_that_of_a_direct_recursion(arms, horizon, prior):
    direct = directly((0,) * arms, (0,) * arms, horizon, *prior)
    assert bandit_optimum.value(arms, horizon, *prior) == pytest.approx(direct, rel=1e-12)


@pytest.mark.parametrize(
    ("prior", "optimum"), [((1.0, 1.0), 6.660), ((1.0, 4.0), 2.691), ((4.0, 1.0), 8.594), ((0.2, 0.2), 8.095)]
)
def test_the_optimum_of_five_arms_and_ten_pulls(prior, optimum):
    assert bandit_optimum.value(5, 10, *prior) == pytest.approx(optimum, abs=5e-4)


@pytest.mark.parametrize(("arms", "horizon"), [(2, 2), (2, 6), (3, 5), (5, 4), (5, 10)])
def test_states_are_counted_as_there_are(arms, horizon):
    assert bandit_optimum.states(arms, horizon) == len(bandit_optimum.table(arms, horizon, 1.0, 1.0))
    pairs = [(p, f) for p in range(horizon) for f in range(horizon - p)]
    if len(pairs) ** arms < 1e6:
        there = [s for s in combinations_with_replacement(pairs, arms) if sum(map(sum, s)) < horizon]
        assert bandit_optimum.states(arms, horizon) == len(there)


def test_large_games_have_the_best_arm_for_a_bound():
    assert bandit_optimum.value(10, 100, 1.0, 1.0) is None
    assert bandit_optimum.value(1000, 10_000, 1.0, 1.0) is None  # nor is that counted for hours
    assert best_arm(5, 1.0, 1.0) == pytest.approx(5 / 6, abs=1e-9)  # the greatest of uniform numbers
    sample = np.random.default_rng(0).beta(0.2, 0.2, (200_000, 5)).max(1)
    assert best_arm(5, 0.2, 0.2) == pytest.approx(sample.mean(), abs=4 * sample.std() / len(sample) ** 0.5)
    large = Bandits(horizon=50, alpha=1, beta=1)
    _, best = references(large)
    assert best == pytest.approx(50 * 5 / 6)
    assert bandit_optimum.value(5, 10, 1.0, 1.0) < 10 * best_arm(5, 1.0, 1.0)


def references(source: Bandits) -> list[float]:
    """The returns of random and best actions, which are the same for all tasks."""
    y = episodes(source, 5).query_y
    assert (y == y[0, 0]).all()
    return y[0, 0].tolist()


def episodes(source: Bandits, count: int):
    tasks = source.tasks(Part("test"), "cpu")
    return Sampler(tasks, formed(tasks, TaskSpec("control", 1, 1, 3), 1), 0).episodes(count)


def test_references_are_expected_over_the_prior():
    assert references(Bandits()) == pytest.approx([5.0, 6.66], abs=1e-3)
    assert references(Bandits(alpha=1, beta=4)) == pytest.approx([2.0, 2.691], abs=1e-3)


def test_arms_are_of_the_prior_and_the_same_whenever_they_are_drawn():
    source = Bandits(arms=3, alpha=0.2, beta=0.5)
    draw = [source.draw(4000, "test", torch.Generator().manual_seed(seed))["means"] for seed in (0, 0, 1)]
    assert draw[0].shape == (4000, 3)
    assert torch.equal(draw[0], draw[1]) and not torch.equal(draw[0], draw[2])
    for arm in draw[0].double().T.numpy():
        assert stats.kstest(arm, stats.beta(0.2, 0.5).cdf).pvalue > 1e-3


def test_arms_pay_as_often_as_they_say():
    world, runs = Bandits(arms=4, horizon=25).world(), 2000
    means = torch.tensor([0.0, 0.3, 0.9, 1.0])
    noise = torch.randn(runs, world.x_shape[0] - 4, generator=torch.Generator().manual_seed(0))
    x = world.packed({"means": means}, noise)
    found = rollouts(world, world.control(x), lambda seen: (torch.zeros(runs, 4), None), None)
    assert found.alive.all() and not found.observation.any()
    assert set(found.reward.unique().tolist()) == {0.0, 1.0}
    paid = (found.action * found.reward[..., None]).sum((0, 1)) / found.action.sum((0, 1))
    torch.testing.assert_close(paid, means, atol=0.02, rtol=0)


def test_priors_that_are_none_are_refused():
    for options in ({"alpha": 0}, {"beta": -1}, {"arms": 1}, {"horizon": 0}):
        with pytest.raises(ValidationError):
            Bandits(**options)
