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
    shape, count = tasks.x_shape, tasks.class_count
    _require(
        isinstance(shape, tuple) and all(isinstance(n, int) and n > 0 for n in shape), "x_shape", shape, "positive ints"
    )
    _require(isinstance(count, int) and count >= 0, "class_count", count, "an int from 0")
    first, second = (Sampler(tasks, spec, seed=0).draw(TASKS) for _ in range(2))
    _require(len(first) == TASKS, f"len(draw({TASKS}))", len(first), TASKS)
    _require(len(first[:1]) == 1, "len(draw(2)[:1])", len(first[:1]), 1)
    _require(raw(first) == raw(second), "draw", "another one from the same random numbers", "the same again")
    _check_episode(tasks.episode(first.draw, spec), shape, count, spec)
    _check_sample(tasks.sample(first.draw, spec))
    openly = Sampler(tasks, spec, seed=0).draw_open(TASKS)
    _require(openly is None or (isinstance(openly, Drawn) and len(openly) >= 0), "draw_open", openly, "a draw, or None")


def _check_episode(episode: Any, shape: tuple[int, ...], count: int, spec: TaskSpec) -> None:
    _require(isinstance(episode, Episode), "episode", type(episode).__name__, "an Episode")
    classes, names = spec.kind.has_ways, ("support", "query")
    for name, each in zip(names, (spec.stages * spec.shots, spec.queries), strict=True):
        x, y, n = getattr(episode, f"{name}_x"), getattr(episode, f"{name}_y"), spec.ways * each
        _require(
            _is(x, (TASKS, n, *shape)) and x.is_floating_point(),
            f"{name}_x",
            _dtype_and_shape(x),
            f"floats {(TASKS, n, *shape)}",
        )
        if not classes:
            there = isinstance(y, Tensor) and y.shape[:2] == (TASKS, n) and y.is_floating_point()
            _require(there, f"{name}_y", _dtype_and_shape(y), f"floats ({TASKS}, {n}, ...)")
            continue
        _require(_is(y, (TASKS, n)) and y.dtype == torch.long, f"{name}_y", _dtype_and_shape(y), f"int64 {(TASKS, n)}")
        given = [task.unique(return_counts=True) for task in y.cpu()]
        fair = all(a.tolist() == list(range(spec.ways)) and set(b.tolist()) == {each} for a, b in given)
        found = next(dict(zip(a.tolist(), b.tolist(), strict=True)) for a, b in given)
        _require(fair, f"{name}_y", f"how many of each label: {found}", f"{each} of each of 0..{spec.ways - 1}")
    if classes:
        of = episode.classes
        _require(
            _is(of, (TASKS, spec.ways)) and of.dtype == torch.long,
            "classes",
            _dtype_and_shape(of),
            f"int64 {(TASKS, spec.ways)}",
        )
        _require(
            int(of.min()) >= 0 and int(of.max()) < count,
            "classes",
            f"{int(of.min())}..{int(of.max())}",
            f"0..{count - 1}",
        )


def _check_sample(sample: Any) -> None:
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
