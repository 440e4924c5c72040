"""What the learned policies do in the first test tasks, before and after adaptation; nothing without such records."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from metagap.report.figures.worlds import Scene, sample
from metagap.report.frames import Frames
from metagap.report.panels import Gallery, Picture
from metagap.report.theme import drawing, styles


def _home(frames: Frames) -> str | None:
    """The split on which each algorithm is shown: that of new tasks of the training domain, or else the first."""
    there = [name for name in (*frames.role("in-distribution"), *frames.splits) if name in frames.rollouts]
    return there[0] if there else None


def adapting(frames: Frames) -> list[Picture]:
    """A picture for each algorithm: the first tasks of the home split, after each number of inner steps."""
    home = _home(frames)
    found = (
        [(name, frames.rollouts[home][name]) for name in frames.algorithms if name in frames.rollouts[home]]
        if home
        else []
    )
    return [
        Picture(
            f"rollouts-{number}",
            name,
            _returns(scene, frames.headline_step(name)),
            partial(_drawn, _up_to(frames.headline_step(name), scene)),
        )
        for number, (name, scene) in enumerate(found, 1)
    ]


def compared(frames: Frames) -> list[Picture]:
    """A picture for each split: the first task, and what every algorithm does in it after adaptation."""
    return list(_compared(frames))


def _compared(frames: Frames) -> Iterator[Picture]:
    style = styles(frames.suite)
    for number, (role, name) in enumerate([(role, one) for role, names in frames.split_groups() for one in names], 1):
        scenes = {one: frames.rollouts[name][one] for one in frames.algorithms if one in frames.rollouts.get(name, {})}
        if scenes:
            scene = _side_by_side(frames, scenes)
            draw = partial(_drawn, scene, [style[algorithm].color for algorithm in scenes])
            yield Picture(f"rollouts-of-{number}", frames.split_label(name), role, draw)


def _side_by_side(frames: Frames, scenes: dict[str, Scene]) -> Scene:
    """The headline step of each algorithm, as the policies of one scene."""
    first = next(iter(scenes.values()))
    joined = {key: value for key, value in first.items() if key.startswith("task-")}
    for key in first.keys() - joined.keys() - {"policy"}:
        joined[key] = np.stack(
            [scene[key][:, _at(frames.headline_step(name), scene)] for name, scene in scenes.items()], 1
        )
    return joined | {"policy": np.array([*scenes])}


def _up_to(step: int, scene: Scene) -> Scene:
    """The steps of a scene from before adaptation to this one."""
    kept = slice(0, _at(step, scene) + 1)
    return {
        key: value if key.startswith("task-") else value[kept] if key == "policy" else value[:, kept]
        for key, value in scene.items()
    }


def _at(step: int, scene: Scene) -> int:
    """Where a step is among those that are shown."""
    return min(step, len(scene["policy"]) - 1)


def _drawn(scene: Scene, colours: list[str] | None = None) -> Figure:
    with drawing():
        return sample(scene, colours)


def _returns(scene: Scene, step: int) -> str:
    """What it comes to in these tasks."""
    before, after = (float(scene["return"][:, at].mean()) for at in (0, _at(step, scene)))
    said = f"return in these rollouts: {before:.3g}"
    return (said if step == 0 else f"{said} → {after:.3g} after {scene['policy'][_at(step, scene)]}").replace("-", "−")


def about_adapting(frames: Frames) -> str:
    """What the pictures are."""
    return (
        f"The first test tasks of {_home(frames)}, each in a colour of its own: a rollout of the policy before "
        "adaptation (faint), and after each inner step up to the headline one (strong). Tasks and random numbers are "
        "the same for all, the policies those of the first seed."
    )


ADAPTING = Gallery(name="rollouts", section="rollouts", text=about_adapting, pictures=adapting)
COMPARED = Gallery(
    name="rollouts-compared",
    section="rollouts",
    folded="The same task of every split, all algorithms",
    text="The first test task of every split, with one rollout of each algorithm after adaptation, in its colour.",
    pictures=compared,
)
