"""Point navigation: rollouts to be, the best return, options, and noise that stays as it is."""

from __future__ import annotations

import math

import pytest
import torch

from metagap.tasks.episode import TaskSpec
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.world import rollouts
from metagap.tasks.worlds.navigation import Navigation

SPEC = TaskSpec("control", 1, 3, 4)


def episodes(source, *, stages=1, part="test", count=6, spec=SPEC):
    tasks = source.tasks(Part(part), "cpu")
    return Sampler(tasks, tasks.formed(spec, stages), 0).episodes(count), tasks.world


def test_rollouts_to_be_hold_their_task_and_all_their_noise():
    world = Navigation(horizon=5).world()
    generator = torch.Generator().manual_seed(0)
    task = {name: torch.randn(2, size, generator=generator) for name, size in world.parameters.items()}
    rows, each = world.noise_shape
    noise = torch.randn(2, 3, rows * each, generator=generator)
    x = world.packed(task, noise)
    assert x.shape == (2, 3, *world.x_shape)
    found = world.control(x[1])
    for name, value in task.items():
        assert torch.equal(found.task[name], value[1].expand(3, -1))
    assert torch.equal(found.noise, noise[1].view(3, rows, each).transpose(0, 1))


def test_more_stages_leave_the_earlier_ones_and_the_queries_as_they_are():
    one, three = (episodes(Navigation(horizon=5), stages=stages)[0] for stages in (1, 3))
    assert torch.equal(three.query_x, one.query_x)
    assert torch.equal(three.support_x[:, : SPEC.shots], one.support_x)
    assert three.support_x.shape[1] == 3 * SPEC.shots
    assert three.support_x[:, SPEC.shots :].unique(dim=1).shape[1] == 2 * SPEC.shots


def towards(control):
    """Straight to the goal in the frame of the actions, the wind known: cut to the box coordinate by coordinate."""
    turn = control.task["turn"].unflatten(-1, (2, 2))

    def act(seen):
        position = seen.memory
        wanted = torch.linalg.solve(turn, (control.task["goal"] - position - control.task["wind"]).unsqueeze(-1))
        moved = (turn @ wanted.clamp(-0.1, 0.1)).squeeze(-1) + control.task["wind"]
        return torch.cat([wanted.squeeze(-1), torch.full_like(position, -20.0)], -1), position + moved

    return act


SHIFTS = [
    {},
    {"speed": 0.5},
    {"speed": 2.0},
    {"rotation": 30},
    {"rotation": 90},
    {"mirrored": True},
    {"wind": (0.03, 0.0)},
    {"wind": (0.05, -0.04), "rotation": 30, "mirrored": True, "speed": 0.7},
    {"ring": (0.8, 1.0)},
    {"half_side": 2.0},
]


@pytest.mark.parametrize("options", SHIFTS, ids=str)
def test_nothing_surpasses_the_best_return_and_who_knows_the_goal_reaches_it(options):
    found, world = episodes(Navigation(horizon=30, **options), count=20)
    best, tolerance = found.query_y[..., 1].flatten(), 1e-4
    control = world.control(found.query_x.flatten(0, 1))
    direct = rollouts(world, control, towards(control), torch.zeros(len(best), 2))
    assert (direct.returns <= best + tolerance).all()
    if not options.get("wind"):  # the wind may carry past the goal, and there a rollout has ended
        torch.testing.assert_close(direct.returns, best, atol=0.05, rtol=0.001)
    generator = torch.Generator().manual_seed(0)
    for scale in (0.03, 0.3):  # near to that policy, and far from it
        shaken = control._replace(noise=control.noise)
        nudge = scale * torch.randn(len(best), 4, generator=generator)

        def act(seen, nudge=nudge):
            policy, memory = towards(control)(seen)
            return policy + nudge, memory

        assert (rollouts(world, shaken, act, torch.zeros(len(best), 2)).returns <= best + tolerance).all()
    assert (found.query_y[..., 0] <= found.query_y[..., 1] + tolerance).all()  # that of random actions


def test_goals_are_where_the_options_say():
    goals = Navigation(ring=(0.8, 1.0)).draw(500, "test", torch.Generator().manual_seed(0))["goal"]
    distance = goals.norm(dim=-1)
    assert 0.8 <= float(distance.min()) < 0.82
    assert 0.98 < float(distance.max()) <= 1.0
    goals = Navigation(half_side=0.3).draw(500, "test", torch.Generator().manual_seed(0))["goal"]
    assert 0.29 < float(goals.abs().max()) <= 0.3


def moves(source, action):
    """Where one step goes from the origin."""
    world = source.world()
    task = source.draw(1, "test", torch.Generator().manual_seed(0))
    state = world.step(task, world.reset(task, torch.zeros(1, 2)), torch.tensor([action]), torch.zeros(1, 2)).state
    return state[0, :2].tolist()


@pytest.mark.parametrize(
    ("options", "action", "where"),
    [
        ({}, [0.05, -0.02], [0.05, -0.02]),
        ({}, [3.0, -0.4], [0.1, -0.1]),
        ({"speed": 0.5}, [3.0, -0.4], [0.05, -0.05]),
        ({"rotation": 90}, [0.1, 0.0], [0.0, 0.1]),
        ({"mirrored": True}, [0.1, 0.05], [-0.1, 0.05]),
        ({"wind": (0.03, -0.01)}, [0.0, 0.05], [0.03, 0.04]),
    ],
)
def test_moves_are_cut_turned_and_blown(options, action, where):
    assert moves(Navigation(**options), action) == pytest.approx(where, abs=1e-7)


def test_a_rollout_ends_at_the_goal_and_earns_nothing_after():
    world = Navigation(horizon=6).world()
    task = {"goal": torch.tensor([[0.2, 0.0]]), "turn": torch.eye(2).view(1, 4), "wind": torch.zeros(1, 2)}
    noise = torch.zeros(7, 1, 4)
    control = world.control(world.packed({k: v for k, v in task.items()}, noise.transpose(0, 1).flatten(1)[None])[0])

    def act(seen):
        return torch.tensor([[0.1, 0.0, -20.0, -20.0]]), None

    found = rollouts(world, control, act, None)
    assert found.alive[:, 0].tolist() == [1, 1, 0, 0, 0, 0]
    assert found.reward[:, 0].tolist() == pytest.approx([-0.1, 0, 0, 0, 0, 0], abs=1e-6)


def test_what_is_seen_is_blurred_and_the_reward_is_not():
    world = Navigation(observation_noise=0.5).world()
    task = {"goal": torch.tensor([[0.3, 0.4]]), "turn": torch.eye(2).view(1, 4), "wind": torch.zeros(1, 2)}
    state = world.reset(task, torch.tensor([[1.0, -2.0]]))
    assert world.observe(task, state).tolist() == [[0.5, -1.0]]
    step = world.step(task, state, torch.zeros(1, 2), torch.tensor([[2.0, 0.0]]))
    assert world.observe(task, step.state).tolist() == [[1.0, 0.0]]
    assert float(step.reward) == pytest.approx(-math.hypot(0.3, 0.4))
