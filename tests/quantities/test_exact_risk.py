"""The exact risk of learners that are asked, beside the formulas of their inner loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from watching import watched

from metagap import registry
from metagap.algorithms.anil import ANIL
from metagap.algorithms.maml import MAML
from metagap.algorithms.reptile import Reptile
from metagap.algorithms.ridge import LOG_LAMBDA
from metagap.errors import UserError
from metagap.models.linear import Linear as LinearModel
from metagap.models.mlp import MLP
from metagap.quantities.exact_risk import EXACT_BIAS, EXACT_RISK, LEAST_RISK, asked
from metagap.tasks import linear_risk
from metagap.tasks.episode import TaskSpec
from metagap.tasks.linear import Linear
from metagap.tasks.source import Part

SPEC = TaskSpec("regression", 1, 4, 6)
FAMILY = Linear(dimension=3, mean=[1.0, -2.0, 0.5], prior_scale=[0.5, 1.0, 2.0], noise=0.7, designs=3)
TASKS = FAMILY.tasks(Part(), "cpu")
FACTS = TASKS.facts(SPEC)
PRIOR = {name: getattr(FAMILY, name) for name in ("mean", "prior_scale", "noise")}


def of(algorithm, network=None, steps=2):
    found = watched(algorithm, SPEC, network or LinearModel((3,), 1), steps=steps, dtype=torch.float32)
    return replace(found, target_tasks=TASKS)


def ask(found):
    return asked(found.algorithm, found.meta, found.steps, FACTS)


def start(found):
    return found.meta["head.weight"][0].double().numpy()


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize(
    "algorithm",
    [
        *(
            registry.load("algorithm", name)(inner_lr=0.05)
            for name in ("maml", "fomaml", "anil", "scratch", "pretrain")
        ),
        Reptile(inner_lr=0.05, inner_optimizer="sgd", inner_batch=0),
    ],
    ids=lambda one: type(one).__name__,
)
def test_gradient_descent_answers_with_its_formula(algorithm, steps):
    found = of(algorithm, steps=steps)
    for ours, expected in zip(ask(found), linear_risk.gradient_descent(FACTS, start(found), 0.05, steps), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-14)


def test_closed_forms_answer_with_theirs():
    ridge = of(registry.load("algorithm", "ridge")(ridge=0.7))
    expected = linear_risk.ridge(FACTS, start(ridge), float(ridge.meta[LOG_LAMBDA].double().exp()))
    for found, formula in (
        (ridge, expected),
        (of(registry.load("algorithm", "bayes")(**PRIOR)), linear_risk.best(FACTS)),
    ):
        for ours, theirs in zip(ask(found), formula, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_mini_batches_and_learned_features_are_steps_of_their_own():
    """Reptile's inner steps take two examples each, in turn; ANIL descends in the metric F'F of its features."""
    y = np.random.default_rng(0).normal(size=4)
    reptile = of(Reptile(inner_lr=0.05, inner_optimizer="sgd", inner_batch=2), steps=3)
    anil = of(ANIL(inner_lr=0.05), LinearModel((3,), 1, width=5), steps=3)
    features = anil.meta["features.1.weight"].double().numpy()
    for design, *answers in zip(FACTS.designs, *ask(reptile), *ask(anil), strict=True):
        w, v = start(reptile), features.T @ start(anil)
        for step in range(3):
            rows = slice(0, 2) if step % 2 == 0 else slice(2, 4)
            w = w - 0.05 * design[rows].T @ (design[rows] @ w - y[rows])
            v = v - 0.05 * features.T @ features @ design.T @ (design @ v - y) / 2
        np.testing.assert_allclose(answers[0] + answers[1] @ y, w)
        np.testing.assert_allclose(answers[2] + answers[3] @ y, v)


@pytest.mark.parametrize(
    ("algorithm", "network", "message"),
    [
        (
            MAML(inner_lr=0.05),
            LinearModel((3,), 1, width=2),
            "MAML predicts with this model is not affine in the targets",
        ),
        (Reptile(inner_lr=0.05), None, "Reptile predicts with this model is not affine in the targets"),
        (MAML(inner_lr=0.05), MLP((3,), 1, []), "MAML predicts with this model is not linear in the inputs"),
        (MAML(inner_lr=0.05), MLP((3,), 1, [4]), "MAML predicts with this model is not linear in the inputs"),
    ],
    ids=["two adapted layers", "adam", "bias", "relu"],
)
def test_whoever_is_not_affine_is_refused(algorithm, network, message):
    with pytest.raises(UserError, match=message):
        ask(of(algorithm, network))


def test_quantities_are_the_risk_its_bias_and_the_least():
    found = of(MAML(inner_lr=0.05))
    formula = linear_risk.gradient_descent(FACTS, start(found), 0.05, 2)
    assert EXACT_RISK.measure(found) == pytest.approx(linear_risk.risk(FACTS, formula))
    unbiased = linear_risk.gradient_descent(FACTS, FACTS.mean, 0.05, 2)
    assert EXACT_BIAS.measure(found) == pytest.approx(EXACT_RISK.measure(found) - linear_risk.risk(FACTS, unbiased))
    bayes = of(registry.load("algorithm", "bayes")(**PRIOR))
    assert LEAST_RISK.measure(found) == pytest.approx(EXACT_RISK.measure(bayes))
    assert LEAST_RISK.measure(found) < EXACT_RISK.measure(found)
    assert not EXACT_RISK.applies(found)
    assert EXACT_RISK.applies(watched(MAML(), TaskSpec("regression", 1, 5, 6))) == (
        "the tasks are not those of the source linear"
    )
