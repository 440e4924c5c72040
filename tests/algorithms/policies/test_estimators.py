"""Estimators of the inner gradient and of the meta-gradient, against exact ones in a world of two states.

Rothfuss et al. (2019) tell two objectives apart: I, the return after a step along a sampled gradient; II, that after a
step along the expected one.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_mdp import POLICY, alone, bound, chances, episodes, every_rollout, expected_return, raw
from torch import Tensor
from torch.func import grad, hessian, vmap

from metagap.algorithms.base import Params
from metagap.algorithms.policies.e_maml import EMAML, MEAN, SPREAD
from metagap.algorithms.policies.maml import MAMLTRPO
from metagap.algorithms.policies.promp import ProMP

STEP = 2.0
ESTIMATORS = ("score", "ratio", "dice")


class RawMAML(MAMLTRPO):
    """MAML-TRPO without baseline."""

    collect = raw


class RawEMAML(EMAML):
    """E-MAML without baseline."""

    collect = raw


def vector(params: Params) -> Tensor:
    """The policy's part, flat."""
    return params["weight"].flatten(-2)


def curvature(estimator: str, horizon: int) -> tuple[Tensor, Tensor]:
    """The expected second derivative (4, 4) of what an estimator ascends, of one rollout, and its variance."""
    learner = bound(RawMAML(estimator=estimator), horizon, 1, 1)
    rollouts, follows = every_rollout(horizon)

    def bent(stage: Any) -> Tensor:
        return hessian(learner.inner_loss)(POLICY, stage)["weight"]["weight"].reshape(4, 4)

    found, p = -vmap(bent)(alone(rollouts)), chances(POLICY, rollouts, follows)[:, None, None]
    mean = (p * found).sum(0)
    return mean, (p * (found - mean).square()).sum(0)


def exact_curvature(horizon: int) -> Tensor:
    """Of the expected return, by step."""
    return hessian(expected_return)(POLICY, horizon)["weight"]["weight"].reshape(4, 4) / horizon


def plain_step(policy: Params, gradient: Params, horizon: int) -> Params:
    """An inner step along a gradient of the return."""
    return {name: value + STEP / horizon * gradient[name] for name, value in policy.items()}


def of_formulation_two(horizon: int) -> Tensor:
    """The exact meta-gradient of the return after a step along the expected gradient, by step (theirs II)."""

    def objective(policy: Params) -> Tensor:
        return expected_return(plain_step(policy, grad(expected_return)(policy, horizon), horizon), horizon)

    return vector(grad(objective)(POLICY)) / horizon


def of_formulation_one(horizon: int) -> Tensor:
    """That of the expected return after a step along the gradient of one sampled rollout, by step (theirs I)."""
    learner = bound(RawMAML(inner_lr=STEP), horizon, 1, 1)
    rollouts, follows = every_rollout(horizon)

    def objective(policy: Params) -> Tensor:
        after = vmap(lambda stage: expected_return(learner.inner_step(policy, stage, 0), horizon))(alone(rollouts))
        return (chances(policy, rollouts, follows) * after).sum()

    return vector(grad(objective)(POLICY)) / horizon


def test_rollouts_of_the_tiny_world_are_as_likely_as_they_should_be():
    learner = bound(RawMAML(), 3, 1, 40_000)
    sampled = learner.run(POLICY, episodes(learner, 1, 0).query_x[0])
    rollouts, follows = every_rollout(3)
    p = chances(POLICY, rollouts, follows)
    assert float(p.sum()) == pytest.approx(1)
    assert float((p * rollouts.reward.sum(0)).sum()) == pytest.approx(float(expected_return(POLICY, 3)))
    same = (sampled.observation[:, :, None] == rollouts.observation[:, None]).all(-1).all(0)
    same &= (sampled.action[:, :, None] == rollouts.action[:, None]).all(-1).all(0)
    frequency = same.double().mean(0)
    assert float(frequency.sum()) == pytest.approx(1)
    # Pearson's statistic, of 63 degrees of freedom: 104 is exceeded by chance once in a thousand.
    assert float(40_000 * ((frequency - p).square() / p).sum()) < 104


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("horizon", [1, 3])
def test_all_inner_gradients_are_the_policy_gradient(estimator, horizon):
    learner = bound(RawMAML(estimator=estimator), horizon, 1, 1)
    rollouts, follows = every_rollout(horizon)
    found = vmap(lambda stage: vector(grad(learner.inner_loss)(POLICY, stage)))(alone(rollouts))
    mean = (chances(POLICY, rollouts, follows)[:, None] * -found).sum(0)
    exact = vector(grad(expected_return)(POLICY, horizon)) / horizon
    torch.testing.assert_close(mean, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_the_curvature_of_dice_is_unbiased(horizon):
    torch.testing.assert_close(curvature("dice", horizon)[0], exact_curvature(horizon), rtol=1e-10, atol=1e-10)


def test_the_curvature_of_ratios_is_unbiased_where_nothing_comes_after_an_action():
    torch.testing.assert_close(curvature("ratio", 1)[0], exact_curvature(1), rtol=1e-10, atol=1e-10)
    for horizon in (2, 3):
        assert (curvature("ratio", horizon)[0] - exact_curvature(horizon)).norm() > 0.03


def test_the_curvature_of_ratios_lacks_how_later_values_depend_on_earlier_actions():
    """E[sum over t of grad log pi(t) grad Q(t)'], and its transpose (Rothfuss et al. 2019, theorem 1)."""
    horizon = 2
    learner = bound(RawMAML(), horizon, 1, 1)
    rollouts, follows = every_rollout(horizon)
    scores = vmap(lambda stage: grad(lambda fast: learner.log_prob(fast, stage)[0].sum())(POLICY)["weight"].flatten())
    later = vmap(lambda stage: grad(lambda fast: learner.log_prob(fast, stage)[1].sum())(POLICY)["weight"].flatten())
    first, second = scores(alone(rollouts)), later(alone(rollouts))
    p = chances(POLICY, rollouts, follows) * rollouts.reward[1]
    lacking = torch.einsum("n,ni,nj->ij", p, first, second) / horizon
    torch.testing.assert_close(
        curvature("ratio", horizon)[0] + lacking + lacking.T, exact_curvature(horizon), rtol=1e-10, atol=1e-10
    )


def test_the_curvature_of_scores_is_biased():
    for horizon in (1, 2, 3):
        assert (curvature("score", horizon)[0] - exact_curvature(horizon)).norm() > 0.1


def test_the_curvature_of_ratios_varies_less_than_that_of_dice():
    ratio, dice = (float(curvature(name, 3)[1].sum()) for name in ("ratio", "dice"))
    assert ratio < dice / 2


def expected_meta_gradient(learner: Any, meta: Params, horizon: int) -> Tensor:
    """Of the sampled meta-gradient with one rollout before and one after adaptation, over all of both; by step."""
    rollouts, follows = every_rollout(horizon)
    stages, p = alone(rollouts), chances(POLICY, rollouts, follows)

    def given_before(before: Any) -> Tensor:
        after = learner.inner_step({"weight": meta["weight"]}, before, 0)
        policy = torch.nn.functional.linear(stages.observation, after["weight"])

        def found(stage: Any) -> Tensor:
            return -vector(learner.surrogate_gradient(meta, [before, stage])[0])

        weights = chances(after, rollouts, follows)
        return (weights[:, None] * vmap(found)(stages._replace(policy=policy))).sum(0)

    return (p[:, None] * vmap(given_before)(stages)).sum(0)


def test_e_maml_is_unbiased_for_the_return_after_a_sampled_step():
    exact = of_formulation_one(2)
    meta = {**POLICY, MEAN: torch.tensor(0.0).double(), SPREAD: torch.tensor(1.0).double()}
    learner = bound(RawEMAML(inner_lr=STEP, exploration=1.0), 2, 1, 1)
    torch.testing.assert_close(expected_meta_gradient(learner, meta, 2), exact, rtol=1e-10, atol=1e-10)
    # What a return is compared with changes the variance alone.
    meta[MEAN] += 0.7
    torch.testing.assert_close(expected_meta_gradient(learner, meta, 2), exact, rtol=1e-10, atol=1e-10)
    without = expected_meta_gradient(bound(RawMAML(inner_lr=STEP), 2, 1, 1), POLICY, 2)
    assert (without - exact).norm() > 0.2 * exact.norm()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_estimator_without_that_term_is_unbiased_for_few_rollouts(estimator):
    found = expected_meta_gradient(bound(RawMAML(inner_lr=STEP, estimator=estimator), 2, 1, 1), POLICY, 2)
    for exact in (of_formulation_one(2), of_formulation_two(2)):
        assert (found - exact).norm() > 0.02 * exact.norm()


def sampled(learner: Any, meta: Params, count: int) -> tuple[Tensor, Tensor]:
    """The mean of sampled meta-gradients, by step, and its standard error (4,)."""

    def one(task: Any) -> Tensor:
        return -vector(learner.surrogate_gradient(meta, learner.trials(meta, task))[0])

    found = vmap(one, chunk_size=200)(episodes(learner, count, 1))
    return found.mean(0), found.std(0) / count**0.5


@pytest.mark.parametrize("estimator", ["score", "dice", pytest.param("ratio", marks=pytest.mark.slow)])
def test_with_many_rollouts_dice_gives_the_gradient_after_an_expected_step_and_the_others_do_not(estimator):
    horizon = 3
    exact = of_formulation_two(horizon)
    after = plain_step(POLICY, grad(expected_return)(POLICY, horizon), horizon)
    bent = torch.eye(4, dtype=torch.float64) + STEP * curvature(estimator, horizon)[0]
    limit = bent @ vector(grad(expected_return)(after, horizon)) / horizon
    learner = bound(RawMAML(inner_lr=STEP, estimator=estimator), horizon, 2000, 2000)
    mean, error = sampled(learner, POLICY, 100)
    assert ((mean - limit).abs() < 4.5 * error + 0.002).all()
    if estimator == "dice":
        torch.testing.assert_close(limit, exact, rtol=1e-10, atol=1e-10)
    else:
        assert ((mean - exact).abs() > 5 * error).any()


def test_the_sampled_meta_gradient_of_e_maml_averages_to_the_exact_one():
    meta = {**POLICY, MEAN: expected_return(POLICY, 2), SPREAD: torch.tensor(1.0).double()}
    mean, error = sampled(bound(RawEMAML(inner_lr=STEP), 2, 1, 1), meta, 8_000)
    assert ((mean - of_formulation_one(2)).abs() < 4.5 * error).all()
    mean, error = sampled(bound(RawMAML(inner_lr=STEP), 2, 1, 1), POLICY, 8_000)
    assert ((mean - of_formulation_one(2)).abs() > 6 * error).any()


def test_the_surrogate_without_adaptation_has_the_slope_of_the_expected_return():
    """Against finite differences."""
    horizon, small = 3, 1e-6
    learner = bound(RawMAML(inner_steps=0), horizon, 1, 1)
    rollouts, follows = every_rollout(horizon)
    found = vmap(lambda stage: vector(learner.surrogate_gradient(POLICY, [stage])[0]))(alone(rollouts))
    mean = (chances(POLICY, rollouts, follows)[:, None] * -found).sum(0)
    for element in range(4):
        nudge = small * torch.eye(4, dtype=torch.float64)[element].view(2, 2)
        up, down = (expected_return({"weight": POLICY["weight"] + side * nudge}, horizon) for side in (1, -1))
        assert float(mean[element]) == pytest.approx(float(up - down) / (2 * small * horizon), abs=1e-8)


@pytest.mark.parametrize("make", [ProMP, EMAML, RawMAML])
def test_surrogates_have_the_slope_of_finite_differences_where_they_have_moved(make):
    """Not where the rollouts were collected: there ratios are 1."""
    learner = bound(make(inner_steps=2, inner_lr=STEP), 3, 5, 5)
    meta = {**learner.init(learner.network, 0, torch.Generator()), **POLICY}
    meta = {name: value.double() + 1 if "/" in name else value for name, value in meta.items()}
    task = type(found := episodes(learner, 1, 3))(*(value[0] for value in found))
    trials = learner.trials(meta, task)
    meta["weight"] = meta["weight"] + 0.03
    meta["weight"][0, 1] -= 0.1
    gradient, small = learner.surrogate_gradient(meta, trials)[0], 1e-6
    for element in range(4):
        nudge = small * torch.eye(4, dtype=torch.float64)[element].view(2, 2)
        up, down = (
            learner.surrogate({**meta, "weight": meta["weight"] + side * nudge}, trials).loss for side in (1, -1)
        )
        assert float(vector(gradient)[element]) == pytest.approx(float(up - down) / (2 * small), abs=1e-7)
