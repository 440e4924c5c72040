"""Advantages and their baseline, against loops over rollouts and steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import vmap

from metagap.algorithms.policies.advantages import RIDGE, advantages, baseline, to_go
from metagap.tasks.world import Rollouts

HORIZON, RUNS = 7, 4
LENGTHS = (7, 3, 5, 1)


@pytest.fixture
def rollouts():
    """Of different lengths; what is after the end is not zero but for the rewards."""
    generator = torch.Generator().manual_seed(0)
    observation = 20 * torch.randn(HORIZON, RUNS, 2, generator=generator, dtype=torch.float64)  # some beyond 10
    alive = (torch.arange(HORIZON)[:, None] < torch.tensor(LENGTHS)).double()
    reward = torch.randn(HORIZON, RUNS, generator=generator, dtype=torch.float64) * alive
    return Rollouts(observation, observation, observation, reward, alive)


def paths(rollouts):
    return [(rollouts.observation[:n, r].numpy(), rollouts.reward[:n, r].numpy()) for r, n in enumerate(LENGTHS)]


def discounted(rewards, discount):
    found = np.zeros(len(rewards))
    for t in range(len(rewards)):
        for after in range(t, len(rewards)):
            found[t] += discount ** (after - t) * rewards[after]
    return found


def features(seen):
    seen, time = np.clip(seen, -10, 10), np.arange(len(seen))[:, None] / 100
    return np.concatenate([seen, seen**2, time, time**2, time**3, np.ones_like(time)], 1)


def fitted(rollouts, discount):
    """Of all steps that were taken, a ridge on means."""
    x = np.concatenate([features(seen) for seen, _ in paths(rollouts)])
    y = np.concatenate([discounted(rewards, discount) for _, rewards in paths(rollouts)])
    return np.linalg.solve(x.T @ x / len(x) + RIDGE * np.eye(x.shape[1]), x.T @ y / len(x))


@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
def test_rewards_to_come(rollouts, discount):
    found = to_go(rollouts.reward, discount)
    for r, (_, rewards) in enumerate(paths(rollouts)):
        np.testing.assert_allclose(found[: LENGTHS[r], r], discounted(rewards, discount), rtol=1e-12)


def test_the_baseline_is_least_squares_over_the_steps_that_were_taken(rollouts):
    found = baseline(rollouts, to_go(rollouts.reward, 0.9))
    weights = fitted(rollouts, 0.9)
    for r, (seen, _) in enumerate(paths(rollouts)):
        np.testing.assert_allclose(found[: LENGTHS[r], r], features(seen) @ weights, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("discount", "gae_lambda"), [(0.9, 1.0), (0.9, 0.7), (0.99, 0.0)])
def test_advantages_are_generalized_estimates_of_mean_0_and_variance_1(rollouts, discount, gae_lambda):
    weights, raw = fitted(rollouts, discount), []
    for seen, rewards in paths(rollouts):
        values = np.append(features(seen) @ weights, 0.0)
        raw.append(discounted(rewards + discount * values[1:] - values[:-1], discount * gae_lambda))
    every = np.concatenate(raw)
    found = advantages(rollouts, discount, gae_lambda)
    for r, one in enumerate(raw):
        expected = (one - every.mean()) / every.std()
        np.testing.assert_allclose(found[: LENGTHS[r], r], expected, rtol=1e-5, atol=1e-7)
        assert (found[LENGTHS[r] :, r] == 0).all()


def test_equal_rewards_have_no_advantage():
    ones = torch.ones(1, 3, dtype=torch.float64)
    seen = torch.zeros(1, 3, 2, dtype=torch.float64)
    assert (advantages(Rollouts(seen, seen, seen, ones, ones), 0.99, 1.0).abs() < 1e-3).all()


@pytest.mark.parametrize("scale", [10.0, 1e6])
def test_constant_observations_leave_the_baseline_a_solution_in_float32(scale):
    horizon, runs = 50, 5
    reward = torch.randn(3, horizon, runs, generator=torch.Generator().manual_seed(0))
    fields = (torch.full((3, horizon, runs, 4), scale), *torch.zeros(2, 3, horizon, runs, 1))
    found = vmap(lambda one: advantages(one, 0.99, 1.0))(Rollouts(*fields, reward, torch.ones_like(reward)))
    assert found.std((1, 2)).tolist() == pytest.approx([1.0] * 3, abs=0.01)
