"""What the prediction for a query must not depend on: its place in the batch, and the other queries."""

from __future__ import annotations

import torch
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.checking.cases import Case, Subject, case, distance, nearby
from metagap.checking.findings import Fault, Note

EXACT = 1e-8
FORMS = {
    "regression": [{}, {"queries": 30}],
    "classification": [{}, {"shots": 1, "queries": 15}],
    "control": [{}, {"queries": 12}],
}
"""Few queries and many."""


def query_order(subject: Subject) -> str:
    """Whether the same queries in another order have the same predictions, and give the same meta-gradient."""
    for usual in subject.cases():
        for form in FORMS[usual.spec.kind.name]:
            one = usual.like(**form)
            task, path = one.task(), _path(one)
            for order in _orders(len(task.query_x)):
                found = one.predict_path(path, task.query_x[order])
                expected = [output[order] for output in one.predict_path(path, task.query_x)]
                if _differ(found, expected):
                    _need_certain(one, path, task.query_x)
                    subject.places = True
                    raise Fault(
                        "predictions go by the place of a query: the same queries in another order have others, "
                        f"although places say nothing about classes ({one})"
                    )
    if not subject.algorithm.trains or subject.algorithm.pooled or subject.random:
        return "predictions do not depend on the order of the queries"
    for one in subject.cases():
        task = one.task()
        order = _orders(len(task.query_x))[0]
        turned = task._replace(query_x=task.query_x[order], query_y=task.query_y[order])
        found, expected = (one.gradient(nearby(one.meta, 1), episode)[0] for episode in (turned, task))
        if any(distance(found[name], expected[name]) > EXACT for name in expected):
            raise Note(f"the meta-gradient depends on the order of the queries, which is random ({one})")
    return "predictions and meta-gradients do not depend on the order of the queries"


def query_batch(subject: Subject) -> str:
    """Whether a query alone has the prediction that it has among others, with a network that has no batch norm."""
    subject.need_instance()
    if subject.places:
        raise Note("not examined: its predictions go by the places of the queries")
    says = subject.algorithm.transductive
    for kind in subject.kinds:
        if kind in subject.unfit:
            continue
        usual = case(subject.algorithm, kind, plain=True).seeded()
        for form in FORMS[usual.spec.kind.name]:
            one = usual.like(**form)
            if others := _others(one):
                if says:
                    raise Note(f"predictions depend on {others}, as `transductive` says")
                _need_certain(one, _path(one), one.task().query_x)
                raise Fault(
                    f"predictions depend on {others}, although the network has no batch norm: queries tell about each "
                    "other, as a balanced query set does; predict each by itself, or say `transductive = True` in the "
                    f"class ({one})"
                )
    if says:
        raise Note("says `transductive`, yet a query alone has the same prediction as among others")
    return "a query alone has the same prediction as among others, but for batch norm in the network"


def _others(one: Case) -> str:
    """What of the batch changes the prediction for a query; empty where nothing does."""
    task, path = one.task(), _path(one)
    x, n = task.query_x, len(task.query_x)
    whole = one.predict_path(path, x)
    half = one.predict_path(path, x[: n // 2])
    if _differ(half, [output[: n // 2] for output in whole]):
        return "the other queries of the batch"
    for i in (0, n // 2, n - 1):
        expected = [output[i : i + 1] for output in whole]
        if _differ(one.predict_path(path, x[i : i + 1]), expected):
            return "the other queries of the batch"
        shown = one.predict_path(path, torch.cat([task.support_x, x[i : i + 1]]))
        if _differ([output[-1:] for output in shown], expected):
            return "what else is predicted with it"
    return ""


def _need_certain(one: Case, path: list[Params], x: Tensor) -> None:
    """Raise Note where predictions are random, so that others say nothing."""
    outputs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        outputs.append(one.predict_path(path, x))
    if _differ(*outputs):
        raise Note(f"not examined: predictions of the same parameters are random ({one})")


def _path(one: Case) -> list[Params]:
    """Adapted parameters after 0, 1 and 2 inner steps from meta-parameters that are nowhere zero by design."""
    return one.adapt_path(nearby(one.meta, 1), one.task(), 2)


def _orders(n: int) -> list[Tensor]:
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    return [shuffled, torch.arange(n).flip(0), torch.arange(n).roll(1)]


def _differ(found: list[Tensor], expected: list[Tensor]) -> bool:
    return any(a.shape != b.shape or distance(a, b) > EXACT for a, b in zip(found, expected, strict=True))
