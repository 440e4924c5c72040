"""Rollouts of tasks that answer back: of samples, and of policies that were learned.

The arrays are those of `metagap.tasks.showing.scene`. What a world shows of its rollouts says by its name how it is
drawn: see `PICTURES`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from metagap.report.theme import BAND, MUTED, PALETTE, PAPER

Scene = dict[str, np.ndarray]
WIDTH = 2.7  # inches, of a picture in a gallery
TASKS = 3
"""Tasks in a picture that has an axes for each."""


def sample(scene: Scene, colours: Sequence[str] | None = None) -> Figure:
    """A picture of these rollouts.

    By default tasks have colours, and of a task's policies the first is the faintest. colours: of the policies, which
    are then shown on the first task alone.
    """
    for name, draw in PICTURES.items():
        if f"shown-{name}" in scene:
            return draw(scene, colours)
    raise ValueError(f"the world shows nothing that is drawn; allowed: {', '.join(PICTURES)}")


def paths(scene: Scene, colours: Sequence[str] | None) -> Figure:
    """Ways through the plane; parameters of two numbers called `goal` or `start` are marked."""
    figure = _figure(WIDTH, scene, colours)
    axis = figure.subplots()
    if colours is None:
        for name in ("goal", "start"):
            if (points := scene.get(f"task-{name}")) is not None and points.shape[1] == 2:
                axis.plot(*points.T, ".", color=MUTED, markersize=2, alpha=0.5)
    for task, policy, look in _lines(scene, colours):
        steps = int(scene["steps"][task, policy]) + 1  # where the last step led to is seen after it
        axis.plot(*scene["shown-path"][task, policy, :steps].astype(float).T, **look)
    for task in range(1 if colours else len(scene["steps"])):
        if (goal := scene.get("task-goal")) is not None and goal.shape[1] == 2:
            axis.plot(*goal[task], "*", color=MUTED if colours else _colour(task), markersize=11, zorder=5,
                      markeredgecolor=PAPER, markeredgewidth=0.8)  # fmt: skip
    axis.plot(*scene["shown-path"][0, 0, 0].astype(float), "o", color=MUTED, markersize=3.5, zorder=4)
    axis.set_aspect("equal", adjustable="datalim")
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.yaxis.set_major_locator(MaxNLocator(5))
    _small(axis)
    return figure


def choices(scene: Scene, colours: Sequence[str] | None) -> Figure:
    """What was chosen at every step; the best choices are on top, with the parameter of each beside them."""
    chosen, tasks = scene["shown-choice"], 1 if colours else min(TASKS, len(scene["steps"]))
    policies = list(range(chosen.shape[1])) if colours else sorted({0, chosen.shape[1] - 1})
    rows, columns = (len(policies), 1) if colours else (tasks, len(policies))
    values = _of_choices(scene, int(chosen.max()) + 1)
    figure = Figure((WIDTH, 0.35 + rows * (0.25 + 0.13 * values.shape[1])), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for row in range(rows):
        for column in range(columns):
            task, policy = (0, policies[row]) if colours else (row, policies[column])
            axis, order = axes[row, column], np.argsort(-values[task], kind="stable")
            steps = int(scene["steps"][task, policy])
            rank = np.argsort(order)[chosen[task, policy, :steps].astype(int)]
            axis.plot(np.arange(1, steps + 1), rank, "s", color=colours[policy] if colours else _colour(task),
                      markersize=min(5.0, 90 / max(steps, 1)), markeredgewidth=0)  # fmt: skip
            axis.set(ylim=(values.shape[1] - 0.5, -0.5))
            axis.set_yticks(range(values.shape[1]), [f"{value:.2f}" for value in values[task][order]])
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            if colours or row == 0:
                axis.set_title(str(scene["policy"][policy]), fontsize=8, fontweight="normal")
            if column:
                axis.set_yticklabels([])
            _small(axis)
    return figure


def returns(scene: Scene, colours: Sequence[str] | None) -> Figure:
    """The return so far, step by step; a task of one or two numbers has them at the end of its last line."""
    figure = _figure(1.9, scene, colours)
    axis = figure.subplots()
    axis.margins(x=0.02)
    for task, policy, look in _lines(scene, colours):
        steps = int(scene["steps"][task, policy])
        so_far = np.cumsum(scene["shown-reward"][task, policy, :steps].astype(float))
        axis.plot(np.arange(1, steps + 1), so_far, **look)
        if not colours and policy == scene["steps"].shape[1] - 1 and (about := _about(scene, task)):
            axis.annotate(about, (steps, so_far[-1]), (2, 0), textcoords="offset points", fontsize=7.5,
                          color=_colour(task), va="center", annotation_clip=False)  # fmt: skip
    axis.yaxis.set_major_locator(MaxNLocator(5))
    _small(axis)
    return figure


PICTURES: dict[str, Callable[[Scene, Sequence[str] | None], Figure]] = {
    "path": paths,
    "choice": choices,
    "reward": returns,
}
"""What of `World.shown` is drawn, the first that is there, and how."""


def _figure(height: float, scene: Scene, colours: Sequence[str] | None) -> Figure:
    """Of this height, with the names of the policies below it where these have colours."""
    if not colours:
        return Figure((WIDTH, height), layout="constrained")
    figure = Figure((WIDTH, height + 0.16 * -(-len(colours) // 2)), layout="constrained")
    names = [Line2D([], [], color=colour, label=textwrap.shorten(str(name), 20, placeholder="…"))
             for name, colour in zip(scene["policy"], colours, strict=True)]  # fmt: skip
    figure.legend(handles=names, loc="outside lower left", ncols=2, fontsize=7.5, handlelength=1, columnspacing=1,
                  labelspacing=0.2, borderpad=0)  # fmt: skip
    return figure


def _lines(scene: Scene, colours: Sequence[str] | None) -> list[tuple[int, int, dict[str, Any]]]:
    """(task, policy, how its line looks), the last policy on top."""
    tasks, policies = scene["steps"].shape
    if colours:
        return [(0, policy, {"color": colours[policy], "linewidth": 1.3}) for policy in range(policies)]
    weight = np.linspace(0.35, 1, policies) if policies > 1 else np.ones(1)
    return [
        (task, policy, {"color": _colour(task), "alpha": float(weight[policy]), "linewidth": 0.5 + weight[policy]})
        for policy in range(policies)
        for task in range(tasks)
    ]


def _of_choices(scene: Scene, count: int) -> np.ndarray:
    """The first parameter of the tasks that has a number for each choice: (T, choices); zeros where none has."""
    for name, values in scene.items():
        if name.startswith("task-") and values.ndim == 2 and values.shape[1] >= max(count, 2):
            return values.astype(float)
    return np.zeros((len(scene["steps"]), count))


def _about(scene: Scene, task: int) -> str:
    """The parameters of a task, where they are one or two numbers."""
    found = {name.removeprefix("task-"): value[task] for name, value in scene.items() if name.startswith("task-")}
    numbers = np.concatenate([*found.values()]) if found else np.zeros(0)
    return ", ".join(f"{value:.2g}" for value in numbers) if 0 < len(numbers) <= 2 else ""


def _colour(task: int) -> str:
    return PALETTE[task % len(PALETTE)][0]


def _small(axis: Axes) -> None:
    axis.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    axis.set_facecolor(BAND)
