"""Learners by comparison and by a head on frozen features, against direct computations in float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from metagap.algorithms.baseline import Baseline, BaselinePlusPlus
from metagap.algorithms.matching import MatchingNet
from metagap.algorithms.protonet import ProtoNet
from metagap.algorithms.r2d2 import R2D2
from metagap.algorithms.relation import RelationNet
from metagap.engine.evaluate import evaluate
from metagap.engine.layouts import in_layout
from metagap.engine.mapping import TaskMap
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy, parse
from metagap.errors import UserError
from metagap.models.conv4 import Conv4
from metagap.models.mlp import MLP
from metagap.suite import Training
from metagap.tasks.episode import Episode, Support, TaskSpec

IMAGES = TaskSpec("classification", 3, 2, 2)
CLASSES = 5
METRIC = {
    "protonet": ProtoNet(),
    "protonet, one batch": ProtoNet(joint_batch=True),
    "matching": MatchingNet(scale=3.0),
    "matching of positive cosines": MatchingNet(scale=3.0, rectify=True),
    "relation": RelationNet(hidden=[6, 4]),
    "relation, mean and cross-entropy": RelationNet(hidden=[6], pooling="mean", objective="cross-entropy"),
    "r2d2": R2D2(ridge=0.2, scale=3.0),
    "r2d2 of the paper's equations": R2D2(ridge=0.7, scale=3.0, learn_ridge=True, per_example=False, intercept=False),
    "r2d2, one batch": R2D2(ridge=0.2, scale=3.0, joint_batch=True),
}
HEADS = {"baseline": Baseline(inner_lr=0.1), "baseline++": BaselinePlusPlus(inner_lr=0.1, scale=3.0)}
ALL = METRIC | HEADS
VARIANTS = {"protonet, one batch", "matching of positive cosines", "r2d2 of the paper's equations"}
"""Of the same operations as others, which is all that a strategy can see."""


def episodes(spec: TaskSpec = IMAGES, tasks: int = 3) -> Episode:
    generator = torch.Generator().manual_seed(1)
    n, k = spec.ways * spec.shots, spec.ways * spec.queries
    x = torch.randn(tasks, n + k, 2, 12, 12, dtype=torch.float64, generator=generator)
    x[:, :, 0, :6] += torch.arange(spec.ways).repeat(spec.shots + spec.queries)[:, None, None]  # something to learn
    y = [torch.arange(spec.ways).repeat(tasks, times) for times in (spec.shots, spec.queries)]
    classes = torch.rand(tasks, CLASSES, generator=generator).argsort(1)[:, : spec.ways]
    return Episode(x[:, :n], y[0], x[:, n:], y[1], classes)


def one_task(spec: TaskSpec = IMAGES) -> Episode:
    return Episode(*(field[0] for field in episodes(spec, 1)))


def ready(algorithm, spec=IMAGES, model="conv4"):
    """The algorithm, bound to a small network, and its meta-parameters, every one of them of some size."""
    torch.manual_seed(0)
    network = (Conv4((2, 12, 12), 3, filters=4) if model == "conv4" else MLP((2, 12, 12), 3, [9, 7])).double()
    bound = algorithm.bind(network, spec)
    meta = bound.init(network, CLASSES, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(4)
    noise = {name: torch.randn(value.shape, generator=generator) for name, value in meta.items()}
    return bound, {name: (value + 0.1 * noise[name]).double() for name, value in meta.items()}


def numpy_features(bound, meta, task):
    if bound.joins_support:
        both = bound.features(meta, torch.cat([task.support_x, task.query_x])).numpy()
        return np.split(both, [len(task.support_x)])
    return bound.features(meta, task.support_x).numpy(), bound.features(meta, task.query_x).numpy()


def predictions(bound, meta, task, steps=1):
    return bound.predict(bound.adapt(meta, task.support, steps), task.query_x)


@pytest.mark.parametrize("model", ["conv4", "mlp"])
@pytest.mark.parametrize("name", ["protonet", "protonet, one batch"])
def test_protonet_is_the_nearest_class_mean(name, model):
    bound, meta = ready(METRIC[name], model=model)
    task = one_task()
    support, query = numpy_features(bound, meta, task)
    expected = np.empty((len(query), 3))
    for label in range(3):
        prototype = support[task.support_y.numpy() == label].mean(0)
        expected[:, label] = [-((q - prototype) ** 2).sum() for q in query]
    np.testing.assert_allclose(predictions(bound, meta, task), expected, rtol=1e-12)


@pytest.mark.parametrize("model", ["conv4", "mlp"])
@pytest.mark.parametrize(("scale", "rectify"), [(1.0, False), (30.0, False), (1.0, True), (100.0, True)])
def test_matching_sums_the_attention_to_a_class(scale, rectify, model):
    bound, meta = ready(MatchingNet(scale=scale, rectify=rectify), model=model)
    task = one_task()
    support, query = numpy_features(bound, meta, task)
    expected = np.zeros((len(query), 3))
    for i, q in enumerate(query):
        cosine = np.array([q @ s / max(np.linalg.norm(q) * np.linalg.norm(s), 1e-12) for s in support])  # 0 for zeros
        cosine = np.maximum(cosine, 0) if rectify else cosine
        attention = np.exp(scale * cosine) / np.exp(scale * cosine).sum()
        np.add.at(expected[i], task.support_y.numpy(), attention)
    np.testing.assert_allclose(predictions(bound, meta, task).exp(), expected, rtol=1e-10)


def test_matching_stays_finite_where_attention_vanishes():
    bound, meta = ready(MatchingNet(scale=1e5))
    assert predictions(bound, meta, one_task()).isfinite().all()
    gradient, _ = bound.meta_gradient(meta, one_task())
    assert all(value.isfinite().all() for value in gradient.values())


@pytest.mark.parametrize("shots", [1, 4])
def test_r2d2_of_the_papers_equations(shots):
    spec = IMAGES._replace(shots=shots)  # fewer examples than features, and more
    bound, meta = ready(METRIC["r2d2 of the paper's equations"], spec)
    task = one_task(spec)
    support, query = numpy_features(bound, meta, task)
    ridge = meta["ridge/log_lambda"].exp().item() * np.eye(support.shape[1])
    weight = np.linalg.solve(support.T @ support + ridge, support.T @ np.eye(3)[task.support_y])
    expected = meta["ridge/scale"].item() * query @ weight + meta["ridge/bias"].item()
    np.testing.assert_allclose(predictions(bound, meta, task), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", ["conv4", "mlp"])
@pytest.mark.parametrize("shots", [1, 4])
@pytest.mark.parametrize("name", ["r2d2", "r2d2, one batch"])
def test_r2d2_of_the_authors_code(name, shots, model):
    """A column of ones; features and labels divided by the root of their number; lambda as it is written."""
    spec = IMAGES._replace(shots=shots)
    bound, meta = ready(METRIC[name], spec, model)
    task = one_task(spec)
    support, query = numpy_features(bound, meta, task)
    root = np.sqrt(3 * shots)
    x, y = np.hstack([support, np.ones((3 * shots, 1))]) / root, np.eye(3)[task.support_y] / root
    # Least squares with a row of root lambda for every weight: minimises |x w - y|^2 + lambda |w|^2.
    penalty = np.sqrt(0.2) * np.eye(x.shape[1])
    weight = np.linalg.lstsq(np.vstack([x, penalty]), np.vstack([y, np.zeros((len(penalty), 3))]), rcond=None)[0]
    expected = meta["ridge/scale"].item() * (query @ weight[:-1] + weight[-1]) + meta["ridge/bias"].item()
    np.testing.assert_allclose(predictions(bound, meta, task), expected, rtol=1e-9, atol=1e-12)


def test_r2d2_starts_where_its_fields_say():
    bound, _ = ready(R2D2(learn_ridge=True))
    meta = bound.init(bound.network, CLASSES, torch.Generator())
    values = [meta["ridge/log_lambda"].exp(), meta["ridge/scale"], meta["ridge/bias"]]
    torch.testing.assert_close(torch.stack(values), torch.tensor([50.0, 10.0, 0.0]))
    bound, _ = ready(R2D2())
    learned = set(bound.init(bound.network, CLASSES, torch.Generator())) - set(dict(bound.network.named_parameters()))
    assert learned == {"ridge/scale", "ridge/bias"}


@pytest.mark.parametrize("pooling", ["sum", "mean"])
def test_relation_module_is_a_plain_one_on_pairs(pooling):
    bound, meta = ready(RelationNet(hidden=[6, 4], pooling=pooling))
    task = one_task()
    module = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())
    weights = {name.removeprefix("relation/"): value for name, value in meta.items() if name.startswith("relation/")}
    module.double().load_state_dict({f"{2 * int(name[0])}{name[1:]}": value for name, value in weights.items()})
    support, query = bound.features(meta, task.support_x), bound.features(meta, task.query_x)
    classes = [getattr(support[task.support_y == label], pooling)(0) for label in range(3)]
    scores = torch.stack([torch.stack([module(torch.cat([c, q]))[0] for c in classes]) for q in query])
    output = predictions(bound, meta, task)
    torch.testing.assert_close(output.sigmoid(), scores, rtol=1e-12, atol=0)
    target = torch.eye(3, dtype=torch.float64)[task.query_y]
    torch.testing.assert_close(bound.loss(output, task.query_y), ((scores - target) ** 2).mean())


@pytest.mark.parametrize("model", ["conv4", "mlp"])
@pytest.mark.parametrize("name", METRIC)
def test_meta_gradients_agree_with_finite_differences(name, model):
    bound, meta = ready(METRIC[name], model=model)
    task = one_task()
    gradient, metrics = bound.meta_gradient(meta, task)

    def loss(meta):
        return bound.loss(predictions(bound, meta, task), task.query_y)

    torch.testing.assert_close(metrics["loss"], loss(meta))
    used = [key for key in meta if not key.startswith("head.") and key != "ridge/bias"]  # the softmax ignores that bias
    assert all(gradient[key].any() for key in used)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        direction = {key: torch.randn(v.shape, dtype=v.dtype, generator=generator) for key, v in meta.items()}
        h = 1e-6
        ahead, behind = (loss({key: v + sign * h * direction[key] for key, v in meta.items()}) for sign in (1, -1))
        slope = sum((gradient[key] * direction[key]).sum() for key in meta)
        torch.testing.assert_close((ahead - behind) / (2 * h), slope, rtol=1e-5, atol=1e-8)


def test_the_converged_head_is_logistic_regression():
    decay, spec = 0.05, IMAGES._replace(shots=6)
    bound, meta = ready(Baseline(inner_lr=0.5, dampening=0.0, weight_decay=decay), spec, "mlp")
    task = one_task(spec)
    support, query = numpy_features(bound, meta, task)
    # The head's bias decays as its weights do: to scikit-learn it is the weight of a further feature.
    support, query = (np.hstack([z, np.ones((len(z), 1))]) for z in (support, query))
    reference = LogisticRegression(C=1 / (len(support) * decay), fit_intercept=False, tol=1e-12, max_iter=10_000)
    reference.fit(support, task.support_y)
    fast = bound.adapt(meta, task.support, 1500)
    head = torch.hstack([fast["head.weight"], fast["head.bias"][:, None]])
    np.testing.assert_allclose(head, reference.coef_, atol=1e-5)
    probabilities = bound.predict(fast, task.query_x).softmax(-1)
    np.testing.assert_allclose(probabilities, reference.predict_proba(query), atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_the_head_takes_the_steps_of_torch(name):
    bound, meta = ready(HEADS[name])
    task = one_task()
    z = bound.features(meta, task.support_x)
    head = {key: nn.Parameter(value.clone()) for key, value in bound.new_head(meta, z).items()}
    settings = {key: getattr(bound, key) for key in ("momentum", "dampening", "weight_decay")}
    optimizer = torch.optim.SGD(head.values(), lr=bound.inner_lr, **settings)
    path = bound.adapt_path(meta, task.support, 5)
    for fast in path[1:]:
        optimizer.zero_grad()
        F.cross_entropy(bound.classify(head, z), task.support_y).backward()
        optimizer.step()
        for key, value in head.items():
            torch.testing.assert_close(fast[key], value.detach(), rtol=1e-10, atol=1e-14)
    assert all(torch.equal(fast[key], meta[key]) for fast in path for key in meta if key not in head)


@pytest.mark.parametrize("name", HEADS)
def test_a_new_head_has_no_preference_and_learns(name):
    bound, meta = ready(HEADS[name])
    task = one_task()
    path = bound.adapt_path(meta, task.support, 20)
    torch.testing.assert_close(path[0]["head.weight"].std(0), torch.zeros(4, dtype=torch.float64))
    before, after = (bound.support_loss(fast, task.support) for fast in (path[0], path[-1]))
    torch.testing.assert_close(before, torch.tensor(3.0, dtype=torch.float64).log())
    assert after < before


def test_baseline_plus_plus_gives_scaled_cosines():
    bound, meta = ready(HEADS["baseline++"])
    task = one_task()
    for params in (meta, bound.adapt(meta, task.support, 3)):  # the pooled head, and a task's
        z = bound.features(params, task.query_x)
        cosine = F.cosine_similarity(z[:, None], params["head.weight"][None], dim=-1)
        torch.testing.assert_close(bound.predict(params, task.query_x), 3.0 * cosine)


@pytest.mark.parametrize("name", HEADS)
def test_pooled_training_is_an_ordinary_step_of_one_classifier(name):
    bound, meta = ready(HEADS[name])
    batch = episodes()
    gradient, metrics = OuterLoop(bound, meta, Training(iterations=1), Strategy("vmap")).gradient(batch)
    network = copy.deepcopy(bound.network)
    network.head = nn.Linear(4, CLASSES).double()
    network.load_state_dict(meta)
    x = torch.cat([batch.support_x, batch.query_x], 1).flatten(0, 1)
    labels = torch.cat([classes[batch.support_y[0]].repeat(2) for classes in batch.classes])
    if name == "baseline":
        logits = network(x)
    else:
        logits = 3 * F.cosine_similarity(network.features(x)[:, None], network.head.weight[None], dim=-1)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    torch.testing.assert_close(metrics["loss"], loss.detach())
    for key, parameter in network.named_parameters():
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(gradient[key], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_order_of_support_examples_is_of_no_effect(name):
    bound, meta = ready(ALL[name])
    task = one_task()
    order = torch.tensor([3, 5, 0, 2, 4, 1])
    shuffled = bound.adapt(meta, Support(task.support_x[order], task.support_y[order]), 3)
    there = bound.predict(shuffled, task.query_x)
    torch.testing.assert_close(there, predictions(bound, meta, task, 3), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", ALL)
def test_query_labels_decide_the_query_scores_alone(name):
    bound, meta = ready(ALL[name])
    batch = episodes()
    first, second = (
        evaluate(bound, meta, some, IMAGES, 2, Strategy("loop"))
        for some in (batch, batch._replace(query_y=batch.query_y.roll(1, 1)))
    )
    for key in ("support_loss", "support_score"):
        assert torch.equal(first[key], second[key])
    for i in range(3):
        task = Episode(*(field[i] for field in batch))
        for labels, scores in ((task.query_y, first), (task.query_y.roll(1), second)):
            loss = bound.loss(predictions(bound, meta, task, 2), labels)
            torch.testing.assert_close(scores["query_loss"][i, -1], loss)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * ("," in name)) for name in ALL if name not in VARIANTS],
)
def test_every_plan_computes_the_same(name):
    bound, meta = ready(ALL[name])
    batch = episodes(tasks=2)

    def results(strategy):
        step = TaskMap(in_layout(bound, strategy.layout).meta_gradient, strategy, mean=True)
        found = evaluate(bound, meta, batch, IMAGES, 1, strategy)
        if name in METRIC:
            found |= step(meta, batch)[0]
            assert step.strategy == strategy  # nothing was given up
        return found

    expected = results(Strategy("vmap"))
    for strategy in ("loop", "vmap traced", "loop channels-last traced recompute"):
        for key, value in results(parse(strategy, Strategy())).items():
            torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ALL)
def test_inductive_evaluation_sees_one_query_at_a_time(name):
    bound, meta = ready(ALL[name])
    task = one_task()
    batch = Episode(*(field[None] for field in task))
    scores = evaluate(bound, meta, batch, IMAGES, 1, Strategy("vmap"), inductive=True, last_only=True)
    fast = bound.adapt(meta, task.support, 1)
    before = task.support_x[:0] if bound.joins_support else task.support_x  # which it joins by itself
    output = torch.stack([bound.predict(fast, torch.cat([before, x[None]]))[-1] for x in task.query_x])
    torch.testing.assert_close(scores["query_loss"][0, 0], bound.loss(output, task.query_y))


@pytest.mark.parametrize("name", ALL)
def test_other_ways_and_shots_at_test(name):
    trained, meta = ready(ALL[name])
    spec = TaskSpec("classification", 4, 3, 2)
    bound, task = trained.bind(trained.network, spec), one_task(spec)
    path = bound.adapt_path(meta, task.support, 2)
    assert len(path) == 3
    for steps, fast in enumerate(path):
        output = bound.predict(fast, task.query_x)
        assert output.shape == (8, 4)
        assert output.isfinite().all()
        torch.testing.assert_close(output, predictions(bound, meta, task, steps))


@pytest.mark.parametrize("name", METRIC)
def test_inner_steps_are_of_no_effect_on_what_has_none(name):
    bound, meta = ready(METRIC[name])
    assert torch.equal(predictions(bound, meta, one_task(), 0), predictions(bound, meta, one_task(), 5))


@pytest.mark.parametrize("name", ALL)
def test_regression_is_refused(name):
    with pytest.raises(UserError, match=r"task\.kind = 'regression'; allowed: 'classification'"):
        ALL[name].bind(MLP((1,), 1), TaskSpec("regression", 1, 5, 5))
