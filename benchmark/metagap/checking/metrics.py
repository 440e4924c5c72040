"""Does meta_gradient record what its predictions are worth?"""

from __future__ import annotations

from metagap.algorithms.base import Params
from metagap.checking.cases import Case, Subject, nearby
from metagap.checking.findings import Fault, Note
from metagap.tasks.episode import Episode

CLOSE = 1e-6


def metrics(subject: Subject) -> str:
    """Whether `score` and `loss` of meta_gradient are those of the predictions after adaptation."""
    subject.need_training()
    if subject.random:
        raise Note("not examined: its random numbers differ from call to call")
    for one in subject.cases():
        for seed in range(3):
            meta = nearby(one.meta, seed) if seed else one.meta
            task = one.training_task(seed)
            said = {name: float(value) for name, value in one.gradient(meta, task)[1].items()}
            metric = one.spec.kind.metric
            if not metric.worst_score <= said["score"] <= metric.best_score:
                what = f"{'' if metric.higher_is_better else 'minus '}the {metric.label}"
                raise Fault(f"the metric 'score' is {said['score']:.3g}, which cannot be {what} ({one})")
            if not one.unbound.pooled:
                _compare(said, _recomputed(one, task, meta), one)
    if subject.algorithm.pooled:
        raise Note("the metric 'score' is in range; not recomputed, as it is that of pooled examples")
    return "the score of meta_gradient is that of the predictions after adaptation"


def _recomputed(one: Case, task: Episode, meta: Params) -> dict[str, float]:
    output = one.outputs(meta, task)
    within, score = output[:, : one.spec.ways], one.algorithm.score
    found = {"score": float(score(within, task.query_y)), "score of all logits": float(score(output, task.query_y))}
    if one.unbound.derivative != "other":
        found["loss"] = float(one.algorithm.loss(output, task.query_y))
    return found


def _compare(said: dict[str, float], found: dict[str, float], one: Case) -> None:
    scores = [found["score"], found["score of all logits"]]
    if all(_apart(said["score"], value) for value in scores):
        raise Fault(
            f"the metric 'score' of meta_gradient is {said['score']:.3g}, but that of the predictions after adaptation "
            f"is {found['score']:.3g}; self.score(output, y) computes it ({one})"
        )
    if "loss" in found and _apart(said["loss"], found["loss"]):
        raise Fault(
            f"the metric 'loss' of meta_gradient is {said['loss']:.3g}, but the query loss after adaptation is "
            f'{found["loss"]:.3g}; where another loss is meant, say `derivative = "other"` in the class ({one})'
        )


def _apart(a: float, b: float) -> bool:
    return not abs(a - b) <= CLOSE * max(1.0, abs(b))
