"""Worlds that MuJoCo simulates, against gymnasium, and without either."""

import importlib.util

import numpy as np
import pytest
import torch

from metagap.errors import UserError
from metagap.tasks.source import Part
from metagap.tasks.worlds import bodies, physics
from metagap.tasks.worlds.ant import AntDirection, AntGoal
from metagap.tasks.worlds.half_cheetah import HalfCheetahDirection, HalfCheetahVelocity
from metagap.tasks.worlds.physics import Physics

ALL = [HalfCheetahDirection(), HalfCheetahVelocity(version="gym"), AntDirection(), AntGoal()]

needs_mujoco = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("mujoco", "gymnasium")),
    reason="needs the extra metagap[mujoco]",
)


def tasks_of(source, count):
    return source.draw(count, "test", torch.Generator().manual_seed(1))


def test_where_the_simulator_is_missing_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(physics, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"mujoco and gymnasium, .*: pip install 'metagap\[mujoco\]'"):
        HalfCheetahDirection().tasks(Part("train"), "cpu")


@pytest.mark.parametrize("name", ["velocities = \\[3.0, 1.0\\]", "radii = \\[2.0, 1.0\\]"])
def test_ranges_are_in_order(name):
    with pytest.raises(ValueError, match=name):
        HalfCheetahVelocity(velocities=(3, 1)) if "velocities" in name else AntGoal(radii=(2, 1))


def test_goals_of_the_ant_are_uniform_in_the_ring():
    distance = tasks_of(AntGoal(radii=(1, 3)), 4000)["goal"].norm(dim=-1)
    assert distance.min() >= 1 and distance.max() <= 3
    assert (distance < 5**0.5).float().mean() == pytest.approx(0.5, abs=0.03)  # halves of equal area


@needs_mujoco
@pytest.mark.parametrize(
    ("name", "source"), [("HalfCheetah-v5", HalfCheetahDirection(version="gym")), ("Ant-v5", AntDirection())]
)
def test_steps_are_those_of_gymnasium(name, source, tmp_path, monkeypatch):
    """The same state and the same actions: the same observations and velocities, to 1e-10."""
    import gymnasium

    monkeypatch.chdir(tmp_path)  # where it leaves a file

    env = gymnasium.make(name).unwrapped
    env.reset(seed=0)
    world = source.world()
    places, velocities = env.data.qpos - env.init_qpos, env.data.qvel
    state = world.physics.reset(torch.from_numpy(places.copy())[None], torch.from_numpy(velocities.copy())[None])
    task = {"direction": torch.ones(1, 1, dtype=torch.float64)}
    assert np.allclose(world.observe(task, state)[0], env._get_obs(), rtol=0, atol=1e-10)
    rng = np.random.default_rng(0)
    for _ in range(100):
        action = torch.from_numpy(rng.uniform(-1, 1, (1, world.actions.size))) * world.limit
        seen, reward, _, _, info = env.step(world.torque(action)[0].numpy())
        step = world.step(task, state, action, torch.empty(1, 0))
        state = step.state
        assert np.allclose(world.observe(task, state)[0], seen, rtol=0, atol=1e-10)
        ours = float(step.reward)
        if name == "HalfCheetah-v5":  # whose torques cost twice as much as in meta-learning
            reward -= info["reward_ctrl"] / 2
        if not step.done:
            reward += 1 - info.get("reward_survive", 1)  # it falls at another height
            assert ours == pytest.approx(reward, abs=1e-10)


@needs_mujoco
def test_the_centre_of_mass_moves_as_positions_say():
    """Its velocity is the derivative of its position, of the masses and places that MuJoCo's model has."""
    world = HalfCheetahDirection().world()
    simulator = physics._simulator("half_cheetah", "mass centre", 1.0, 1.0, 1.0)
    generator = torch.Generator().manual_seed(0)
    state = world.reset({}, torch.randn(5, world.noises, generator=generator))
    for _ in range(10):
        state = world.physics.step(state, torch.rand(5, 6, generator=generator) * 2 - 1)
    measured, step = world.physics.measurements(state), 1e-6
    moved = state.clone()
    moved[:, :9] += step * world.physics.velocities(state)
    after = world.physics.measurements(torch.from_numpy(simulator(0, moved.numpy(), np.zeros((5, 6)))))
    assert torch.allclose((after[:, :3] - measured[:, :3]) / step, measured[:, 3:], atol=1e-4)
    assert simulator.model.body_mass.sum() == pytest.approx(14)


@needs_mujoco
@pytest.mark.parametrize("source", ALL, ids=lambda source: type(source).__name__)
def test_mapped_over_tasks_and_in_threads_it_is_the_same(source, monkeypatch):
    world, runs = source.world(), 3
    task = {name: value[:, None].expand(-1, runs, -1) for name, value in tasks_of(source, 2).items()}
    noise = torch.randn(2, 4, runs, world.actions.size + world.noises)

    def rollout(task, noise):
        state, found = world.reset(task, noise[0, :, world.actions.size :]), []
        for row in noise[1:]:
            state, reward, done = world.step(task, state, row[:, : world.actions.size], row[:, world.actions.size :])
            found.append((world.observe(task, state), reward, done))
        return [torch.stack(values) for values in zip(*found, strict=True)]

    mapped = torch.func.vmap(rollout)(task, noise)
    alone = [rollout({name: value[i] for name, value in task.items()}, noise[i]) for i in range(2)]
    for together, one, other in zip(mapped, *alone, strict=True):
        assert torch.equal(together, torch.stack([one, other]))
    assert mapped[0].shape[-1] == world.observed and mapped[1].isfinite().all()
    monkeypatch.setattr(physics, "THREADED", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for together, threaded in zip(mapped, torch.func.vmap(rollout)(task, noise), strict=True):
        assert torch.equal(together, threaded)


@needs_mujoco
@pytest.mark.parametrize("factor", ["mass", "friction", "damping"])
def test_other_dynamics_move_it_otherwise(factor):
    worlds = [HalfCheetahDirection(**{factor: value}).world() for value in (1.0, 2.0)]
    states = [world.reset({}, torch.zeros(1, world.noises)) for world in worlds]
    for _ in range(60):
        states = [world.physics.step(state, torch.ones(1, 6)) for world, state in zip(worlds, states, strict=True)]
    assert not torch.allclose(*(world.physics.positions(state) for world, state in zip(worlds, states, strict=True)))


@needs_mujoco
def test_what_can_no_longer_be_simulated_is_no_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where MuJoCo would leave a file
    of_ant = Physics("ant", 5, "torso and forces")
    state = of_ant.reset(torch.zeros(2, 15), torch.zeros(2, 14))
    state[0, of_ant.nq + 5] = 1e6
    for _ in range(2):
        state = of_ant.step(state, torch.zeros(2, 8))
    assert state[0].isnan().all() and state[1].isfinite().all()
    assert of_ant.step(state, torch.full((2, 8), torch.nan)).isnan().all()
    assert not list(tmp_path.iterdir())


@needs_mujoco
def test_random_actions_earn_the_same_in_both_directions_but_for_chance():
    world = HalfCheetahDirection(horizon=50).world()
    found = world.random({"direction": torch.tensor([[1.0], [-1.0], [1.0]])}, torch.zeros(51, 3, 24))
    assert found[0] == found[2] != found[1]
    wandered = bodies.wandered(world)
    cost = 0.05 * wandered.torque.square().sum(-1).sum(0).mean()
    assert found[:2].mean() == pytest.approx(-float(cost), abs=1e-4)
