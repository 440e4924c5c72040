"""Pictures of rollouts: what a world shows says how it is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from metagap.report.figures.worlds import sample
from metagap.report.theme import PALETTE

COLOURS = [light for light, _ in PALETTE[:2]]


def scene(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    """Three tasks and two policies, with rollouts of five steps, of which four were taken."""
    about = {"policy": np.array(["before", "after"]), "steps": np.full((3, 2), 4), "return": np.zeros((3, 2))}
    return about | {name.replace("_", "-"): array for name, array in arrays.items()}


def lines(figure) -> list[np.ndarray]:
    """The data of all lines, without markers of single points."""
    found = [np.stack(line.get_data(), 1) for axis in figure.axes for line in axis.lines]
    return [data for data in found if len(data) > 1]


def test_paths_end_where_the_last_step_led_to():
    path = np.random.default_rng(0).normal(size=(3, 2, 5, 2))
    goal = np.ones((20, 2))
    drawn = lines(sample(scene(shown_path=path, task_goal=goal)))
    assert np.array_equal(drawn[0], goal) and len(drawn) == 1 + 6
    assert any(np.array_equal(one, path[2, 1]) for one in drawn)
    ended = scene(shown_path=path, task_goal=goal) | {"steps": np.full((3, 2), 2)}
    assert np.allclose(lines(sample(ended))[1], path[0, 0, :3])


def test_choices_are_ordered_by_what_they_are_worth():
    arms = np.tile([0.2, 0.9, 0.5], (3, 1))
    chosen = np.broadcast_to(np.array([0, 1, 1, 2, 0]), (3, 2, 5))
    figure = sample(scene(shown_choice=chosen, task_p=arms))
    assert [[text.get_text() for text in axis.get_yticklabels()] for axis in figure.axes[:2]] == [
        ["0.90", "0.50", "0.20"],
        ["", "", ""],
    ]
    assert all(np.array_equal(one[:, 1], [2, 0, 0, 1]) for one in lines(figure)) and len(lines(figure)) == 6
    assert [axis.get_title() for axis in figure.axes[:2]] == ["before", "after"]


def test_rewards_are_added_up_and_small_tasks_are_named():
    reward = np.ones((3, 2, 5), np.float16)
    figure = sample(scene(shown_reward=reward, task_velocity=np.array([[0.5], [1.25], [2.0]])))
    assert all(np.array_equal(one, [[1, 1], [2, 2], [3, 3], [4, 4]]) for one in lines(figure))
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.5", "1.2", "2"]


@pytest.mark.parametrize("name", ["path", "choice", "reward"])
def test_policies_have_colours_where_they_are_compared(name):
    values = np.zeros((3, 2, 5, 2) if name == "path" else (3, 2, 5))
    figure = sample(scene(**{f"shown_{name}": values}), COLOURS)
    drawn = [line for axis in figure.axes for line in axis.lines if len(line.get_xdata()) > 1]
    assert [line.get_color() for line in drawn] == COLOURS


def test_what_nothing_draws_is_said():
    with pytest.raises(ValueError, match="shows nothing that is drawn; allowed: path, choice, reward"):
        sample(scene(shown_heat=np.zeros((3, 2, 5))))
