"""What the result on a task must not depend on: its query labels, the order of its examples, the other tasks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmark.algorithms.base import Params
from benchmark.checking.cases import Case, Subject, alone, distance
from benchmark.checking.findings import Fault, Note
from benchmark.checking.renewal import renewed
from benchmark.engine.mapping import TaskMap
from benchmark.engine.plan import Plan
from benchmark.tasks.episode import Episode

EXACT, CLOSE = 1e-8, 1e-6
"""Differences in float64 that rounding explains: between paths, and after many steps."""


def query_labels(subject: Subject) -> str:
    """Whether predictions change with the query labels that meta_gradient has seen before."""
    subject.need_training()
    for one in subject.cases():
        episodes = one.episodes(2)
        outputs = []
        for seen in (episodes, _relabelled(episodes, one)):
            one.gradient(one.meta, alone(seen.pooled() if one.unbound.pooled else seen))
            outputs.append(one.outputs(one.meta, alone(episodes)))
        if distance(*outputs) > EXACT:
            raise Fault(
                "the query labels leak: predictions for a task change with the query labels that meta_gradient was "
                f"given before, so something keeps them between calls ({one})"
            )
    return "predictions do not change with the query labels that meta_gradient was given"


def support_order(subject: Subject) -> str:
    """Whether predictions change with the order of the support set; a note, for mini-batches may be meant."""
    if subject.random:
        raise Note("not examined: its random numbers differ from call to call")
    for usual in subject.cases():
        one = usual.like(shots=12 if usual.spec.kind == "regression" else 4)
        task, steps = one.task(), one.unbound.inner_steps + 1
        order = torch.randperm(len(task.support_x), generator=torch.Generator().manual_seed(0))
        turned = task._replace(support_x=task.support_x[order], support_y=task.support_y[order])
        if distance(one.outputs(one.meta, turned, steps), one.outputs(one.meta, task, steps)) > CLOSE:
            raise Note(f"depends on the order of the support examples, as mini-batches in turn do ({one})")
    return "predictions do not depend on the order of the support examples"


def other_tasks(subject: Subject) -> str:
    """Whether the result on a task depends on the tasks beside it in the meta-batch, or on those before it."""
    for one in subject.cases():
        episodes = one.episodes(4)
        tasks = [Episode(*(value[i] for value in episodes)) for i in range(4)]
        first = [_results(one, one.meta, task) for task in tasks]
        again = [_results(one, one.meta, task) for task in reversed(tasks)][::-1]
        pairs = list(zip(again, first, strict=True))
        if new := renewed(subject.algorithm):  # which has met no task as yet
            pairs.append((_results(replace(one, unbound=new), one.meta, tasks[0]), first[0]))
        for found, expected in pairs:
            _need_equal(found, expected, "depends on the tasks that were computed before it", one)
        if subject.random or not subject.algorithm.mappable:
            continue
        try:
            together = TaskMap(partial(_results, one), Plan("vmap"))(one.meta, episodes)
        except Exception:
            continue  # the engine paths are another examination
        for i, expected in enumerate(first):
            found = {name: value[i] for name, value in together.items()}
            _need_equal(found, expected, "depends on the other tasks of its meta-batch", one)
    return "a task has the same result alone, beside others and after others"


def _results(one: Case, meta: Params, task: Episode) -> dict[str, Tensor]:
    """Predictions and, where it is of this task, the meta-gradient."""
    if not one.unbound.trains or one.unbound.pooled:
        return {"prediction": one.outputs(meta, task)}
    gradient, metrics = one.gradient(meta, task)
    return {"prediction": one.outputs(meta, task), **{f"gradient of '{k}'": v for k, v in gradient.items()}, **metrics}


def _need_equal(found: dict[str, Tensor], expected: dict[str, Tensor], fault: str, one: Case) -> None:
    for name, value in expected.items():
        if distance(found[name], value) > EXACT:
            raise Fault(f"the result on a task {fault}: its {name} differs ({one})")


def _relabelled(episodes: Episode, one: Case) -> Episode:
    y = episodes.query_y
    return episodes._replace(query_y=1 - y if y.is_floating_point() else (y + 1) % one.spec.ways)
