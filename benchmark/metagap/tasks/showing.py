"""What people are shown of tasks that answer back: the same arrays for samples and for policies that were learned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from metagap.tasks.world import Rollouts, Seen, World, rollouts, stepped

SHOWN = 4
"""Tasks, at most, with one rollout of each policy."""


def scene(world: World, x: Tensor, policies: Mapping[str, list[Rollouts]]) -> dict[str, np.ndarray]:
    """Plain arrays of T tasks and P policies, small enough to be kept beside the scores.

    x: a rollout to be of each task (T, 1, numbers). policies: by name, the rollout of each task that came of it.

    `policy` (P,): their names. `task-NAME` (T, size): the parameters of the tasks. `return` and `steps` (T, P): the
    undiscounted return, and how many steps were taken. `shown-NAME` (T, P, H, ...): what the world shows of them, in
    half precision or as whole numbers; after the last step that was taken it means nothing.
    """
    task = world.control(x[:, 0].cpu()).task
    found: dict[str, list[list[np.ndarray]]] = {}
    for of_tasks in policies.values():
        for name, of_policy in _plain(world, of_tasks).items():
            found.setdefault(name, []).append(of_policy)
    stacked = {name: np.stack([np.stack(one) for one in values], 1) for name, values in found.items()}
    return {"policy": np.array([*policies])} | {f"task-{name}": value.numpy() for name, value in task.items()} | stacked


def _plain(world: World, of_tasks: list[Rollouts]) -> dict[str, list[np.ndarray]]:
    """By name, an array for each task."""
    found: dict[str, list[np.ndarray]] = {}
    for one in of_tasks:
        shown = {f"shown-{name}": value[:, 0] for name, value in world.shown(one).items()}
        shown |= {"return": one.returns[0], "steps": one.alive[:, 0].sum().to(torch.int32)}
        for name, value in shown.items():
            array = value.detach().cpu().numpy()
            if name.startswith("shown-") and array.dtype.kind == "f":
                array = array.clip(-HALF, HALF).astype(np.float16)
            found.setdefault(name, []).append(array)
    return found


HALF = float(np.finfo(np.float16).max)


def references(world: World, x: Tensor) -> dict[str, list[Rollouts]]:
    """What random actions, and the best ones where they are known, do in a rollout to be of each task (T, 1, numbers).

    Each task by itself, for a world may be a simulator.
    """

    best = [found for one in x if (found := _ideal(world, one)) is not None]
    random = {"random actions": [rollouts(world, world.control(one), world.at_random, None) for one in x]}
    return random | ({"best actions": best} if best else {})


def _ideal(world: World, x: Tensor) -> Rollouts | None:
    """What the best actions do, which are chosen by the state; None where they are not known."""
    control = world.control(x)
    if world.ideal(control.task, world.reset(control.task, control.noise[0, :, world.actions.size :])) is None:
        return None

    def choose(state: Tensor, seen: Seen, noise: Tensor) -> tuple[Tensor, Tensor, None]:
        action = world.ideal(control.task, state)
        assert action is not None
        return world.at_random(seen)[0], action, None

    return stepped(world, control, choose, None)[0]
