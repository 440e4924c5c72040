"""Does every meta-parameter get a gradient, and is it the derivative that it is taken for?"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.algorithms.base import PROGRESS, Algorithm, GradientLearner, Params
from benchmark.algorithms.maml import MAML
from benchmark.checking.cases import Case, Subject
from benchmark.checking.findings import Fault, Note
from benchmark.tasks.episode import Episode

EXACT = (Algorithm.meta_gradient, GradientLearner.meta_gradient, MAML.meta_gradient)
"""The meta-gradients that are the derivative of the query loss for whatever `adapt` and `predict` do."""


def gradients(subject: Subject) -> str:
    """Whether every meta-parameter has a gradient of its own shape that is not zero for no reason."""
    subject.need_training()
    idle: dict[str, str] = {}
    used: set[str] = set()
    for one in subject.cases():
        names = set(one.meta) - {PROGRESS}
        tasks = [one.training_task(seed) for seed in range(3)]
        metas = [one.meta, *(_nearby(one.meta, seed) for seed in (1, 2))]
        found = [one.gradient(meta, task)[0] for meta in metas for task in tasks]
        _need_all(found[0], one)
        moved = {name for name in names if any(bool(gradient[name].any()) for gradient in found)}
        for name in sorted(names - moved):
            if _matters(name, one, tasks[0]):
                raise Fault(
                    f"the gradient of '{name}' is zero on every task, although the loss depends on it: it never "
                    f"learns; is it detached or forgotten in meta_gradient? ({one})"
                )
            idle[name] = f"{one}"
        used |= moved
    idle = {name: place for name, place in idle.items() if name not in used}
    network = {name for one in subject.cases() for name, _ in one.network.named_parameters()}
    for name, place in idle.items():
        if name not in network:
            raise Fault(f"the meta-parameter '{name}' is forgotten: nothing depends on it ({place})")
    if idle:
        unused = ", ".join(f"'{name}'" for name in sorted(idle))
        raise Note(f"weights of the network that play no part: {unused}; init could leave them out")
    return "every meta-parameter has one of its own shape, and none is zero throughout"


def derivative(subject: Subject) -> str:
    """Whether the meta-gradient is the derivative of the query loss after adaptation, by finite differences."""
    subject.need_training()
    if subject.algorithm.pooled:
        raise Note("not examined: it trains on pooled examples, not on the query loss after adaptation")
    if subject.random:
        raise Note("not examined: its random numbers differ from call to call")
    own = subject.algorithm.inner_steps
    for like in subject.cases():
        for steps in (own, own + 1):
            copied = subject.algorithm.model_copy(update={"inner_steps": steps})
            one = Case(copied, like.network, like.tasks, like.spec, like.dtype).seeded()
            meta = {**one.meta, PROGRESS: torch.tensor(0.5).to(one.dtype)} if PROGRESS in one.meta else one.meta
            error = max(_error(one, meta, one.task(seed), seed) for seed in (0, 1))
            if error > 1e-4:
                raise _mismatch(subject, error, f"{steps} inner steps, {one}")
    return f"the derivative of the query loss, by finite differences, with {own} and {own + 1} inner steps"


def _need_all(gradient: Params, one: Case) -> None:
    lacking = sorted(set(one.meta) - {PROGRESS} - set(gradient))
    if lacking:
        others = sorted(set(gradient) - set(one.meta))
        instead = f" (it has {', '.join(others)}, which are no meta-parameters)" if others else ""
        raise Fault(f"meta_gradient forgets {', '.join(map(repr, lacking))} on {one}{instead}")
    for name in sorted(set(one.meta) - {PROGRESS}):
        if gradient[name].shape != one.meta[name].shape:
            ours, theirs = tuple(one.meta[name].shape), tuple(gradient[name].shape)
            raise Fault(f"meta_gradient gives '{name}' the shape {theirs}, but it is {ours} ({one})")


def _nearby(meta: Params, seed: int) -> Params:
    """Meta-parameters not far away: a product with a zero has no gradient there by nature, but here."""
    generator = torch.Generator().manual_seed(seed)
    moved = {name: value + _noise(value, generator) * (0.01 + 0.1 * value.abs()) for name, value in meta.items()}
    return {**moved, PROGRESS: torch.full_like(meta[PROGRESS], seed / 2)} if PROGRESS in meta else moved


def _matters(name: str, one: Case, task: Episode) -> bool:
    """Whether the loss or the predictions change with this meta-parameter."""
    generator = torch.Generator().manual_seed(3)
    meta = _nearby(one.meta, 1)
    other = {**meta, name: meta[name] + 0.1 * _noise(meta[name], generator)}
    losses = [one.gradient(values, task)[1]["loss"] for values in (meta, other)]
    outputs = [one.outputs(values, one.task()) for values in (meta, other)]
    return not (torch.equal(*losses) and torch.equal(*outputs))


def _error(one: Case, meta: Params, task: Episode, seed: int) -> float:
    """The relative error of the slope in a random direction, by the step that suits best; kinks are rarely near."""
    generator = torch.Generator().manual_seed(seed)
    direction = {name: _noise(value, generator) * (name != PROGRESS) for name, value in meta.items()}
    gradient, _ = one.gradient(meta, task)
    slope = sum(float((gradient[name] * direction[name]).sum()) for name in meta if name != PROGRESS)

    def loss(h: float) -> float:
        moved = {name: value + h * direction[name] for name, value in meta.items()}
        return float(one.algorithm.loss(one.outputs(moved, task), task.query_y))

    found = [(loss(h) - loss(-h)) / (2 * h) for h in (1e-5, 1e-6, 1e-7)]
    return min(abs(value - slope) / max(abs(value), abs(slope), 1e-2) for value in found)


def _noise(value: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(value.shape, generator=generator, dtype=value.dtype)


def _mismatch(subject: Subject, error: float, place: str) -> Exception:
    what = f"is not the derivative of the query loss (off by {error:.1%} in a random direction; {place})"
    if getattr(subject.algorithm, "first_order", False):
        return Note(f"{what}, as first_order says")
    if type(subject.algorithm).meta_gradient not in EXACT:
        return Note(f"{what}: a first-order approximation or another objective, as it has a meta_gradient of its own")
    return Fault(
        f"meta_gradient is the default, yet {what}: something in adapt or predict is detached or cannot be "
        "differentiated; where that is meant, call it `first_order` in a field, or write meta_gradient"
    )
