"""What the result on a task must not depend on: its query labels, the order of its examples, the other tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.checking.cases import Case, Subject, alone, distance, nearby
from metagap.checking.findings import Fault, Note, during
from metagap.checking.policies import references
from metagap.checking.renewal import renewed
from metagap.engine.internals.wrapping import bare
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy
from metagap.tasks.episode import Episode

EXACT, CLOSE = 1e-8, 1e-6
"""Differences in float64 that rounding explains: between paths, and after many steps."""


def query_labels(subject: Subject) -> str:
    """Whether query labels reach adaptation in meta_gradient, or predictions after it."""
    subject.need_training()
    if subject.algorithm.acts:
        return references(subject)
    for one in subject.cases():
        if not one.unbound.pooled:
            _need_apart(one)
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
    return "in meta_gradient adaptation knows no queries, and predictions do not change with the labels it was given"


def support_order(subject: Subject) -> str:
    """Whether predictions change with the order of the support set; a note, as it may be meant."""
    if subject.random:
        raise Note("not examined: its random numbers differ from call to call")
    for usual in subject.cases():
        one = usual.like(shots=4 if usual.spec.kind.has_ways else 12)
        task, steps = one.task(), one.unbound.inner_steps + 1
        order = torch.randperm(one.spec.support, generator=torch.Generator().manual_seed(0))
        # The stages of one that acts stay in their order.
        stages = torch.arange(len(task.support_x)).view(-1, one.spec.support)
        turned = _in_order(task, stages[:, order].flatten())
        if distance(one.outputs(one.meta, turned, steps), one.outputs(one.meta, task, steps)) > CLOSE:
            examples = "rollouts, as memories do" if subject.algorithm.acts else "examples, as mini-batches in turn do"
            raise Note(f"depends on the order of the support {examples} ({one})")
    return "predictions do not depend on the order of the support examples"


def _need_apart(one: Case) -> None:
    """Raise Fault where queries or their labels decide what meta_gradient predicts the queries with."""
    task = one.task()
    usual, (relabelled,) = _first_prediction(one, task), _tasks(_relabelled(_batched(task), one))
    for method, (fast, output) in _first_prediction(one, relabelled).items():
        if method in usual and (_differ(fast, usual[method][0]) or distance(output, usual[method][1]) > EXACT):
            raise Fault(
                "the query labels leak into adaptation: in meta_gradient, what the queries are predicted with changes "
                f"with their labels; adapt to `episode.support` alone ({one})"
            )
    if one.unbound.transductive:
        return
    other = task._replace(query_x=task.query_x.flip(0) * 0.9 + 0.01)
    for method, (fast, _) in _first_prediction(one, other).items():
        if method in usual and _differ(fast, usual[method][0]):
            raise Fault(
                "the queries leak into adaptation: in meta_gradient, what they are predicted with changes with them; "
                f"adapt to `episode.support` alone ({one})"
            )


def _first_prediction(one: Case, task: Episode) -> dict[str, tuple[Params, Tensor]]:
    """The parameters and the outcome of the first call of each method of prediction on the queries in meta_gradient."""
    bound, seen = one.unbound.bind(one.network, one.spec), {}

    def watched(method: str, given: int) -> Callable[..., Any]:
        plain = getattr(bound, method)

        def call(*arguments: Any) -> Any:
            result = plain(*arguments)
            x = bare(arguments[-1])
            if method not in seen and x.shape == task.query_x.shape and torch.equal(x, task.query_x):
                fast, output = arguments[given], result
                if method == "predict_path":
                    fast, output = fast[-1], output[-1]
                seen[method] = {name: bare(value) for name, value in fast.items()}, bare(output)
            return result

        return call

    methods = {"predict": 0, "predict_path": 0, "_call": 1}
    vars(bound).update({method: watched(method, given) for method, given in methods.items()})
    torch.manual_seed(0)
    with torch.no_grad(), during(f"meta_gradient on {one}"):
        bound.meta_gradient(one.meta, task)
    return seen


def support_labels(subject: Subject) -> str:
    """Whether predictions follow the labels of the support set, and not the places of its examples."""
    subject.need_labels()
    unused = ""
    for usual in subject.cases():
        one = usual.like(shots=4 if usual.spec.kind.has_ways else 12)
        (task,), steps, meta = _tasks(one.episodes(1)), one.unbound.inner_steps + 1, nearby(one.meta, 1)
        whole = one.outputs(meta, task, steps)[:, : one.spec.ways]
        y, order = task.support_y, torch.arange(len(task.support_x))
        if one.spec.kind.has_ways:
            grid, columns = order.view(-1, one.spec.ways), torch.arange(one.spec.ways).roll(1)
            # the same classes at every place, but other examples of them; and other classes
            alike, moved = (
                one.outputs(meta, _in_order(task, index.flatten()), steps)[:, : one.spec.ways]
                for index in (grid.roll(1, 0), grid.roll(1, 1))
            )
            swapped = (moved - whole[:, columns]).norm() < 0.5 * (moved - whole).norm()
            by_class = distance(moved, whole) > CLOSE > distance(alike, whole)
            if not subject.random and (swapped or by_class):
                raise Fault(
                    "takes the place of a support example for its class: with the same examples and labels in another "
                    f"order, its predictions change as if classes had changed places ({one})"
                )
        other = task._replace(support_y=1 - y if y.is_floating_point() else (y + 1) % one.spec.ways)
        if not subject.random and distance(one.outputs(meta, other, steps)[:, : one.spec.ways], whole) == 0:
            unused = f"{one}"
    if unused:
        raise Note(
            f"predictions do not depend on the labels of the support set: nothing is learned from them ({unused})"
        )
    return "predictions follow the labels of the support set, whatever the places of its examples"


def other_tasks(subject: Subject) -> str:
    """Whether the result on a task depends on the other tasks of the meta-batch, or on those before it."""
    for one in subject.cases():
        episodes = one.episodes(4)
        tasks = _tasks(episodes)
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
            together = TaskMap(partial(_results, one), Strategy("vmap"))(one.meta, episodes)
        except Exception:
            continue  # the engine paths are another examination
        for i, expected in enumerate(first):
            found = {name: value[i] for name, value in together.items()}
            _need_equal(found, expected, "depends on the other tasks of its meta-batch", one)
    return "a task has the same result alone, among others and after others"


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


def _tasks(episodes: Episode) -> list[Episode]:
    return [Episode(*values) for values in zip(*episodes, strict=True)]


def _in_order(task: Episode, order: Tensor) -> Episode:
    """The task with its support examples in another order, each with its label."""
    return task._replace(support_x=task.support_x[order], support_y=task.support_y[order])


def _batched(task: Episode) -> Episode:
    """One task as a batch of one."""
    return Episode(*(value[None] for value in task))


def _differ(found: Params, expected: Params) -> bool:
    return set(found) != set(expected) or any(distance(found[name], expected[name]) > EXACT for name in expected)
