"""Does every method give what the contract says, at several forms of tasks and models?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from metagap.algorithms.base import Algorithm
from metagap.checking.cases import Case, Subject, case, distance
from metagap.checking.findings import Fault
from metagap.errors import UserError

TRAINING = {
    "regression": [{"shots": 1, "queries": 2}, {"shots": 5}],
    "classification": [{"shots": 1}, {"shots": 2}],
    "control": [{"shots": 1, "queries": 2}, {"shots": 3}],
}
"""Forms of tasks in meta-training."""
TESTS = {
    "regression": [{"shots": 1}, {"shots": 12, "queries": 3}],
    "classification": [{"ways": 2}, {"ways": 3, "shots": 4}, {"ways": 5, "shots": 1, "queries": 3}],
    "control": [{"shots": 1}, {"shots": 6, "queries": 3}],
}
"""Forms of tasks that one trained otherwise may meet in a test."""


def shapes(subject: Subject) -> str:
    """Whether init, adapt, adapt_path, predict, predict_path and meta_gradient give what they are to give."""
    subject.need_instance()
    faults, refusals = [], []
    for kind in subject.kinds:
        try:
            for one in _cases(subject.algorithm, kind):
                _examine(one)
        except UserError as error:
            subject.unfit[kind] = f"{error}"
            refusals.append(f"refuses {kind} ({error})")
        except Fault as fault:
            subject.unfit[kind] = f"{fault}"
            faults.append(f"{fault}")
    if len(refusals) == len(subject.kinds):
        raise Fault(f"{' and '.join(refusals)}: there is nothing that it can do")
    if faults:
        other = len(faults) < len(subject.kinds)
        hint = "; if it is not meant for these tasks, let it raise a metagap.errors.UserError that says so"
        raise Fault("; ".join(faults) + hint * other)
    done = {
        "regression": "regression (mlp, 1 to 12 shots)",
        "classification": "classification (conv4, mlp, 2 to 5 ways)",
        "navigation": "point navigation (mlp, stages of 1 to 6 rollouts)",
        "bandits": "bandits (the same)",
    }
    fit = [text for kind, text in done.items() if kind in subject.kinds and kind not in subject.unfit]
    return "; ".join([" and ".join(fit), *refusals])


def path(subject: Subject) -> str:
    """Whether `adapt_path` goes where `adapt` goes, and `predict_path` says what `predict` says on its way."""
    steps = 3
    for one in subject.cases():
        task = one.task()
        points = one.adapt_path(one.meta, task, steps)
        outputs = one.predict_path(points, task.query_x)
        for step, (point, output) in enumerate(zip(points, outputs, strict=True)):
            found, direct = (one.predict(fast, task.query_x) for fast in (point, one.adapt(one.meta, task, step)))
            if distance(found, direct) > 1e-8:
                raise Fault(f"after {step} of {steps} steps adapt_path predicts other than adapt ({one})")
            if distance(output, found) > 1e-8:
                raise Fault(f"after {step} of {steps} steps predict_path gives other than predict ({one})")
    return f"adapt_path and adapt, predict_path and predict agree after 0 to {steps} steps"


def _cases(algorithm: Algorithm, kind: str) -> Iterator[Case]:
    yield case(algorithm, kind, torch.float32)
    if kind == "classification":  # images
        yield case(algorithm, kind, torch.float32, plain=True)


def _examine(unseeded: Case) -> None:
    steps = (0, 1, unseeded.unbound.inner_steps + 2)
    trained = [unseeded.like(**form).seeded() for form in TRAINING[unseeded.spec.kind.name]]
    for one in trained:
        _adaptation(one, (0, unseeded.unbound.inner_steps))
        if one.unbound.trains:
            _training(one)
    for form in TESTS[unseeded.spec.kind.name]:
        _adaptation(trained[-1].like(**form), steps)


def _adaptation(one: Case, numbers: tuple[int, ...]) -> None:
    task = one.task()
    for steps in numbers:
        fast = one.adapt(one.meta, task, steps)
        _need_params(fast, f"adapt with {steps} steps on {one}")
        for x, y, which in ((task.query_x, task.query_y, "queries"), (task.support_x, task.support_y, "support set")):
            _need_outputs(one.predict(fast, x), len(y), one, which)
    points = one.adapt_path(one.meta, task, 2)
    _need_three(points, f"adapt_path with 2 steps on {one}")
    for point in points:
        _need_params(point, f"adapt_path on {one}")
    _need_three(one.predict_path(points, task.query_x), f"predict_path of 2 steps on {one}")


def _training(one: Case) -> None:
    result = one.gradient(one.meta, one.training_task())
    place = f"meta_gradient on {one}"
    if not isinstance(result, tuple) or len(result) != 2:
        raise Fault(f"{place} does not give a pair (gradient, metrics) but {type(result).__name__}")
    gradient, metrics = result
    _need_params(gradient, place)
    if not isinstance(metrics, dict) or not {"loss", "score"} <= set(metrics):
        named = f" of {', '.join(metrics)}" if isinstance(metrics, dict) else ""
        raise Fault(f"{place}: the metrics are not a dict with 'loss' and 'score' but {type(metrics).__name__}{named}")
    for name, value in metrics.items():
        if not isinstance(value, Tensor) or value.shape != ():
            raise Fault(f"{place}: the metric '{name}' is not a tensor of shape () but {_form(value)}")


def _need_three(value: Any, place: str) -> None:
    if not isinstance(value, list) or len(value) != 3:
        length = f" of {len(value)}" if hasattr(value, "__len__") else ""
        raise Fault(f"{place} does not give a list of 3 but {type(value).__name__}{length}")


def _need_params(value: Any, place: str) -> None:
    if not isinstance(value, dict):
        raise Fault(f"{place} does not give a dict of named tensors but {type(value).__name__}")
    for name, tensor in value.items():
        if not isinstance(tensor, Tensor):
            raise Fault(f"{place}: '{name}' is not a tensor but {type(tensor).__name__}")


def _need_outputs(outputs: Any, examples: int, one: Case, which: str) -> None:
    ways = one.spec.ways
    has_ways = one.spec.kind.has_ways
    if isinstance(outputs, Tensor) and outputs.ndim == 2 and len(outputs) == examples:
        width = outputs.shape[1]
        if width == ways or (has_ways and width > ways):
            return
    meaning = f"{examples} examples and {f'{ways} ways or more' if has_ways else 'one output'}"
    raise Fault(f"predict on the {which} of {one} gives {_form(outputs)}, not ({examples}, {ways}) for {meaning}")


def _form(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
