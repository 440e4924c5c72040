"""Does a seed decide everything?"""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.checking.cases import Case, Subject, case, distance
from metagap.checking.findings import Fault, Note
from metagap.engine.internals.drawing import draws_elsewhere

SEEDS = (981_501, 981_502)
"""Two that nobody would choose for a generator of their own."""


def seeds(subject: Subject) -> str:
    """Whether init follows its generator, and whether the same call gives the same result."""
    subject.need_instance()
    for kind in subject.kinds:
        if kind not in subject.unfit:
            _examine_init(case(subject.algorithm, kind))
            _examine_seeds(case(subject.algorithm, kind))
    for one in subject.cases():
        _examine_calls(one, subject)
    if subject.random:
        raise Note("draws random numbers while it computes, so that an interrupted run does not go on to the last bit")
    return "init follows its generator alone, two seeds differ, and equal calls give equal results"


def _examine_init(one: Case) -> None:
    metas = []
    for seed in (1, 2):
        seed_all(seed)
        before = states()
        metas.append(one.seeded(seed=0).meta)
        if drawn := [library for library, state in states().items() if state != before[library]]:
            raise Fault(f"init ignores its generator: it draws from {drawn[0]}'s global random numbers ({one})")
    differing = _differing(*metas)
    if differing:
        raise Fault(f"init ignores its generator: '{differing}' differs between two calls with the same one ({one})")


def _examine_seeds(one: Case) -> None:
    """Raise Fault where two seeds, each with a network and a generator of its own, begin alike."""
    networks, metas, foreign = [], [], False
    for seed in SEEDS:
        torch.manual_seed(seed)
        fresh = copy.deepcopy(one.network)
        for module in fresh.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
        networks.append(dict(fresh.named_parameters()))
        with draws_elsewhere(seed) as draws:
            metas.append(replace(one, network=fresh).seeded(seed).meta)
        foreign |= draws.seen
    first, second = metas
    alike = {name for name in first if name in second and _same(first[name], second[name])}
    if alike == set(first):
        raise Fault(f"init gives two seeds the same meta-parameters: several seeds would be one run, repeated ({one})")
    for name in sorted(alike):
        varied = bool((first[name] != first[name].flatten()[0]).any()) if first[name].numel() else False
        of_network = name in networks[0] and not torch.equal(networks[0][name], networks[1][name])
        if varied and (of_network or foreign):
            raise Fault(f"init gives two seeds the same '{name}': it ignores its generator and the network ({one})")


def _examine_calls(one: Case, subject: Subject) -> None:
    task, training = one.task(), one.training_task()

    def called(seed: int, others: int | None = None) -> Params:
        seed_all(seed, others)
        with torch.no_grad():
            fast = one.algorithm.adapt(one.meta, task.support, max(1, one.unbound.inner_steps))
            found = {f"adapt: {name}": value for name, value in fast.items()}
            found["predict"] = one.algorithm.predict(fast, task.query_x)
            if one.unbound.trains:
                gradient, metrics = one.algorithm.meta_gradient(one.meta, training)
                found |= {f"meta_gradient: {name}": value for name, value in (gradient | metrics).items()}
        return found

    first, again = called(1), called(1)
    if differing := _differing(first, again):
        raise Fault(f"two equal calls differ ({differing}): something is kept between calls ({one})")
    kept = states()
    other = called(2)
    if reset := [library for library, state in states().items() if state == kept[library]]:
        raise Fault(f"sets the seed of {reset[0]}'s global random numbers, on which everything else depends ({one})")
    if differing := _differing(first, called(1, others=2)):
        raise Fault(
            f"draws from Python's or NumPy's random numbers ({differing}), which the engine does not keep: a traced "
            f"function has the same ones for ever; draw with torch ({one})"
        )
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


def seed_all(seed: int, others: int | None = None) -> None:
    """others: the seed of what is not torch's, where it is another one."""
    torch.manual_seed(seed)
    random.seed(seed if others is None else others)
    np.random.seed(seed if others is None else others)  # noqa: NPY002


def states() -> dict[str, bytes]:
    """Where the global random numbers are."""
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "Python": repr(random.getstate()).encode(),
        "NumPy": repr(np.random.get_state()).encode(),  # noqa: NPY002
    }
