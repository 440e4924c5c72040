"""Policies that are told a prior: what they choose, and what they earn, against recursions over all that can happen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from metagap import registry
from metagap.algorithms.policies.actor import MEMORY
from metagap.algorithms.policies.bandits import best_arm_probabilities
from metagap.engine.evaluate import evaluate
from metagap.engine.strategy import Strategy
from metagap.errors import UserError
from metagap.models.mlp import MLP
from metagap.tasks.episode import Episode, TaskSpec, formed
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.worlds import bandit_optimum, gittins
from metagap.tasks.worlds.bandits import Bandits
from metagap.tasks.worlds.navigation import Navigation

NAMES = ["thompson", "ucb", "greedy", "gittins"]


def bound(name: str, source=None, stages: int = 1, **options):
    tasks = (source or Bandits()).tasks(Part("test"), "cpu")
    spec = formed(tasks, TaskSpec("control", 1, 3, 10), stages)
    network = MLP(tasks.input_shape, tasks.world.actions.size)
    policy = registry.load("algorithm", name)(**options).bind(network, spec)
    return policy, policy.init(network, 0, torch.Generator()), Sampler(tasks, spec, 1)


def chosen(policy, paid, failed) -> torch.Tensor:
    return policy.choice(torch.tensor([paid]).float(), torch.tensor([failed]).float()).softmax(-1)[0]


def expected(policy, paid: list[int], failed: list[int], left: int) -> float:
    """What a policy earns in a game, over the prior (1, 1), by everything that can happen."""
    if not left:
        return 0.0
    total = 0.0
    for arm, probability in enumerate(chosen(policy, paid, failed).tolist()):
        if probability > 0:
            p = (1 + paid[arm]) / (2 + paid[arm] + failed[arm])
            more = [count + (other == arm) for other, count in enumerate(paid)]
            less = [count + (other == arm) for other, count in enumerate(failed)]
            won, lost = expected(policy, more, failed, left - 1), expected(policy, paid, less, left - 1)
            total += probability * (p * (1 + won) + (1 - p) * lost)
    return total


@pytest.mark.parametrize("name", NAMES)
def test_what_is_earned_is_what_can_be_expected(name):
    source = Bandits(arms=3, horizon=4)
    policy, meta, sampler = bound(name, source)
    exact = expected(policy, [0] * 3, [0] * 3, 4)
    best = float(sampler.episodes(1).query_y[0, 0, 1])
    assert exact == pytest.approx(best, abs=1e-5) if name == "gittins" else exact < best - 1e-3
    found = evaluate(policy, meta, sampler.episodes(600), sampler.spec, 0, Strategy())["query_score"]
    assert float(found.mean()) == pytest.approx(exact, abs=4 * float(found.std()) / math.sqrt(600))


def earned(prior: tuple[float, float], arms: int, horizon: int) -> float:
    """What the index earns, by dynamic programming over sorted states."""
    index, known = gittins.indices(horizon, *prior), {}

    def value(state, left):
        if left and state not in known:
            arm = max(state, key=lambda arm: index[left, *arm])
            p = (prior[0] + arm[0]) / (sum(prior) + sum(arm))
            won, lost = bandit_optimum.outcomes(state, arm)
            known[state] = p * (1 + value(won, left - 1)) + (1 - p) * value(lost, left - 1)
        return known[state] if left else 0.0

    return value(bandit_optimum.start(arms), horizon)


def test_the_index_is_the_optimum_of_five_arms_and_ten_pulls():
    assert earned((1.0, 1.0), 5, 10) == pytest.approx(bandit_optimum.value(5, 10, 1.0, 1.0), rel=1e-12)


@pytest.mark.parametrize(
    ("prior", "arms", "horizon"), [((0.2, 0.2), 5, 10), ((1.0, 4.0), 5, 10), ((4.0, 1.0), 5, 10), ((1.0, 1.0), 2, 20)]
)
def test_elsewhere_the_index_comes_close_to_the_optimum(prior, arms, horizon):
    best, found = bandit_optimum.value(arms, horizon, *prior), earned(prior, arms, horizon)
    assert 0.9995 * best < found <= best + 1e-9


def test_indices_are_those_of_the_last_pulls_by_hand():
    """With one pull left the mean; with two, of a new arm, the price where 1/2 - c + 1/2 (2/3 - c) is zero."""
    index = gittins.indices(2, 1.0, 1.0)
    np.testing.assert_allclose(index[1], [[1 / 2, 1 / 3], [2 / 3, 1 / 2]], atol=1e-6)
    assert index[2, 0, 0] == pytest.approx(5 / 9, abs=1e-6)


@pytest.mark.parametrize(
    ("alpha", "beta"),
    [
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
        ((2.0, 1.0, 4.0), (1.0, 2.0, 3.0)),
        ((0.2, 1.2, 0.2, 0.2, 2.2), (0.2, 0.2, 1.2, 3.2, 0.2)),
        ((40.0, 38.0, 3.0), (20.0, 20.0, 1.0)),
    ],
)
def test_probabilities_of_being_the_best_arm_are_those_of_samples(alpha, beta):
    found = best_arm_probabilities(torch.tensor(alpha), torch.tensor(beta)).numpy()
    best = np.random.default_rng(0).beta(alpha, beta, (100_000, len(alpha))).argmax(1)
    share = np.bincount(best, minlength=len(alpha)) / 100_000
    np.testing.assert_allclose(found, share, atol=4 * math.sqrt(0.25 / 100_000))
    if len(set(alpha)) == 1:
        np.testing.assert_allclose(found, 1 / len(alpha), rtol=1e-5)


def test_two_arms_are_compared_exactly():
    """P(X > Y) of X of Beta(a, 1) and Y of Beta(b, 1) is a / (a + b)."""
    found = best_arm_probabilities(torch.tensor([5.0, 2.0]), torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor([5 / 7, 2 / 7]), atol=1e-4, rtol=0)


def test_upper_confidence_bounds_are_those_of_the_paper():
    policy, _, _ = bound("ucb", Bandits(arms=3))
    assert chosen(policy, [1, 0, 0], [0, 1, 0]).tolist() == [0, 0, 1]  # each arm once, before all
    paid, failed = np.array([3, 1, 0]), np.array([2, 0, 1])
    pulls = paid + failed
    index = paid / pulls + np.sqrt(2 * np.log(pulls.sum()) / pulls)
    assert int(chosen(policy, paid.tolist(), failed.tolist()).argmax()) == index.argmax() == 1
    careless, _, _ = bound("ucb", Bandits(arms=3), bonus=0.0)
    assert chosen(careless, [3, 1, 0], [0, 1, 2]).tolist() == [1, 0, 0]


def test_greedy_is_told_its_prior():
    hopeful, _, _ = bound("greedy", Bandits(arms=2), alpha=9.0)
    assert chosen(hopeful, [1, 0], [1, 0]).tolist() == [0, 1]  # 10 / 12 is less than 9 / 10
    sober, _, _ = bound("greedy", Bandits(arms=2))
    assert chosen(sober, [1, 0], [1, 0]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("name", ["thompson", "ucb", "greedy"])
def test_what_was_seen_goes_on_from_rollout_to_rollout(name):
    policy, meta, sampler = bound(name, Bandits(arms=3, horizon=6), stages=2)
    support = Episode(*(field[0] for field in sampler.episodes(1))).support
    path = policy.adapt_path(meta, support, 2)
    assert [float(fast[MEMORY].sum()) for fast in path] == [0, 18, 36]  # pulls of three rollouts a stage
    assert (path[2][MEMORY] >= path[1][MEMORY]).all()


def test_more_stages_are_worth_more():
    policy, meta, sampler = bound("thompson", stages=2)
    found = evaluate(policy, meta, sampler.episodes(60), sampler.spec, 2, Strategy())["query_score"].mean(0)
    assert found[2] > found[1] > found[0] + 0.5


def test_policies_for_bandits_refuse_other_worlds():
    for name in NAMES:
        with pytest.raises(UserError, match="allowed: source 'bandits'"):
            bound(name, Navigation())
    with pytest.raises(UserError, match=r"source\.horizon = 301 is too long for it; allowed: up to 300"):
        bound("gittins", Bandits(horizon=301))


@pytest.mark.parametrize("name", NAMES)
def test_mapped_and_one_by_one_they_choose_alike(name):
    policy, meta, sampler = bound(name)
    episodes = sampler.episodes(5)
    one, other = (evaluate(policy, meta, episodes, sampler.spec, 1, Strategy(how)) for how in ("vmap", "loop"))
    torch.testing.assert_close(one["query_score"], other["query_score"])
