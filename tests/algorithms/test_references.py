"""Reference learners against scikit-learn on the same episode, and on every kind of input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression as TheirLogistic
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from metagap import registry
from metagap.algorithms.linear_models import LogisticRegression, RidgeRegression
from metagap.algorithms.naive import LastValue, MeanValue
from metagap.algorithms.neighbours import NearestNeighbour
from metagap.algorithms.trees import BoostedTrees
from metagap.engine.evaluate import evaluate
from metagap.engine.strategy import Strategy
from metagap.errors import UserError
from metagap.models.mlp import MLP
from metagap.tasks.episode import Episode, Support, TaskSpec

WAYS, SHOTS, QUERIES, TARGETS = 3, 5, 4, 2
SHAPES = {"vectors": (6,), "series": (2, 9), "images": (1, 5, 5)}
NAMES = ["nearest-neighbour", "ridge-regression", "logistic-regression", "boosted-trees", "mean-value", "last-value"]
KINDS = {
    "classification": TaskSpec("classification", WAYS, SHOTS, QUERIES),
    "regression": TaskSpec("regression", 1, WAYS * SHOTS, WAYS * QUERIES),
}


def episodes(kind: str, shape=(6,), tasks: int = 2) -> Episode:
    """Features of several sizes, of which the first is constant; classes and targets that depend on them."""
    generator = torch.Generator().manual_seed(2)
    n, k = WAYS * SHOTS, WAYS * QUERIES
    x = torch.randn(tasks, n + k, *shape, dtype=torch.float64, generator=generator)
    labels = torch.arange(WAYS).repeat(tasks, SHOTS + QUERIES)
    x = x + labels.view(tasks, -1, *[1] * len(shape)) * torch.rand(tasks, 1, *shape, generator=generator)
    x = x * torch.logspace(-1, 1, x[0, 0].numel(), dtype=torch.float64).view(shape) + 3
    x.flatten(2)[..., 0] = 0.1
    if kind == "classification":
        return Episode(x[:, :n], labels[:, :n], x[:, n:], labels[:, n:], torch.arange(WAYS).repeat(tasks, 1))
    y = torch.stack([x.flatten(2).sum(-1).sin(), x.flatten(2)[..., 1]], -1)
    return Episode(x[:, :n], y[:, :n], x[:, n:], y[:, n:], torch.empty(tasks, 0))


def bound(algorithm, kind: str, shape=(6,)):
    torch.manual_seed(0)
    network = MLP(shape, WAYS, [3]).double()
    found = algorithm.bind(network, KINDS[kind])
    return found, found.init(network, WAYS, torch.Generator())


def compared(algorithm, kind: str, shape=(6,)):
    """What it says of the queries of a task; and support set and queries as scikit-learn takes them."""
    task = Episode(*(field[0] for field in episodes(kind, shape)))
    found, meta = bound(algorithm, kind, shape)
    output = found.predict(found.adapt(meta, task.support, 1), task.query_x)
    return output.numpy(), task.support_x.flatten(1).numpy(), task.support_y.numpy(), task.query_x.flatten(1).numpy()


def standardised(x, queries):
    scaler = StandardScaler().fit(x)
    x, queries = scaler.transform(x), scaler.transform(queries)
    queries[:, np.ptp(x, axis=0) == 0] = 0
    return x, queries


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize(("k", "distance"), [(1, "euclidean"), (4, "euclidean"), (1, "cosine")])
def test_nearest_neighbours(k, distance, standardise, shape):
    algorithm = NearestNeighbour(k=k, distance=distance, standardise=standardise)
    for kind, theirs in (("classification", KNeighborsClassifier), ("regression", KNeighborsRegressor)):
        output, x, y, queries = compared(algorithm, kind, shape)
        x, queries = standardised(x, queries) if standardise else (x, queries)
        fitted = theirs(k, metric=distance).fit(x, y)
        if kind == "regression":
            np.testing.assert_allclose(output, fitted.predict(queries))
            continue
        votes = fitted.predict_proba(queries) * k
        np.testing.assert_allclose(np.ceil(output - 1e-12), votes, atol=1e-12)
        untied = (votes == votes.max(1, keepdims=True)).sum(1) == 1
        np.testing.assert_array_equal(output.argmax(1)[untied], fitted.predict(queries)[untied])
        for row, voted, query in zip(output[~untied], votes[~untied], queries[~untied], strict=True):
            tied = np.flatnonzero(voted == voted.max())
            nearest = [np.linalg.norm(x[y == c] - query, axis=1).min() for c in tied]
            assert row.argmax() == tied[np.argmin(nearest)]


def test_support_examples_that_are_alike_are_one_neighbour_whatever_their_order():
    found, meta = bound(NearestNeighbour(), "regression", (1,))
    x, y = torch.tensor([[1.0], [1.0], [5.0]]), torch.tensor([[0.0], [2.0], [9.0]])
    for order in ([0, 1, 2], [2, 1, 0]):
        fast = found.adapt(meta, Support(x[order], y[order]), 1)
        assert found.predict(fast, torch.tensor([[0.0]])).item() == 1.0


@pytest.mark.parametrize("standardise", [False, True])
def test_ridge_regression(standardise):
    for kind in KINDS:
        output, x, y, queries = compared(RidgeRegression(ridge=0.7, standardise=standardise, scale=3.0), kind)
        x, queries = standardised(x, queries) if standardise else (x, queries)
        y = 3 * np.eye(WAYS)[y] if kind == "classification" else y
        np.testing.assert_allclose(output, Ridge(0.7).fit(x, y).predict(queries), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("ridge", "standardise"), [(1.0, True), (0.01, True), (0.1, False)])
def test_logistic_regression(ridge, standardise, shape):
    output, x, y, queries = compared(LogisticRegression(ridge=ridge, standardise=standardise), "classification", shape)
    x, queries = standardised(x, queries) if standardise else (x, queries)
    theirs = TheirLogistic(C=1 / ridge, solver="newton-cg", tol=1e-10, max_iter=1000).fit(x, y)
    probabilities = torch.from_numpy(output).softmax(-1)
    np.testing.assert_allclose(probabilities, theirs.predict_proba(queries), atol=1e-6)


def test_a_newton_step_that_leads_up_is_shortened():
    """From zero, whole steps diverge here: one example is far from all others."""
    found, meta = bound(LogisticRegression(ridge=1e-4, standardise=False), "classification", (2,))
    rows = [[0.3, 0.5], [-1.7, 0.7], [-0.7, -1.2], [3.3, 2.6], [-11.5, 48.6], [0.3, 0.0]]
    x, y = torch.tensor(rows, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 1])
    fast = found.adapt(meta, Support(x, y), 1)
    theirs = TheirLogistic(C=1e4, solver="newton-cg", tol=1e-10, max_iter=10_000).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(found.predict(fast, x).softmax(-1), theirs, atol=1e-4)


def test_boosted_trees():
    options = {"n_estimators": 9, "learning_rate": 0.2, "max_depth": 1, "random_state": 0}
    algorithm = BoostedTrees(trees=9, learning_rate=0.2, depth=1)
    output, x, y, queries = compared(algorithm, "classification")
    theirs = GradientBoostingClassifier(**options).fit(x, y)
    np.testing.assert_allclose(torch.from_numpy(output).exp(), theirs.predict_proba(queries), atol=1e-9)
    output, x, y, queries = compared(algorithm, "regression")
    theirs = [GradientBoostingRegressor(**options).fit(x, column).predict(queries) for column in y.T]
    np.testing.assert_allclose(output, np.stack(theirs, 1))


def test_boosted_trees_learn_from_five_shots_and_know_a_lone_class():
    found, meta = bound(BoostedTrees(), "classification")
    task = Episode(*(field[0] for field in episodes("classification")))
    x, y = task.support
    assert (found.predict(found.adapt(meta, task.support, 1), x).argmax(1) == y).all()
    alone = found.predict(found.adapt(meta, Support(x, torch.full_like(y, 1)), 1), x)
    assert (alone.softmax(-1)[:, 1] > 0.99).all()


@pytest.mark.parametrize("way", [0, 2])
def test_a_class_without_support_examples_is_the_least_probable(way):
    for name in set(NAMES) - {"last-value"}:
        found, meta = bound(registry.load("algorithm", name)(), "classification", (1,))
        x = torch.tensor([[1.0], [2.0], [1.5], [2.5]], dtype=torch.float64)
        y = torch.tensor([one for one in range(WAYS) if one != way] * 2)
        output = found.predict(found.adapt(meta, Support(x, y), 1), x)
        assert output.isfinite().all(), name
        assert (output.argmin(1) == way).all(), name


def test_mean_value():
    output, x, y, queries = compared(MeanValue(), "regression")
    np.testing.assert_allclose(output, np.broadcast_to(y.mean(0), (len(queries), TARGETS)))
    found, meta = bound(MeanValue(), "classification")
    y = torch.tensor([2, 0, 2, 1])
    x = torch.zeros(4, 6)
    answer = found.predict(found.adapt(meta, Support(x, y), 1), x[:1]).softmax(-1)
    np.testing.assert_allclose(answer, [[2 / 7, 2 / 7, 3 / 7]], rtol=1e-6)
    assert answer.argmax() == DummyClassifier(strategy="prior").fit(x, y).predict(x)[0]


def test_last_value():
    for shape, index in {(6,): (-1,), (2, 9): (-1, -1)}.items():
        output, *_, queries = compared(LastValue(), "regression", shape)
        last = queries.reshape(-1, *shape)[(slice(None), *index)]
        np.testing.assert_allclose(output, np.stack([last] * TARGETS, 1))
    output, *_, queries = compared(LastValue(channel=0), "regression", (2, 9))
    np.testing.assert_allclose(output[:, 0], queries.reshape(-1, 2, 9)[:, 0, -1])
    with pytest.raises(UserError, match="channel = 2: inputs have 2; allowed: -2 to 1"):
        compared(LastValue(channel=2), "regression", (2, 9))


@pytest.mark.parametrize("name", ["last-value", "logistic-regression"])
def test_the_kind_of_task_that_it_is_not_for_is_refused(name):
    kind = "classification" if name == "last-value" else "regression"
    with pytest.raises(UserError, match=f"task.kind = '{kind}'; allowed: "):
        bound(registry.load("algorithm", name)(), kind)


@pytest.mark.parametrize(
    "shape", [SHAPES["series"], *(pytest.param(SHAPES[name], marks=pytest.mark.slow) for name in ("vectors", "images"))]
)
@pytest.mark.parametrize("name", NAMES)
def test_scores_do_not_depend_on_seed_strategy_or_inner_steps(name, shape):
    algorithm, strategies = registry.load("algorithm", name)(), [Strategy("loop"), Strategy("vmap")]
    strategies += [Strategy("vmap", backend="traced")] if shape == SHAPES["series"] else []
    for kind in KINDS:
        try:
            found, meta = bound(algorithm, kind, shape)
        except UserError:
            continue
        other = {name: value + 1 for name, value in meta.items()}
        first, *others = (
            evaluate(found, weights, episodes(kind, shape), KINDS[kind], 2, strategy)
            for strategy in strategies
            for weights in (meta, other)
        )
        assert all(torch.equal(value, value[:, :1].expand_as(value)) for value in first.values())
        assert all(value.isfinite().all() for value in first.values())
        for scores in others:
            for key, value in first.items():
                torch.testing.assert_close(scores[key], value, rtol=1e-7, atol=1e-9)
        alone = evaluate(found, meta, episodes(kind, shape), KINDS[kind], 1, Strategy(), inductive=True)
        torch.testing.assert_close(alone["query_loss"][:, -1], first["query_loss"][:, -1], rtol=1e-7, atol=1e-9)
