"""Linear tasks: what is drawn, and the exact risk of estimators on them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.optimize import minimize
from sklearn.linear_model import Ridge

from metagap.tasks import linear_risk
from metagap.tasks.episode import TaskSpec
from metagap.tasks.linear import Linear
from metagap.tasks.linear_risk import Facts
from metagap.tasks.source import Part

SPEC = TaskSpec("regression", 1, 4, 6)
SHIFTED = {
    "dimension": 3, "mean": [1.0, -2.0, 0.5], "prior_scale": [0.5, 1.0, 2.0], "input_scale": [1.0, 2.0, 0.5],
    "noise": 0.7, "designs": 5,
}  # fmt: skip


def tasks(part="all", **options):
    return Linear(**options).tasks(Part(part), "cpu")


def facts(part="all", **options) -> Facts:
    return tasks(part, **(options or SHIFTED)).facts(SPEC)


def drawn(found, count=4000, spec=SPEC):
    draw = found.draw(count, spec, torch.Generator().manual_seed(0))
    return draw, found.episode(draw, spec)


def test_tasks_are_what_the_options_say():
    found = tasks(**SHIFTED)
    draw, episode = drawn(found)
    assert [tuple(field.shape[1:]) for field in episode] == [(4, 3), (4, 1), (6, 3), (6, 1), (0,)]
    pool = found.designs(4)
    torch.testing.assert_close(episode.support_x, pool[draw.design])
    assert np.bincount(draw.design).min() > 700
    x, y = torch.cat([episode.support_x, episode.query_x], 1), torch.cat([episode.support_y, episode.query_y], 1)
    noise = y - x @ draw.weights[..., None]
    known = found.facts(SPEC)
    for values, mean, sd in (
        (draw.weights, known.mean, known.covariance),
        (episode.query_x.flatten(0, 1), np.zeros(3), known.input_covariance),
        (noise.flatten(0, 1), np.zeros(1), np.array([[0.49]])),
    ):
        np.testing.assert_allclose(values.mean(0), mean, atol=4 * np.sqrt(np.diag(sd) / len(values)).max())
        np.testing.assert_allclose(np.cov(values.T), sd, atol=0.09 * sd.max())
    assert pool.std((0, 1)) == pytest.approx([1.0, 2.0, 0.5], rel=0.5)


def test_the_pool_belongs_to_the_seed_and_grows_with_the_shots():
    pool = tasks(dimension=3).designs(4)
    torch.testing.assert_close(pool, tasks("train", dimension=3, mean=7.0).designs(4))
    torch.testing.assert_close(pool, tasks(dimension=3).designs(9)[:, :4])
    torch.testing.assert_close(2 * pool, tasks(dimension=3, input_scale=2.0).designs(4))
    assert (pool != tasks(dimension=3, seed=1).designs(4)).all()
    assert len(pool) == 32


def test_recurring_tasks_are_the_same_ones_and_have_their_own_moments():
    options = {**SHIFTED, "training_tasks": 6}
    found, few = tasks("train", **options), facts("train", **options)
    seen = drawn(found)[0].weights.unique(dim=0)
    assert len(seen) == 6
    assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, found.weights.tolist()))
    np.testing.assert_allclose(few.mean, seen.double().mean(0))
    np.testing.assert_allclose(few.covariance, np.cov(seen.double().T, bias=True))
    for part in ("val", "test", "all"):
        assert len(drawn(tasks(part, **options))[0].weights.unique(dim=0)) == 4000
        np.testing.assert_allclose(facts(part, **options).mean, SHIFTED["mean"])
    alone = facts("train", dimension=1, training_tasks=1)
    assert alone.covariance.tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"dimension": 2, "mean": [1.0, 2.0, 3.0]},
            "3 numbers for dimension = 2; allowed: one for each, or one",
        ),
        ({"prior_scale": -1.0}, "greater than or equal to 0"),
        ({"input_scale": 0.0}, "greater than 0"),
        ({"designs": 0}, "greater than or equal to 1"),
        ({"training_tasks": 0}, "greater than or equal to 1"),
        ({"dimension": 0, "mean": [1.0]}, "greater than or equal to 1"),
        ({"noize": 1.0}, "Extra inputs"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        Linear(**options)


def test_a_sample_can_be_drawn():
    found = tasks(**SHIFTED)
    draw, _ = drawn(found, 9)
    sample = found.sample(draw, SPEC)
    assert sample["support_x"].shape == sample["support_y"].shape == (4, 4, 1)
    assert sample["curve_x"].shape == (4, 2, 1)
    assert np.abs(sample["support_x"] - sample["support_y"]).std() == pytest.approx(0.7, rel=0.4)


# The risk, against expectations taken by enumeration: points and weights with exactly the moments of the facts.


def enumerated(known: Facts, estimators: linear_risk.Estimators) -> float:
    """The mean squared error over all combinations of design, weights, noise, query and its noise."""
    d, n = len(known.mean), known.designs.shape[1]
    shifts = [sign * np.sqrt(d) * column for sign in (1, -1) for column in np.linalg.cholesky(known.covariance).T]
    noises = [sign * np.sqrt(n) * known.noise * one for sign in (1, -1) for one in np.eye(n)]
    queries = [np.sqrt(d) * column for column in np.linalg.cholesky(known.input_covariance).T]
    errors = []
    for p, design in enumerate(known.designs):
        for shift, noise in product(shifts, noises):
            w = known.mean + shift
            found = estimators.offset[p] + estimators.slope[p] @ (design @ w + noise)
            errors += [(x @ found - x @ w + sign * known.noise) ** 2 for x in queries for sign in (1, -1)]
    return float(np.mean(errors))


def some_estimators(known: Facts) -> linear_risk.Estimators:
    p, n, d = known.designs.shape
    rng = np.random.default_rng(0)
    return linear_risk.Estimators(rng.normal(size=(p, d)), rng.normal(size=(p, d, n)))


def test_the_risk_of_any_affine_estimator_is_the_mean_over_everything_that_is_drawn():
    known = facts()
    found = some_estimators(known)
    assert linear_risk.risk(known, found) == pytest.approx(enumerated(known, found), rel=1e-12)
    noise, bias, spread, support = linear_risk.parts(known, found)
    assert noise == pytest.approx(0.49)
    quiet, alike = replace(known, noise=0.0), replace(known, covariance=np.zeros((3, 3)))
    assert linear_risk.risk(quiet, found) == pytest.approx(bias + spread, rel=1e-12)
    assert linear_risk.risk(alike, found) == pytest.approx(noise + bias + support, rel=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_gradient_descent_is_what_its_steps_do(steps):
    known, start = facts(), np.array([0.3, -1.0, 2.0])
    found = linear_risk.gradient_descent(known, start, 0.05, steps)
    y = np.random.default_rng(1).normal(size=4)
    for p, design in enumerate(known.designs):
        w = start
        for _ in range(steps):
            w = w - 0.05 * 2 * design.T @ (design @ w - y) / 4
        np.testing.assert_allclose(found.offset[p] + found.slope[p] @ y, w)


def test_ridge_is_scikit_learns_towards_a_start():
    known, start = facts(), np.array([0.3, -1.0, 2.0])
    found = linear_risk.ridge(known, start, 0.8)
    y = np.random.default_rng(1).normal(size=4)
    for p, design in enumerate(known.designs):
        theirs = start + Ridge(0.8, fit_intercept=False).fit(design, y - design @ start).coef_
        np.testing.assert_allclose(found.offset[p] + found.slope[p] @ y, theirs)


def test_the_best_estimator_is_the_posterior_mean():
    """In the form with precisions; where all weights have one variance it is ridge regression."""
    known = facts()
    found, y = linear_risk.best(known), np.random.default_rng(1).normal(size=4)
    precision = np.linalg.inv(known.covariance)
    for p, design in enumerate(known.designs):
        posterior = design.T @ design / 0.49 + precision
        mean = np.linalg.solve(posterior, design.T @ y / 0.49 + precision @ known.mean)
        np.testing.assert_allclose(found.offset[p] + found.slope[p] @ y, mean)
    alike = facts(dimension=3, prior_scale=2.0, noise=0.7, designs=2)
    np.testing.assert_allclose(linear_risk.best(alike).slope, linear_risk.ridge(alike, np.zeros(3), 0.49 / 4).slope)


@pytest.mark.parametrize("options", [{}, {"noise": 0.0}, {"training_tasks": 2}])
def test_nothing_affine_has_less_risk_than_the_best(options):
    """Also where examples without noise say everything, and where two tasks leave the prior flat in a direction."""
    known = facts("train", **SHIFTED | options)
    best = linear_risk.best(known)
    least, rng = linear_risk.risk(known, best), np.random.default_rng(0)
    for size in (1e-3, 0.1):
        for _ in range(20):
            offset, slope = (value + size * rng.normal(size=value.shape) for value in best)
            assert linear_risk.risk(known, linear_risk.Estimators(offset, slope)) > least
    assert (least < 1e-12) == (known.noise == 0.0)


@pytest.mark.parametrize("learner", [linear_risk.gradient_descent, linear_risk.ridge])
def test_the_mean_of_the_tasks_is_the_best_start(learner):
    known, how = facts(), (0.03, 3) if learner is linear_risk.gradient_descent else (0.8,)
    found = minimize(lambda start: linear_risk.risk(known, learner(known, start, *how)), np.zeros(3))
    np.testing.assert_allclose(found.x, known.mean, rtol=1e-4)
