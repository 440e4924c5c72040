"""Ridge regression towards a learned head and the Bayes predictor, and whatever else is affine on linear tasks."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as TheirRidge

from metagap import registry
from metagap.algorithms.bayes import Bayes
from metagap.algorithms.ridge import LOG_LAMBDA, Ridge
from metagap.engine.evaluate import evaluate
from metagap.engine.strategy import Strategy
from metagap.errors import UserError
from metagap.models.linear import Linear as LinearModel
from metagap.models.mlp import MLP
from metagap.tasks import linear_risk
from metagap.tasks.episode import Episode, Support, TaskSpec
from metagap.tasks.linear import Linear
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part

SPEC = TaskSpec("regression", 1, 4, 6)
FAMILY = Linear(
    dimension=3,
    mean=[1.0, -2.0, 0.5],
    prior_scale=[0.5, 1.0, 2.0],
    input_scale=[1.0, 2.0, 0.5],
    noise=0.7,
    designs=3,
)
PRIOR = {name: getattr(FAMILY, name) for name in ("mean", "prior_scale", "noise")}


def support(width, rows=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Support(*(torch.randn(rows, n, generator=generator, dtype=torch.float64) for n in (width, 1)))


def bound(algorithm, network=None):
    torch.manual_seed(0)
    network = (network or LinearModel((3,), 1)).double()
    found = algorithm.bind(network, SPEC)
    found.check_network()
    meta = found.init(network, 0, torch.Generator().manual_seed(0))
    return found, {name: value.double() for name, value in meta.items()}


@pytest.mark.parametrize("towards", ["learned", "zero"])
@pytest.mark.parametrize("learn_ridge", [True, False])
def test_ridge_shrinks_to_its_head_as_scikit_learn_does_to_zero(towards, learn_ridge):
    found, meta = bound(Ridge(ridge=0.7, learn_ridge=learn_ridge, towards=towards))
    assert (LOG_LAMBDA in meta) == learn_ridge
    x, y = support(3)
    start = meta["head.weight"] * (towards == "learned")
    before, *after = found.adapt_path(meta, Support(x, y), 2)
    torch.testing.assert_close(before["head.weight"], start)
    theirs = TheirRidge(0.7, fit_intercept=False).fit(x, (y - x @ start.T)[:, 0]).coef_
    for fast in (*after, found.adapt(meta, Support(x, y), 1)):
        np.testing.assert_allclose(fast["head.weight"][0], start[0].numpy() + theirs)


def test_a_bias_is_the_weight_of_a_one_and_features_are_those_of_the_network():
    found, meta = bound(Ridge(ridge=0.7), MLP((3,), 1, [5]))
    x, y = support(3, rows=9)
    z = torch.cat([found.features(meta, x), torch.ones(9, 1, dtype=torch.float64)], 1).numpy()
    start = torch.cat([meta["head.weight"][0], meta["head.bias"]]).numpy()
    theirs = start + TheirRidge(0.7, fit_intercept=False).fit(z, y[:, 0].numpy() - z @ start).coef_
    fast = found.adapt(meta, Support(x, y), 1)
    np.testing.assert_allclose(fast["head.weight"][0], theirs[:-1], rtol=1e-6)
    np.testing.assert_allclose(fast["head.bias"][0], theirs[-1], rtol=1e-6)
    np.testing.assert_allclose(found.predict(fast, x)[:, 0], z @ theirs, rtol=1e-6)


def test_the_outer_loop_reaches_head_features_and_lambda():
    found, meta = bound(Ridge(ridge=0.7), MLP((3,), 1, [5]))
    x, y = support(3, rows=9)
    episode = Episode(x[:4], y[:4], x[4:], y[4:], torch.empty(0))
    gradient, _ = found.meta_gradient(meta, episode)

    def loss(name, value):
        fast = found.adapt({**meta, name: value}, episode.support, 1)
        return float(found.loss(found.predict(fast, episode.query_x), episode.query_y))

    for name in ("features.1.weight", "head.weight", "head.bias", LOG_LAMBDA):
        step = 1e-6 * torch.ones_like(meta[name])
        difference = (loss(name, meta[name] + step) - loss(name, meta[name] - step)) / 2e-6
        assert float(gradient[name].sum()) == pytest.approx(difference, rel=1e-5)
        assert difference != 0


def test_bayes_is_the_posterior_mean_of_the_prior_that_it_was_told():
    found, meta = bound(Bayes(**PRIOR))
    x, y = support(3)
    precision = np.diag(1 / np.square(FAMILY.prior_scale))
    posterior = x.T.numpy() @ x.numpy() / 0.49 + precision
    expected = np.linalg.solve(posterior, x.T.numpy() @ y[:, 0].numpy() / 0.49 + precision @ FAMILY.mean)
    before, after = found.adapt_path(meta, Support(x, y), 1)
    np.testing.assert_allclose(found.predict(before, torch.eye(3).double())[:, 0], FAMILY.mean)
    np.testing.assert_allclose(found.predict(after, torch.eye(3).double())[:, 0], expected)


def test_what_they_cannot_do_is_one_sentence():
    for algorithm in (Ridge(), Bayes()):
        with pytest.raises(UserError, match=r"task.kind = 'classification'; allowed: 'regression'"):
            algorithm.bind(LinearModel((3,), 2), TaskSpec("classification", 2, 1, 1))
    found, meta = bound(Bayes(mean=[1.0, 2.0]))
    with pytest.raises(UserError, match="mean has 2 numbers for examples of 3 inputs; allowed: one for each"):
        found.adapt(meta, support(3), 1)


# Measured risk through the evaluator, beside the formula.


def matched(facts: linear_risk.Facts) -> Episode:
    """Every combination of design, weights and noise, of which the first and second moments are those of the facts."""
    d, n = len(facts.mean), facts.designs.shape[1]
    weights = [facts.mean + s * np.sqrt(d) * row for s in (1, -1) for row in np.linalg.cholesky(facts.covariance).T]
    noises = [s * np.sqrt(n) * facts.noise * row for s in (1, -1) for row in np.eye(n)]
    queries = np.sqrt(d) * np.repeat(np.linalg.cholesky(facts.input_covariance).T, 2, axis=0)
    signs = facts.noise * np.tile([1, -1], d)
    tasks = [
        (x, (x @ w + e)[:, None], queries, (queries @ w + signs)[:, None], np.empty(0))
        for x, w, e in product(facts.designs, weights, noises)
    ]
    return Episode(*(torch.tensor(np.stack(fields)) for fields in zip(*tasks, strict=True)))


def measured(found, meta, episodes, steps):
    scores = evaluate(found, meta, episodes, SPEC, steps, Strategy("vmap"))
    return scores["query_loss"].mean(0), scores["query_loss"].std(0) / len(episodes.support_x) ** 0.5


def exact(name, facts, meta, steps):
    start = meta["head.weight"][0].numpy()
    match name:
        case "ridge":
            return linear_risk.ridge(facts, start, float(meta[LOG_LAMBDA].exp()))
        case "bayes":
            return linear_risk.best(facts)
    return linear_risk.gradient_descent(facts, start, 0.05, steps)


LEARNERS = {
    **{name: {"inner_lr": 0.05} for name in ("maml", "fomaml", "anil", "scratch", "pretrain")},
    "reptile": {"inner_lr": 0.05, "inner_optimizer": "sgd", "inner_batch": 0},
    "ridge": {"ridge": 0.7},
    "bayes": PRIOR,
}


@pytest.mark.parametrize("name", LEARNERS)
def test_measured_risk_is_the_formula_on_episodes_that_match_the_moments(name):
    """After 0 to 3 inner steps, in float64; and on a domain whose moments are others."""
    found, meta = bound(registry.load("algorithm", name)(**LEARNERS[name]))
    shifted = FAMILY.model_copy(update={"mean": 2.0, "noise": 0.3, "input_scale": 1.5})
    for family in [FAMILY] if name == "bayes" else [FAMILY, shifted]:
        facts = family.tasks(Part(), "cpu").facts(SPEC)
        ours, _ = measured(found, meta, matched(facts), 3)
        for step in range(1 if name in ("ridge", "bayes") else 0, 4):
            expected = linear_risk.risk(facts, exact(name, facts, meta, step))
            assert float(ours[step]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["maml", "ridge", "bayes"])
def test_measured_risk_is_the_formula_on_episodes_that_are_drawn(name):
    found, meta = bound(registry.load("algorithm", name)(**LEARNERS[name]))
    for part, family in (("test", FAMILY), ("train", FAMILY.model_copy(update={"training_tasks": 4}))):
        tasks = family.tasks(Part(part), "cpu")
        facts = tasks.facts(SPEC)
        ours, luck = measured(found, meta, Sampler(tasks, SPEC, 3).episodes(3000).to("cpu", torch.float64), 2)
        known = FAMILY.tasks(Part(), "cpu").facts(SPEC) if name == "bayes" else facts
        estimators = exact(name, known, meta, 2)
        assert float(ours[-1]) == pytest.approx(linear_risk.risk(facts, estimators), abs=4 * float(luck[-1]))


def test_the_model_has_parts_and_no_bias():
    torch.manual_seed(0)
    plain, learned = LinearModel((2, 3), 2), LinearModel((2, 3), 2, width=4)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(plain(x), x.flatten(1) @ plain.head.weight.T)
    torch.testing.assert_close(learned(x), x.flatten(1) @ learned.features[1].weight.T @ learned.head.weight.T)
    assert not any("bias" in name for name, _ in learned.named_parameters())
