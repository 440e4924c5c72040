"""Do the inner steps go down? The slope of the support loss along each step, for every group of parameters."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor
from torch.func import grad

from metagap.algorithms.base import GradientLearner, Params
from metagap.algorithms.policies.learner import PolicyLearner
from metagap.checking.cases import Case, Subject
from metagap.checking.findings import Fault, Note
from metagap.checking.policies import collected, need_steps
from metagap.tasks.episode import Episode

TASKS = 6
STEPS = 3
ALONG = 0.9
"""The cosine with the gradient, or the share of elements that go with it, from which on a step is an ascent."""
NEGLIGIBLE = 1e-10
"""Of the whole gradient: what is rounding."""


def descent(subject: Subject) -> str:
    """Whether some parameters climb the support loss in an inner step on every task."""
    subject.need_instance()
    if not subject.algorithm.mappable:
        raise Note("not examined: it is not `mappable`, so that nothing can be differentiated from outside")
    need_steps(subject)
    moving = False
    for one in subject.cases():
        climbs: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
        signs: dict[str, list[Tensor]] = defaultdict(list)
        for seed in range(TASKS):
            task = one.task(seed)
            path = one.adapt_path(one.meta, task, STEPS)
            for step in range(STEPS):
                for name, (slope, moved) in _slopes(one, path, task, step).items():
                    rising = slope * moved
                    climbs[name, step].append(_ascent(slope, moved, rising))
                    signs[name].append(rising.sign())
        moving |= bool(climbs)
        _judge(climbs, signs, one)
    if not moving:
        raise Note("nothing to examine: it takes no inner steps")
    way = "up the surrogate of its rollouts" if subject.algorithm.acts else "down the support loss"
    return f"every inner step goes {way}, for each group of parameters"


def _slopes(one: Case, path: list[Params], task: Episode, step: int) -> dict[str, tuple[Tensor, Tensor]]:
    """The gradient of the support loss and the step taken, for each tensor that an inner step moves."""
    before, after = path[step], path[step + 1]
    moved = {n: after[n] - v for n, v in before.items() if n in after and after[n].shape == v.shape}
    moved = {name: value for name, value in moved.items() if value.any()}

    stage = collected(one, before, task, step)

    def support_loss(part: Params) -> Tensor:
        if isinstance(one.algorithm, PolicyLearner) and stage is not None:  # what its advantages promise
            return -stage.mean(one.algorithm.ratio({**before, **part}, stage) * stage.advantage)
        return one.algorithm.loss(one.algorithm.predict({**before, **part}, task.support_x), task.support_y)

    slopes = grad(support_loss)({name: before[name] for name in moved}) if moved else {}
    whole = sum(float(value.square().sum()) for value in slopes.values()) ** 0.5
    return {n: (slopes[n], moved[n]) for n in moved if float(slopes[n].norm()) > NEGLIGIBLE * whole}


def _ascent(slope: Tensor, moved: Tensor, rising: Tensor) -> tuple[float, float]:
    """How far a step goes up: its cosine with the gradient, and the share of its elements that have its sign."""
    cosine = float(rising.sum() / (slope.norm() * moved.norm()))
    return cosine, float((rising > 0).sum() / (rising != 0).sum().clamp(min=1))


def _judge(climbs: dict[tuple[str, int], list[tuple[float, float]]], signs: dict[str, list[Tensor]], one: Case) -> None:
    rises = []
    for (name, step), found in climbs.items():
        if len(found) < TASKS:
            continue
        if all(cosine > ALONG or (cosine > 0 and share > ALONG) for cosine, share in found):
            raise Fault(
                f"inner step {step + 1} climbs the support loss in '{name}' on every task, along the gradient instead "
                f"of against it: is a sign wrong? ({one})"
            )
        if all(cosine > 0 for cosine, _ in found):
            rises.append((name, step))
    if isinstance(one.unbound, GradientLearner):
        for name, found in signs.items():
            up, down = (torch.stack([sign == way for sign in found]).sum(0) for way in (1, -1))
            wrong = int((up == TASKS * STEPS).sum())
            # values of their own: where a step mixes them, most go up here and down there
            if wrong and not (up * down).any():
                raise Fault(
                    f"inner steps climb the support loss in {wrong} of {up.numel()} values of '{name}', every one on "
                    f"every task: is a sign wrong there? ({one})"
                )
    if rises:
        name, step = rises[0]
        raise Note(f"inner step {step + 1} climbs the support loss in '{name}' on every task ({one})")
