"""What is examined otherwise of a learner of policies: it has rewards for labels, and a surrogate for a loss."""

from __future__ import annotations

from dataclasses import replace

import torch

from metagap.algorithms.base import CARRIED, PROGRESS, Params
from metagap.algorithms.policies.learner import Experience, PolicyLearner
from metagap.checking.cases import Case, Subject, distance, nearby, noise
from metagap.checking.findings import Fault, Note, during
from metagap.tasks.episode import Episode

EXACT, CLOSE = 1e-8, 1e-4
"""Differences in float64 that rounding explains, and those of a slope from finite differences."""


def need_steps(subject: Subject) -> None:
    """Raise Note where it acts and adapts, but not by inner steps on rollouts."""
    if subject.algorithm.acts and not isinstance(subject.algorithm, PolicyLearner):
        raise Note("nothing to examine: it takes no inner steps")


def collected(one: Case, fast: Params, task: Episode, step: int) -> Experience | None:
    """The stage that an inner step is made on; None for an algorithm that predicts."""
    if not isinstance(one.algorithm, PolicyLearner):
        return None
    with torch.no_grad(), during(f"collect on {one}"):
        return one.algorithm.collect(fast, one.algorithm.stage(task.support, step))


def references(subject: Subject) -> str:
    """Whether the targets, the returns of random and of the best actions, reach meta_gradient or adaptation."""
    for one in subject.cases():
        task = one.task()
        told = task._replace(support_y=task.support_y + 7, query_y=task.query_y.flip(0) - 7)
        (usual, _), (found, _) = (one.gradient(one.meta, each) for each in (task, told))
        if any(distance(found[name], usual[name]) > EXACT for name in usual):
            raise Fault(
                "the returns of random and of the best actions leak into meta_gradient, which changes with them; they "
                f"are there to score with ({one})"
            )
        if distance(one.outputs(one.meta, told), one.outputs(one.meta, task)) > EXACT:
            raise Fault(f"the returns of random and of the best actions leak into adaptation ({one})")
    return "the returns of random and of the best actions reach neither adaptation nor meta_gradient"


def surrogate(subject: Subject) -> str:
    """Whether what the outer rule descends is the slope of the surrogate, by finite differences of it in float64."""
    learner = subject.algorithm
    if not isinstance(learner, PolicyLearner) or type(learner).meta_gradient is not PolicyLearner.meta_gradient:
        raise Note("not examined: its meta_gradient is of its own, not that of a surrogate")
    first_order, off = getattr(learner, "first_order", False), ""
    for usual in subject.cases():
        for steps in (0, max(1, learner.inner_steps), learner.inner_steps + 1):
            try:
                one = _with_steps(usual, steps)
            except ValueError:
                continue  # a learner may need inner steps
            error = max(_error(one, seed) for seed in (0, 1))
            if error < CLOSE:
                continue
            off = f"off by {error:.1%} in a random direction; {steps} inner steps, {one}"
            if steps == 0 or max(_error(one, seed, sign=-1) for seed in (0, 1)) < CLOSE:
                raise Fault(f"surrogate_gradient is not the derivative of the surrogate ({off})")
            if not first_order and _is_first_order(one):
                raise Fault(
                    f"the meta-gradient is first order, and nothing says so: inner_step is not differentiated ({off}); "
                    "where that is meant, give it a field `first_order`"
                )
    if first_order and not off:
        raise Fault("claims to be first order, but surrogate_gradient has the derivatives of the inner steps")
    if first_order:
        raise Note(f"not the derivative of the surrogate, but as it says, first order ({off})")
    if off:
        raise Note(
            f"its inner steps have another derivative than their values have, as DiCE's do ({off}); hold that to exact "
            "gradients, as tests/algorithms/policies/test_estimators.py does"
        )
    return "the derivative of the surrogate, by finite differences, where rollouts were collected and beside it"


def _with_steps(one: Case, steps: int) -> Case:
    unbound = type(one.unbound)(**{**one.unbound.model_dump(), "inner_steps": steps})
    return replace(one, unbound=unbound).seeded()


def _error(one: Case, seed: int, sign: int = 1) -> float:
    """The relative error of the slope in a random direction; where the rollouts are collected, or moved from there."""
    learner, generator = one.algorithm, torch.Generator().manual_seed(seed)
    assert isinstance(learner, PolicyLearner)
    with torch.no_grad(), during(f"the surrogate on {one}"):
        trials = learner.trials(one.meta, one.task(seed))
        meta = nearby(one.meta, seed) if seed else one.meta
        kept = {name for name in meta if name == PROGRESS or name.startswith(CARRIED)}
        direction = {name: noise(value, generator) * (name not in kept) for name, value in meta.items()}
        gradient, _ = learner.surrogate_gradient(meta, trials)
        slope = sign * sum(float((gradient[name] * direction[name]).sum()) for name in meta)

        def loss(h: float) -> float:
            moved = {name: value + h * direction[name] for name, value in meta.items()}
            return float(learner.surrogate(moved, trials).loss)

        found = [(loss(h) - loss(-h)) / (2 * h) for h in (1e-5, 1e-6, 1e-7)]
    return min(abs(value - slope) / max(abs(value), abs(slope), 1e-2) for value in found)


def _is_first_order(one: Case) -> bool:
    """Whether the gradient is that of the last surrogate at the adapted parameters."""
    learner = one.algorithm
    assert isinstance(learner, PolicyLearner)
    with torch.no_grad(), during(f"the surrogate on {one}"):
        trials = learner.trials(one.meta, one.task())
        found, _ = learner.surrogate_gradient(one.meta, trials)
        first, _ = learner.surrogate_gradient(learner.adapted(one.meta, trials)[0], trials[-1:])
    return all(distance(found[name], first[name]) < EXACT for name in found)
