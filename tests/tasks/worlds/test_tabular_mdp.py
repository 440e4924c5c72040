"""Random tabular MDPs: what is drawn, where steps lead, and returns against recursions and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from metagap.tasks.episode import TaskSpec, formed
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.world import Seen, rollouts
from metagap.tasks.worlds.mdp import TabularMDP

SMALL = TabularMDP(states=3, actions=2, horizon=4)


def a_task(source: TabularMDP, runs: int, seed: int = 0):
    """A task, and rollouts to be in it (runs, numbers)."""
    world = source.world()
    task = {name: value[0] for name, value in source.draw(1, "all", torch.Generator().manual_seed(seed)).items()}
    numbers = world.x_shape[0] - sum(world.parameters.values())
    noise = torch.randn(runs, numbers, generator=torch.Generator().manual_seed(seed))
    return world, task, world.packed(task, noise)


def directly(transitions, means, state: int, left: int, choice) -> float:
    """The expected return by a recursion over all that can happen."""
    if not left:
        return 0.0
    return choice(
        [
            means[state, action]
            + sum(p * directly(transitions, means, after, left - 1, choice) for after, p in enumerate(probabilities))
            for action, probabilities in enumerate(transitions[state])
        ]
    )


def test_best_and_random_returns_are_those_of_a_direct_recursion():
    tasks = SMALL.tasks(Part("test"), "cpu")
    y = Sampler(tasks, formed(tasks, TaskSpec("control", 1, 1, 1), 1), 0).episodes(4).query_y[:, 0]
    drawn = Sampler(tasks, formed(tasks, TaskSpec("control", 1, 1, 1), 1), 0).draw(4).draw.task
    for task, (random, best) in enumerate(y.tolist()):
        transitions = drawn["transitions"][task].view(3, 2, 3).tolist()
        means = drawn["rewards"][task].view(3, 2).numpy()
        assert random == pytest.approx(directly(transitions, means, 0, 4, np.mean), rel=1e-4)
        assert best == pytest.approx(directly(transitions, means, 0, 4, max), rel=1e-4)


def test_random_actions_earn_what_is_said_of_them():
    world, _, x = a_task(TabularMDP(), 4000)
    control = world.control(x)
    found = rollouts(world, control, lambda seen: (torch.zeros(len(x), 5), None), None)
    expected = world.random(*control)
    assert (expected == expected[0]).all()
    sd = float(found.returns.std())
    assert float(found.returns.mean()) == pytest.approx(float(expected[0]), abs=4 * sd / math.sqrt(4000))
    assert (world.best(control.task) > expected).all()


def test_whoever_knows_the_task_earns_the_best_return():
    world, task, x = a_task(SMALL, 4000)
    transitions, means = task["transitions"].view(3, 2, 3), task["rewards"].view(3, 2)
    worth = [means]
    for _ in range(3):
        worth.append(means + transitions @ worth[-1].amax(-1))

    def act(seen: Seen):
        logits = seen.observation @ worth[3 - seen.memory]
        return torch.where(logits == logits.amax(-1, keepdim=True), 0.0, -torch.inf), seen.memory + 1

    found, best = rollouts(world, world.control(x), act, 0).returns, world.best(world.control(x).task)
    assert float(found.mean()) == pytest.approx(float(best[0]), abs=4 * float(found.std()) / math.sqrt(4000))


def test_steps_lead_where_the_table_says():
    world, task, x = a_task(TabularMDP(states=4, actions=3, concentration=0.5), 20_000)
    found = rollouts(world, world.control(x), lambda seen: (torch.zeros(len(x), 3), None), None)
    assert (found.observation.sum(-1) == 1).all() and (found.observation[0, :, 0] == 1).all()
    counts = torch.einsum("hrs,hra,hrt->sat", found.observation[:-1], found.action[:-1], found.observation[1:])
    total = counts.sum(-1, keepdim=True)
    torch.testing.assert_close(counts / total, task["transitions"].view(4, 3, 4), atol=0.03, rtol=0)
    means = torch.einsum("hrs,hra,hr->sa", found.observation, found.action, found.reward)
    visits = torch.einsum("hrs,hra->sa", found.observation, found.action)
    torch.testing.assert_close(means / visits, task["rewards"].view(4, 3), atol=0.1, rtol=0)


def test_tasks_are_of_their_prior_and_the_same_whenever_they_are_drawn():
    source = TabularMDP(states=4, actions=3, concentration=0.5, reward_mean=-2.0, reward_scale=3.0)
    first, again, other = (source.draw(500, "all", torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) and not torch.equal(first[name], other[name]) for name in first)
    transitions = first["transitions"].view(-1, 4)
    torch.testing.assert_close(transitions.sum(-1), torch.ones(6000), atol=1e-5, rtol=0)
    # A coordinate of a Dirichlet of four times 0.5 is Beta(0.5, 1.5), of mean 1/4 and variance 1/16.
    assert transitions.mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.015)
    assert transitions.var(0).tolist() == pytest.approx([1 / 16] * 4, rel=0.06)
    assert float(first["rewards"].mean()) == pytest.approx(-2, abs=0.16)
    assert float(first["rewards"].std()) == pytest.approx(3, rel=0.05)
