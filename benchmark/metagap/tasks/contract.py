"""What the tasks of a source must be, looked at before anything is trained on them: see `tasks.episode.Tasks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metagap.errors import UserError, foreign
from metagap.metrics import Metric
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.imbalance import BALANCED
from metagap.tasks.sampling import Drawn, Sampler, raw

TASKS = 2


def examine(tasks: Any, spec: TaskSpec) -> None:
    """Draw tasks, look them up and show one; raises UserError for whatever does not hold to the contract."""
    with foreign("its source"):
        _look_at(tasks, spec)


def examine_metrics(metrics: Sequence[Metric], tasks: Any, spec: TaskSpec) -> None:
    """Compute every metric on made-up predictions; raises UserError for one that fails or gives no number."""
    y = Sampler(tasks, spec, seed=0).episodes(1).query_y[0].cpu()
    outputs = getattr(tasks, "outputs", None) or spec.ways
    output = torch.randn(len(y), outputs, generator=torch.Generator().manual_seed(0))
    for metric in metrics:
        function = metric.tensor_function()
        with foreign(f"metric '{metric}'"):
            value = function(output, y)
        if not isinstance(value, Tensor) or value.shape != ():
            raise UserError(f"metric '{metric}' gives {_dtype_and_shape(value)}; allowed: a tensor of shape ()")


def _look_at(tasks: Any, spec: TaskSpec) -> None:
    check_form(tasks)
    check_imbalance(tasks, spec)
    drawn = check_draw(tasks, spec)
    check_lookup(tasks, spec, drawn.draw)
    check_sample(Sampler(tasks, spec, seed=0).sample(drawn))


def check_form(tasks: Any) -> None:
    """Raise UserError unless the tasks say what an example looks like and how many classes there are."""
    shape, count = tasks.x_shape, tasks.class_count
    _require(
        isinstance(shape, tuple) and all(isinstance(n, int) and n > 0 for n in shape), "x_shape", shape, "positive ints"
    )
    _require(isinstance(count, int) and count >= 0, "class_count", count, "an int from 0")


def check_imbalance(tasks: Any, spec: TaskSpec) -> None:
    """Raise UserError where an imbalance is wanted and the tasks cannot have one."""
    if spec.imbalance != BALANCED and not getattr(tasks, "imbalanced", False):
        raise UserError(
            f"imbalance = '{spec.imbalance}', but its source draws balanced tasks alone; allowed: '{BALANCED}'"
        )


def check_draw(tasks: Any, spec: TaskSpec, count: int = TASKS) -> Drawn:
    """`count` tasks; raises UserError unless they are so many, can be sliced, and the same seed gives them again."""
    first, second = (Sampler(tasks, spec, seed=0).draw(count) for _ in range(2))
    _require(len(first) == count, f"len(draw({count}))", len(first), count)
    _require(len(first[:1]) == 1, f"len(draw({count})[:1])", len(first[:1]), 1)
    _require(raw(first) == raw(second), "draw", "another one from the same random numbers", "the same again")
    openly = Sampler(tasks, spec, seed=0).draw_open(count)
    _require(openly is None or (isinstance(openly, Drawn) and len(openly) >= 0), "draw_open", openly, "a draw, or None")
    return first


def check_lookup(tasks: Any, spec: TaskSpec, draw: Any) -> Episode:
    """The episodes of a draw; raises UserError unless they are what the specification says, the same again, and of a
    slice of the draw the same as in the whole."""
    first, second, last = tasks.episode(draw, spec), tasks.episode(draw, spec), tasks.episode(draw[1:], spec)
    _check_episode(first, len(draw), tasks.x_shape, tasks.class_count, spec)
    for field, once, again, part in zip(Episode._fields, first, second, last, strict=True):
        _require(
            torch.equal(once.nan_to_num(), again.nan_to_num()),
            f"episode, {field}",
            "something else from the same draw",
            "the same",
        )
        same = once[1:].shape == part.shape and torch.allclose(once[1:], part, rtol=1e-4, atol=1e-6, equal_nan=True)
        _require(same, f"episode of draw[1:], {field}", "something else than for the whole draw", "the same tasks")
    return first


def _check_episode(episode: Any, tasks: int, shape: tuple[int, ...], count: int, spec: TaskSpec) -> None:
    _require(isinstance(episode, Episode), "episode", type(episode).__name__, "an Episode")
    classes, names = spec.kind.has_ways, ("support", "query")
    for name, each in zip(names, (spec.stages * spec.shots, spec.queries), strict=True):
        x, y, n = getattr(episode, f"{name}_x"), getattr(episode, f"{name}_y"), spec.ways * each
        _require(
            _is(x, (tasks, n, *shape)) and x.is_floating_point(),
            f"{name}_x",
            _dtype_and_shape(x),
            f"floats {(tasks, n, *shape)}",
        )
        bad = int((~x.isfinite()).sum())
        _require(not bad, f"{name}_x", f"{bad} of {x.numel()} numbers not finite", "finite ones")
        if not classes:
            there = isinstance(y, Tensor) and y.shape[:2] == (tasks, n) and y.is_floating_point()
            _require(there, f"{name}_y", _dtype_and_shape(y), f"floats ({tasks}, {n}, ...)")
            bad = 0 if spec.kind.acts else int((~y.isfinite()).sum())  # of tasks that answer back it may be unknown
            _require(not bad, f"{name}_y", f"{bad} of {y.numel()} numbers not finite", "finite ones")
            continue
        _require(_is(y, (tasks, n)) and y.dtype == torch.long, f"{name}_y", _dtype_and_shape(y), f"int64 {(tasks, n)}")
        free = name == "support" and spec.imbalance != BALANCED
        least, most = (1, spec.most_shots) if free else (each, each)
        labels, allowed = [*range(spec.ways)], f"{each}" if least == most else f"{least} to {most}"
        for task in y.cpu():
            found = dict(zip(*(values.tolist() for values in task.unique(return_counts=True)), strict=True))
            fair = [*found] == labels and all(least <= count <= most for count in found.values())
            _require(fair, f"{name}_y", f"how many of each label: {found}", f"{allowed} of each of 0..{spec.ways - 1}")
    if classes:
        of = episode.classes
        _require(
            _is(of, (tasks, spec.ways)) and of.dtype == torch.long,
            "classes",
            _dtype_and_shape(of),
            f"int64 {(tasks, spec.ways)}",
        )
        _require(
            int(of.min()) >= 0 and int(of.max()) < count,
            "classes",
            f"{int(of.min())}..{int(of.max())}",
            f"0..{count - 1}",
        )


def check_sample(sample: Any) -> None:
    """Raise UserError unless it is arrays by name."""
    _require(
        isinstance(sample, dict) and all(isinstance(key, str) for key in sample),
        "sample",
        _dtype_and_shape(sample),
        "a dict by str",
    )
    for key, value in sample.items():
        _require(
            np.asarray(value).dtype.kind != "O",
            f"sample['{key}']",
            _dtype_and_shape(value),
            "an array of numbers or texts",
        )


def _is(value: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(value, Tensor) and tuple(value.shape) == shape


def _dtype_and_shape(value: Any) -> str:
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is None or shape is None:
        return type(value).__name__
    return f"{dtype} {tuple(shape)}".removeprefix("torch.")


def _require(holds: bool, what: str, found: Any, allowed: Any) -> None:
    if not holds:
        raise UserError(f"its source gives {what}: {found}; allowed: {allowed}")
