"""Does every meta-parameter get a gradient, and is it the derivative that it is taken for?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import grad

from metagap.algorithms.base import CARRIED, PROGRESS, Algorithm, GradientLearner, Params
from metagap.algorithms.maml import MAML
from metagap.checking.cases import Case, Subject, distance, nearby, noise
from metagap.checking.findings import Fault, Note
from metagap.checking.policies import surrogate
from metagap.tasks.episode import Episode

EXACT = (Algorithm.meta_gradient, GradientLearner.meta_gradient, MAML.meta_gradient)
"""The meta-gradients that are the derivative of the query loss for whatever `adapt` and `predict` do."""


def gradients(subject: Subject) -> str:
    """Whether every meta-parameter has a gradient of its own shape that is not zero for no reason."""
    subject.need_training()
    idle: dict[str, str] = {}
    used: set[str] = set()
    for one in subject.cases():
        names = {name for name in one.meta if name != PROGRESS and not name.startswith(CARRIED)}
        tasks = [one.training_task(seed) for seed in range(3)]
        metas = [one.meta, *(nearby(one.meta, seed) for seed in (1, 2))]
        found = [one.gradient(meta, task)[0] for meta in metas for task in tasks]
        _need_all(found[0], one)
        touched = {name: torch.stack([gradient[name] != 0 for gradient in found]).any(0) for name in names}
        moved = {name for name in names if touched[name].any()}
        for name in sorted(names - moved):
            if _matters(name, one, tasks[0]):
                raise Fault(
                    f"the gradient of '{name}' is zero on every task, although the loss depends on it: it never "
                    f"learns; is it detached or forgotten in meta_gradient? ({one})"
                )
            idle[name] = f"{one}"
        for name in sorted(moved):
            if one.unbound.mappable and (count := _neglected(name, ~touched[name], one, tasks[0])):
                raise Fault(
                    f"the gradient of {count} of {touched[name].numel()} values of '{name}' is zero on every task, "
                    f"although support and query loss depend on them: they never learn ({one})"
                )
        used |= moved
    idle = {name: place for name, place in idle.items() if name not in used}
    if not used:
        raise Fault("neither the loss nor the predictions depend on the meta-parameters; is `self.network` called?")
    network = {name for one in subject.cases() for name, _ in one.network.named_parameters()}
    for name, place in idle.items():
        if name not in network:
            raise Fault(f"the meta-parameter '{name}' is forgotten: nothing depends on it ({place})")
    if idle:
        unused = ", ".join(f"'{name}'" for name in sorted(idle))
        raise Note(f"weights of the network that play no part: {unused}; init could leave them out")
    return "every meta-parameter has one of its own shape, and none is zero throughout"


def derivative(subject: Subject) -> str:
    """Whether the meta-gradient is of the order that is claimed, by finite differences of the query loss."""
    subject.need_training()
    if subject.algorithm.pooled:
        raise Note("not examined: it trains on pooled examples, not on the query loss after adaptation")
    if subject.random:
        raise Note("not examined: its random numbers differ from call to call")
    if subject.algorithm.acts:
        return surrogate(subject)
    own, claim, off = subject.algorithm.inner_steps, "exact", ""
    for like in subject.cases():
        for steps in (own, own + 1):
            copied = subject.algorithm.model_copy(update={"inner_steps": steps})
            one = Case(copied, like.network, like.tasks, like.spec, like.dtype).seeded()
            meta = {**one.meta, PROGRESS: torch.tensor(0.5).to(one.dtype)} if PROGRESS in one.meta else one.meta
            error = max(_error(one, meta, one.task(seed), seed) for seed in (0, 1))
            claim = claimed(one.algorithm)
            if error > 1e-4:
                if max(_error(one, meta, one.task(seed), seed, sign=-1) for seed in (0, 1)) < 1e-4:
                    raise Fault(f"meta_gradient points uphill: it is minus the derivative of the query loss ({one})")
                off = f"off by {error:.1%} in a random direction; {steps} inner steps, {one}"
                if claim == "exact":
                    raise _mismatch(one, meta, off)
    if claim == "first-order" and not off:
        raise Fault("claims to be first order, but meta_gradient is the exact derivative, second derivatives included")
    if off:
        what = "as it says, first order" if claim == "first-order" else "of another objective, as `derivative` says"
        raise Note(f"not the derivative of the query loss, but {what} ({off})")
    return f"the derivative of the query loss, by finite differences, with {own} and {own + 1} inner steps"


def claimed(algorithm: Algorithm) -> str:
    """The kind of derivative that an algorithm says its meta-gradient is."""
    return "first-order" if getattr(algorithm, "first_order", False) else algorithm.derivative


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


def _matters(name: str, one: Case, task: Episode) -> bool:
    """Whether the loss or the predictions change with this meta-parameter."""
    generator = torch.Generator().manual_seed(3)
    meta = nearby(one.meta, 1)
    other = {**meta, name: meta[name] + 0.1 * noise(meta[name], generator)}
    losses = [one.gradient(values, task)[1]["loss"] for values in (meta, other)]
    outputs = [one.outputs(values, one.task()) for values in (meta, other)]
    return not (torch.equal(*losses) and torch.equal(*outputs))


def _neglected(name: str, idle: Tensor, one: Case, task: Episode) -> int:
    """How many of the idle values of a meta-parameter have a slope both in the support loss and in the query loss."""
    if not idle.any() or one.unbound.pooled or one.unbound.acts:
        return 0
    fast = one.adapt(nearby(one.meta, 1), task)
    if name not in fast or fast[name].shape != idle.shape:
        return 0

    def loss(value: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return one.algorithm.loss(one.algorithm.predict({**fast, name: value}, x), y)

    sets = ((task.support_x, task.support_y), (task.query_x, task.query_y))
    slopes = [grad(loss)(fast[name], x, y) for x, y in sets]
    return int((idle & (slopes[0] != 0) & (slopes[1] != 0)).sum())


def _error(one: Case, meta: Params, task: Episode, seed: int, sign: int = 1) -> float:
    """The relative error of the slope in a random direction, by the step that suits best; kinks are rarely near."""
    generator = torch.Generator().manual_seed(seed)
    direction = {name: noise(value, generator) * (name != PROGRESS) for name, value in meta.items()}
    gradient, _ = one.gradient(meta, task)
    slope = sign * sum(float((gradient[name] * direction[name]).sum()) for name in meta if name != PROGRESS)

    def loss(h: float) -> float:
        moved = {name: value + h * direction[name] for name, value in meta.items()}
        return float(one.algorithm.loss(one.outputs(moved, task), task.query_y))

    found = [(loss(h) - loss(-h)) / (2 * h) for h in (1e-5, 1e-6, 1e-7)]
    return min(abs(value - slope) / max(abs(value), abs(slope), 1e-2) for value in found)


def _mismatch(one: Case, meta: Params, off: str) -> Fault:
    declare = 'where that is meant, say `derivative = "first-order"` in the class'
    if _is_first_order(one, meta):
        return Fault(
            "meta_gradient is first order, and nothing says so: it is the gradient of the query loss at the adapted "
            f"parameters, without the derivatives of the inner steps ({off}); {declare}"
        )
    if type(one.unbound).meta_gradient in EXACT:
        return Fault(
            f"meta_gradient is the default, yet is not the derivative of the query loss ({off}): something in adapt or "
            f"predict is detached or cannot be differentiated; {declare}"
        )
    return Fault(
        f"meta_gradient is not the derivative of the query loss after adaptation ({off}); where it follows another "
        'objective, say `derivative = "other"` in the class, and where it is first order, "first-order"'
    )


def _is_first_order(one: Case, meta: Params) -> bool:
    """Whether the meta-gradient is the query gradient at the adapted parameters, where both have the same names."""
    if not one.unbound.mappable:
        return False
    task = one.task()
    fast, (found, _) = one.adapt(meta, task), one.gradient(meta, task)

    def loss(fast: Params) -> Tensor:
        return one.algorithm.loss(one.algorithm.predict(fast, task.query_x), task.query_y)

    first = grad(loss)(fast)
    shared = [name for name in found if name in first and first[name].shape == found[name].shape and first[name].any()]
    return bool(shared) and all(distance(found[name], first[name]) < 1e-6 * _size(first[name]) for name in shared)


def _size(value: Tensor) -> float:
    return min(1.0, float(value.abs().max()))
