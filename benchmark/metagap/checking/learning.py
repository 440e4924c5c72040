"""Does it learn anything? A few hundred outer steps on a toy problem, against the same adaptation untrained."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import torch

from metagap.algorithms.base import Params
from metagap.algorithms.policies.actor import Remembering
from metagap.checking.cases import Case, Subject, case
from metagap.checking.findings import Fault, Note, during
from metagap.engine.evaluate import evaluate
from metagap.engine.policy import outer_loop
from metagap.engine.strategy import Strategy
from metagap.models.conv4 import Conv4
from metagap.models.mlp import MLP
from metagap.suite import Training
from metagap.tasks.episode import TaskSpec

EPISODES = 200
BETTER = 0.6
"""The share of episodes on which it has to be better: by chance it comes to this once in four hundred times."""
SECONDS = 25.0
"""Of the processor, for the outer steps on a toy after the first one, which may take long to trace."""


class Toy(NamedTuple):
    """A problem to learn."""

    name: str
    spec: TaskSpec
    training: Training
    """Fewer outer steps for an algorithm whose outer steps compute several derivatives."""
    strategy: Strategy


TOYS: dict[str, Toy] = {
    "regression": Toy(
        "sinusoids",
        TaskSpec("regression", 1, 10, 10),
        Training(iterations=400, meta_batch=8, lr=0.003, clip=10.0),
        Strategy("vmap", backend="traced"),
    ),
    "classification": Toy(
        "drawn characters",
        TaskSpec("classification", 5, 1, 5),
        Training(iterations=150, meta_batch=8, lr=0.003, clip=10.0),
        Strategy("vmap", backend="traced", chunk=8),
    ),
    "control": Toy(
        "worlds to act in",
        TaskSpec("control", 1, 10, 10),
        Training(iterations=480, meta_batch=10, lr=0.003),
        Strategy("vmap"),
    ),
    "memory": Toy(
        "worlds to remember",
        TaskSpec("control", 1, 10, 10),
        Training(iterations=480, meta_batch=10, lr=0.02),
        Strategy("vmap"),
    ),
}


def learning(subject: Subject) -> str:
    """Whether the query loss after adaptation falls below what `scratch` has, episode by episode."""
    subject.need_training()
    findings, remembers = [], isinstance(subject.algorithm, Remembering)
    for usual in subject.cases(torch.float32):
        better, text = _learn(usual, TOYS["memory" if remembers else usual.spec.kind.name])
        findings.append(text)
        if better:
            return text
    if remembers:
        raise Note(f"cannot tell: a memory takes thousands of outer steps to become of use; {'; '.join(findings)}")
    raise Fault(f"does not learn: {'; '.join(findings)}")


def _learn(usual: Case, toy: Toy) -> tuple[bool, str]:
    one = _problem(usual, toy)
    before = {name: value.clone() for name, value in one.meta.items()}
    iterations = max(1, toy.training.iterations // one.algorithm.passes)
    training = toy.training.model_copy(update={"iterations": iterations})
    outer, until = outer_loop(one.algorithm, one.meta, training, toy.strategy, cores=1), float("inf")
    with during(f"meta-training on {toy.name}"):
        while outer.iteration < iterations and time.process_time() < until:
            outer.step(one.episodes(training.meta_batch, seed=1 + outer.iteration))
            until = min(until, time.process_time() + SECONDS)
            broken = [name for name, value in one.meta.items() if not value.isfinite().all()]
            if broken:
                return False, f"after {outer.iteration} outer steps on {toy.name} '{broken[0]}' is not finite"
    trained, scratch = (_losses(one, meta, toy) for meta in (one.meta, before))
    share = float((trained < scratch).double().mean())
    text = (
        f"after {outer.iteration} outer steps on {toy.name} the median query loss is {float(trained.median()):.3g}, "
        f"that of the same adaptation from scratch {float(scratch.median()):.3g}; better on {share:.0%} of {EPISODES}"
    )
    return share > BETTER, text


def _problem(usual: Case, toy: Toy) -> Case:
    """The toy with a network that can learn it."""
    torch.manual_seed(0)
    shape = usual.tasks.x_shape
    if toy.spec.kind.acts:
        return usual.like(shots=toy.spec.shots, queries=toy.spec.queries)
    network = Conv4(shape, toy.spec.ways, filters=8) if toy.spec.kind.has_ways else MLP(shape, 1)
    return replace(case(usual.unbound, toy.spec.kind.name, torch.float32), network=network, spec=toy.spec).seeded()


def _losses(one: Case, meta: Params, toy: Toy) -> torch.Tensor:
    """The query loss of every episode after adaptation; infinite where it is no number."""
    torch.manual_seed(0)
    strategy = toy.strategy._replace(backend="eager")
    episodes = one.episodes(EPISODES, seed=0)
    scores = evaluate(one.algorithm, meta, episodes, one.spec, one.unbound.inner_steps, strategy, last_only=True)
    return scores["query_loss"][:, -1].nan_to_num(nan=float("inf"))
