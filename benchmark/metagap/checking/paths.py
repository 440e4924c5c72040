"""Does every way in which the engine may compute it give the same?"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from metagap.checking.cases import Case, Subject, distance
from metagap.checking.findings import Fault, Note, during
from metagap.engine.evaluate import evaluate
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy, parse
from metagap.suite import Training
from metagap.tasks.episode import Episode

PLANS = {
    "regression": ["loop", "vmap", "loop traced", "vmap traced chunk=2"],
    "control": ["loop", "vmap", "vmap traced chunk=2"],
    "classification": [
        "loop",
        "vmap",
        "loop channels-last",
        "vmap channels-last",
        "vmap gemm",
        "vmap traced",
        "loop channels-last traced recompute",
        "vmap gemm traced chunk=2",
    ],
}
TASKS = 4
TRACED_STEPS = 2
"""Inner steps on the traced paths, at most: tracing takes long, and two of them are a chain like any other."""
CLOSE = 1e-8


def paths(subject: Subject) -> str:
    """Whether meta-gradients and scores agree between the engine's strategies, and with calling it by hand."""
    if subject.random:
        raise Note("not comparable: its random numbers differ from call to call")
    untraced = False
    for whole in subject.cases():
        short = _with_steps(whole, min(whole.unbound.inner_steps, TRACED_STEPS))
        by_hand, short_by_hand, batch_scores = _by_hand(whole), _by_hand(short), None
        for text in PLANS[whole.spec.kind.name] if whole.unbound.mappable else ["loop"]:
            strategy = parse(text, Strategy())
            place = f"the engine path '{text}'"
            one, expected = (whole, by_hand) if strategy.backend == "eager" else (short, short_by_hand)
            if one.unbound.trains:
                found, made = _gradient(one, strategy, place)
                untraced |= made.backend != strategy.backend
                _need_equal(found, expected, place, one)
            if strategy.backend == "eager":
                scores = _scores(one, strategy, place)
                _need_equal({key: value for key, value in scores.items() if key in expected}, expected, place, one)
                batch_scores = batch_scores or scores
                _need_equal(scores, batch_scores, place, one)
    if not subject.algorithm.mappable:
        raise Note("runs task by task and eagerly, which is slower, since it is not `mappable`; that agrees to 1e-8")
    if untraced:
        raise Note("cannot be traced, since it looks at values: it runs more slowly; all paths agree to 1e-8")
    layouts = "vmap, loop and traced" if subject.algorithm.acts else "vmap, loop, traced, channels-last and gemm"
    return f"{layouts} agree to 1e-8"


def _with_steps(one: Case, steps: int) -> Case:
    """This case with another number of inner steps in meta-training."""
    return replace(one, unbound=one.unbound.model_copy(update={"inner_steps": steps})).seeded()


def _by_hand(one: Case) -> dict[str, Tensor]:
    """The gradients (as one vector each) and the scores after adaptation, task by task without the engine."""
    episodes = one.episodes(TASKS)
    tasks = [Episode(*(value[i] for value in episodes)) for i in range(TASKS)]
    outputs = [one.outputs(one.meta, task) for task in tasks]
    outputs = [output[:, : one.spec.ways] for output in outputs]
    pairs = list(zip(outputs, tasks, strict=True))
    found = {
        "query_loss": torch.stack([one.algorithm.loss(output, task.query_y) for output, task in pairs]),
        "query_score": torch.stack([one.algorithm.score(output, task.query_y) for output, task in pairs]),
    }
    if not one.unbound.trains:
        return found
    training = [one.training_task(count=TASKS)] if one.unbound.pooled else tasks
    gradients = [one.gradient(one.meta, task)[0] for task in training]
    mean = {name: torch.stack([g[name] for g in gradients]).mean(0) for name in one.meta if name in gradients[0]}
    return {**found, **_as_gradients(mean)}


def _gradient(one: Case, strategy: Strategy, place: str) -> tuple[dict[str, Tensor], Strategy]:
    with during(f"meta_gradient by {place} on {one}"):
        meta = {name: value.clone() for name, value in one.meta.items()}
        outer = OuterLoop(one.algorithm, meta, Training(iterations=1), strategy)
        torch.manual_seed(0)
        gradient, _ = outer.gradient(one.episodes(TASKS))
    return _as_gradients({name: value for name, value in gradient.items() if name in one.meta}), outer.strategy


def _scores(one: Case, strategy: Strategy, place: str) -> dict[str, Tensor]:
    """After the inner steps of meta-training; once more with each query by itself where that is another thing."""
    steps, found = one.unbound.inner_steps, {}
    for inductive in (False, True):
        how = "one query at a time" if inductive else "all queries at once"
        options = {"inductive": inductive, "last_only": inductive}
        with during(f"scoring {how} by {place} on {one}"):
            scores = evaluate(one.algorithm, one.meta, one.episodes(TASKS), one.spec, steps, strategy, **options)
        found |= {f"{key} ({how})" if inductive else key: value[:, -1] for key, value in scores.items()}
    return found


def _as_gradients(gradient: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scaled to length one altogether, so that small ones are compared as closely as large ones."""
    scale = sum(float(value.square().sum()) for value in gradient.values()) ** 0.5 or 1.0
    return {f"gradient of '{name}'": value / scale for name, value in gradient.items()}


def _need_equal(found: dict[str, Tensor], expected: dict[str, Tensor], place: str, one: Case) -> None:
    for name, value in found.items():
        if distance(value, expected[name]) > CLOSE:
            raise Fault(f"{place} gives another {name} than calling it by hand ({one})")
