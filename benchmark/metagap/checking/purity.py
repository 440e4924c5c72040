"""Are the methods pure: do they leave what they are given as it is?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from metagap.checking.cases import Case, Subject
from metagap.checking.findings import Fault
from metagap.tasks.episode import Episode


def inputs(subject: Subject) -> str:
    """Whether meta-parameters, examples and labels are as before after every method."""
    for one in subject.cases():
        _examine(one)
    return "meta-parameters, examples and labels are the same after every method"


def _examine(one: Case) -> None:
    task, steps = one.task(), max(1, one.unbound.inner_steps)
    path = one.adapt_path(_copies(one.meta), task, steps)
    given = {"meta-parameters": one.meta, "adapted parameters": path[-1], **_named(task)}
    calls: dict[str, Callable[[], Any]] = {
        "adapt": lambda: one.adapt(one.meta, task, steps),
        "adapt_path": lambda: one.adapt_path(one.meta, task, steps),
        "predict": lambda: one.predict(path[-1], task.query_x),
        "predict_path": lambda: one.predict_path(path, task.query_x),
    }
    for method, call in calls.items():
        _need_untouched(method, call, given, one)
    if one.unbound.trains:
        training = one.training_task()
        given = {"meta-parameters": one.meta, **_named(training)}
        _need_untouched("meta_gradient", lambda: one.gradient(one.meta, training), given, one)


def _named(task: Episode) -> dict[str, Tensor]:
    return {name.replace("_", " "): value for name, value in task._asdict().items()}


def _copies(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in values.items()}


def _need_untouched(method: str, call: Callable[[], Any], given: dict[str, Any], one: Case) -> None:
    before: dict[str, Any] = {
        what: _copies(value) if isinstance(value, dict) else value.clone() for what, value in given.items()
    }
    call()
    for what, value in given.items():
        if not isinstance(value, dict):
            changed = [] if _same(value, before[what]) else [""]
        elif set(value) != set(before[what]):
            changed = sorted(set(value) ^ set(before[what]))
        else:
            changed = [name for name in value if not _same(value[name], before[what][name])]
        if changed:
            name = f" '{changed[0]}' of" if changed[0] else ""
            raise Fault(f"{method} changes{name} its {what} in place; make new ones ({one})")


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())
