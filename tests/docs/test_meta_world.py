"""The example of Meta-World, which has an environment of its own: see metaworld.md."""

from __future__ import annotations

import pickle
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from metagap.errors import UserError
from metagap.registry import load
from metagap.tasks.episode import TaskSpec, formed
from metagap.tasks.source import Part

MetaWorld = load("source", f"{Path(__file__).parents[2] / 'benchmark/examples/meta_world.py'}:MetaWorld")
example = sys.modules[MetaWorld.__module__]

needs_meta_world = pytest.mark.skipif(find_spec("metaworld") is None, reason="needs metaworld and mujoco 3.3.0")


def test_where_it_is_missing_the_message_says_how_to_run_it(monkeypatch):
    monkeypatch.setattr(example, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"uv run --with metaworld --with mujoco==3\.3\.0 metagap"):
        MetaWorld().tasks(Part("train"), "cpu")


def alone(name: str, vector: np.ndarray, actions: np.ndarray) -> tuple[list[np.ndarray], list[float]]:
    """What Meta-World's environment, and nothing of ours, makes of actions."""
    metaworld = import_module("metaworld")
    environment = metaworld.ALL_V3_ENVIRONMENTS[name]()
    task = {"rand_vec": vector, "env_cls": type(environment), "partially_observable": True}
    environment.set_task(metaworld.Task(name, pickle.dumps(task)))
    seen, rewards = [environment.reset()[0]], []
    for action in actions:
        observation, reward, *_ = environment.step(action)
        seen.append(observation)
        rewards.append(reward)
    return seen, rewards


@needs_meta_world
@pytest.mark.parametrize("name", ["reach-v3", "drawer-close-v3"])
def test_rollouts_of_two_tasks_in_turn_are_those_of_environments_by_themselves(name):
    tasks = MetaWorld(benchmark=name).tasks(Part("train"), "cpu")
    task = tasks.family.draw(2, "train", torch.Generator().manual_seed(0))
    world, actions = tasks.world, torch.from_numpy(np.random.default_rng(0).uniform(-1.2, 1.2, (12, 2, 4)))
    state = world.reset(task, torch.zeros(2, 0))
    seen, rewards = [world.observe(task, state)], []
    for action in actions:
        state, reward, _ = world.step(task, state, action, torch.zeros(2, 0))
        seen.append(world.observe(task, state))
        rewards.append(reward)
    size = example.scene(name).environment._random_reset_space.low.size
    for i in range(2):
        theirs = alone(name, task["vector"][i, :size].double().numpy(), actions[:, i].numpy())
        assert torch.equal(torch.stack(seen)[:, i], torch.tensor(np.array(theirs[0]), dtype=torch.float32))
        assert torch.equal(torch.stack(rewards)[:, i], torch.tensor(theirs[1], dtype=torch.float64))


@needs_meta_world
def test_goals_are_new_at_test_and_an_episode_can_be_made():
    source = MetaWorld(horizon=3)
    goals = {
        part: {tuple(row) for row in source.draw(200, part, torch.Generator())["vector"].tolist()}
        for part in ("train", "val", "test")
    }
    assert [len(found) for found in goals.values()] == [pytest.approx(50, abs=3)] * 3
    assert not (goals["train"] & goals["test"] or goals["train"] & goals["val"] or goals["val"] & goals["test"])
    tasks = source.tasks(Part("test"), "cpu")
    spec = formed(tasks, TaskSpec("control", 1, 2, 2), 1)
    episode = tasks.episode(tasks.draw(2, spec, torch.Generator().manual_seed(0)), spec)
    assert (episode.query_y[..., 0] > 0).all() and episode.query_y[..., 1].isnan().all()


@needs_meta_world
def test_a_benchmark_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match=r"benchmark = 'reach-v2'; allowed: ML10, ML25, ML45, assembly-v3"):
        MetaWorld(benchmark="reach-v2").world()


@needs_meta_world
@pytest.mark.slow
def test_the_tasks_of_ml10_are_new_at_test():
    source = MetaWorld(benchmark="ML10")
    assert len(source.world().names) == 15
    train, test = (source.draw(300, part, torch.Generator())["task"].sum(0) > 0 for part in ("train", "test"))
    assert train[:10].all() and not train[10:].any()
    assert test[10:].all() and not test[:10].any()
