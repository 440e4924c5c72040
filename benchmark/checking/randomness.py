"""Does a seed decide everything?"""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor

from benchmark.algorithms.base import Params
from benchmark.checking.cases import KINDS, Case, Subject, case, distance
from benchmark.checking.findings import Fault, Note


def seeds(subject: Subject) -> str:
    """Whether init follows its generator, and whether the same call gives the same result."""
    subject.need_instance()
    for kind in KINDS:
        if kind not in subject.unfit:
            _examine_init(case(subject.algorithm, kind))
    for one in subject.cases():
        _examine_calls(one, subject)
    if subject.random:
        raise Note("draws random numbers while it computes, so that an interrupted run does not go on to the last bit")
    return "init follows its generator alone, and equal calls give equal results"


def _examine_init(one: Case) -> None:
    metas = []
    for seed in (1, 2):
        _seed_all(seed)
        before = torch.get_rng_state()
        metas.append(one.seeded(seed=0).meta)
        drawn = not torch.equal(before, torch.get_rng_state())
        if drawn:
            raise Fault(f"init ignores its generator: it draws from torch's global random numbers ({one})")
    differing = _differing(*metas)
    if differing:
        raise Fault(f"init ignores its generator: '{differing}' differs between two calls with the same one ({one})")


def _examine_calls(one: Case, subject: Subject) -> None:
    task, training = one.task(), one.training_task()

    def called(seed: int) -> Params:
        _seed_all(seed)
        with torch.no_grad():
            fast = one.algorithm.adapt(one.meta, task.support, max(1, one.unbound.inner_steps))
            found = {f"adapt: {name}": value for name, value in fast.items()}
            found["predict"] = one.algorithm.predict(fast, task.query_x)
            if one.unbound.trains:
                gradient, metrics = one.algorithm.meta_gradient(one.meta, training)
                found |= {f"meta_gradient: {name}": value for name, value in (gradient | metrics).items()}
        return found

    first, again, other = called(1), called(1), called(2)
    if differing := _differing(first, again):
        raise Fault(f"two equal calls differ ({differing}): something is kept between calls ({one})")
    if _differing(first, other):
        subject.random = True


def _differing(first: Params, second: Params) -> str:
    """The first name whose values differ; empty where none does."""
    for name in sorted(set(first) | set(second)):
        if name not in first or name not in second or not _same(first[name], second[name]):
            return name
    return ""


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and distance(a, b) == 0


def _seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
