"""What is shown of tasks that answer back is what happens in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from metagap.tasks.episode import TaskSpec, formed
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.worlds.bandits import Bandits
from metagap.tasks.worlds.navigation import Navigation, NavigationWorld


def sampled(**options: Any) -> tuple[dict[str, np.ndarray], Any]:
    """A sample of navigation, and the first test episodes."""
    tasks = Navigation(**options).tasks(Part("test"), "cpu")
    sampler = Sampler(tasks, formed(tasks, TaskSpec("control", 1, 3, 2), 1), seed=0)
    drawn = sampler.draw(30)
    return sampler.sample(drawn), sampler.episode(drawn)


@pytest.mark.parametrize(
    "options",
    [{}, {"wind": (0.03, -0.02)}, {"ring": (0.8, 1.0), "rotation": 70, "mirrored": True}, {"speed": 0.5}],
    ids=str,
)
def test_references_earn_what_the_targets_say(options):
    """Also that no action is better than `ideal`, for the best return is computed in another way."""
    sample, episodes = sampled(**options)
    assert list(sample["policy"]) == ["random actions", "best actions"]
    assert np.allclose(sample["return"], episodes.query_y[:4, 0], atol=1e-4)


def test_a_sample_shows_the_first_test_tasks():
    sample, episodes = sampled()
    world = NavigationWorld()
    assert np.array_equal(sample["task-goal"], world.control(episodes.query_x[:, 0]).task["goal"].numpy())
    path, steps = sample["shown-path"], sample["steps"]
    assert path.shape == (4, 2, 100, 2) and path.dtype == np.float16 and steps.shape == (4, 2)
    for task in range(4):
        ended = path[task, 1, steps[task, 1]]  # where the last of the best actions led to
        assert steps[task, 1] < 20 and np.abs(ended - sample["task-goal"][task]).max() < 0.02


def test_pulls_are_shown_of_bandits():
    tasks = Bandits(arms=3, horizon=7).tasks(Part("test"), "cpu")
    sampler = Sampler(tasks, formed(tasks, TaskSpec("control", 1, 3, 2), 1), seed=0)
    sample = sampler.sample(sampler.draw(5))
    pulls, best = sample["shown-choice"], sample["task-means"][:4].argmax(1)
    assert pulls.shape == (4, 2, 7) and (pulls[:, 1] == best[:, None]).all() and np.ptp(pulls[:, 0]) == 2
    assert np.array_equal(sample["shown-reward"].sum(-1), sample["return"])


class Unknown(NavigationWorld):
    def ideal(self, task, state):
        return None

    def shown(self, found):
        return {"reward": found.reward * 1e6}


def test_a_world_need_not_know_what_is_best(monkeypatch):
    monkeypatch.setattr(Navigation, "world", lambda self: Unknown(horizon=5))
    sample, _ = sampled()
    assert list(sample["policy"]) == ["random actions"] and "shown-path" not in sample
    assert sample["shown-reward"].shape == (4, 1, 5)
    assert np.isfinite(sample["shown-reward"]).all() and torch.finfo(torch.float16).max in -sample["shown-reward"]
