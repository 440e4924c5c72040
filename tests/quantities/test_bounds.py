"""What theory says of linear tasks, against exact risks, and against the same written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch.distributions import Normal, kl_divergence

from metagap import quantities
from metagap.algorithms.base import Params
from metagap.algorithms.controls import Pretrain, Scratch
from metagap.algorithms.maml import MAML
from metagap.algorithms.reptile import Reptile
from metagap.algorithms.ridge import Ridge
from metagap.models.linear import Linear as LinearModel
from metagap.models.mlp import MLP
from metagap.quantities import pac_bayes, stability, train_train
from metagap.quantities.linear_learner import adaptation
from metagap.quantities.quantity import Watched
from metagap.suite import Training
from metagap.tasks import linear_risk
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.functions import Sinusoid
from metagap.tasks.linear import Linear
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.total_variation import of_all, of_intervals, of_normals

SPEC = TaskSpec("regression", 1, 4, 5)
RATE = 0.1
FAMILY = {"dimension": 3, "mean": [1.0, -1.0, 0.5], "prior_scale": [0.5, 1.0, 0.8], "designs": 5}


def tasks(part: str = "test", **options) -> Any:
    return Linear(**{**FAMILY, **options}).tasks(Part(part), "cpu")


def watched(
    source: Any = None, target: Any = None, algorithm: Any = None, network: Any = None, count: int = 6, **changes
) -> Watched:
    """A learner whose weights have moved from where they began, on linear tasks."""
    source, target = source or tasks("train"), target or tasks()
    torch.manual_seed(0)
    network = (network or LinearModel(source.x_shape, 1)).double()
    bound = (algorithm or MAML(inner_lr=RATE, inner_steps=2)).bind(network, SPEC)
    initial: Params = {name: v.double() for name, v in bound.init(network, 0, torch.Generator()).items()}
    meta = {name: value + 0.3 for name, value in initial.items()}

    def of(which: Any, seed: int) -> Any:
        return lambda n: Sampler(which, SPEC, seed).episodes(n).to("cpu", torch.float64)

    return replace(
        Watched(
            bound, meta, initial, 2, SPEC, Training(iterations=1), 0, of(source, 1), of(target, 2), source, target,
            count, lambda purpose: torch.Generator().manual_seed(len(purpose)),
        ),
        **changes,
    )  # fmt: skip


def value(name: str, seen: Watched) -> float:
    quantity = quantities.find(name)
    assert quantity.applies(seen) == ""
    return float(quantity.measure(seen))


# Total variation.


def test_total_variation_of_intervals():
    assert of_intervals((0, 2), (0, 2)) == of_intervals((1, 1), (1, 1)) == 0
    assert of_intervals((0, 2), (2, 3)) == of_intervals((1, 1), (2, 2)) == of_intervals((0, 2), (1, 1)) == 1
    assert of_intervals((0, 2), (1, 5)) == pytest.approx(0.75)  # half the integral of |1/2 - 0| + |1/2 - 1/4| + 1/4
    assert of_all([0.5, 0.5]) == 0.75


@pytest.mark.parametrize("parameters", [(0, 1, 1.5, 1), (0, 1, 0, 3), (1, 0.5, -0.3, 0.7)])
def test_total_variation_of_normals_in_one_dimension(parameters):
    m, s, n, t = parameters
    x = np.linspace(-20, 20, 400_001)
    said = np.abs(norm.pdf(x, m, s) - norm.pdf(x, n, t)).sum() * (x[1] - x[0]) / 2
    assert of_normals(m, s, n, t) == pytest.approx(said, abs=1e-5)


def test_total_variation_of_normals_is_a_bound():
    rng = np.random.default_rng(0)
    m, n, s, t = np.zeros(3), np.array([0.2, 0, -0.3]), np.array([1, 1, 2.0]), np.array([1, 1.4, 1.8])
    x = m + s * rng.normal(size=(200_000, 3))
    ratio = np.exp((norm.logpdf(x, n, t) - norm.logpdf(x, m, s)).sum(1))
    exact = np.maximum(1 - ratio, 0).mean()
    assert exact < of_normals(m, s, n, t) < 2 * exact
    same = np.maximum(1 - np.exp((norm.logpdf(x, n, s) - norm.logpdf(x, m, s)).sum(1)), 0).mean()
    assert of_normals(m, s, n, s) == pytest.approx(same, abs=0.005)
    assert of_normals(0, 0, 0, 0) == 0 and of_normals(0, 0, 0, 1) == of_normals(0, 0, 1, 0) == 1


@pytest.mark.parametrize("shift", [{"mean": [1.3, -1.0, 0.5]}, {"noise": 0.6}, {"prior_scale": [0.5, 1.6, 0.8]}])
def test_no_learner_loses_more_than_the_total_variation(shift):
    seen = watched(target=tasks(**shift))
    bound, losses = value("total-variation-bound", seen), []
    for which in (seen.source_tasks, seen.target_tasks):
        found = linear_risk.gradient_descent(which.facts(SPEC), [1, 1, 1], 0.1, 1)
        draw = which.draw(40_000, SPEC, torch.Generator().manual_seed(0))
        episode, slope = which.episode(draw, SPEC), torch.as_tensor(found.slope).float()[draw.design]
        w = torch.as_tensor(found.offset).float()[draw.design][..., None] + slope @ episode.support_y
        losses.append(((episode.query_x @ w - episode.query_y) ** 2).clamp(max=2).mean() / 2)
    assert 0.001 < abs(losses[1] - losses[0]) < bound < 1


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        ({}, 0.0),
        ({"seed": 1}, 1.0),
        ({"dimension": 2, "mean": 1.0, "prior_scale": 1.0}, 1.0),
        ({"prior_scale": 0.0}, 1.0),
        ({"noise": 0.0}, 1.0),
    ],
)
def test_total_variation_of_linear_tasks(shift, said):
    assert value("total-variation-bound", watched(target=tasks(**shift))) == said


def test_a_few_tasks_are_far_from_all_tasks_but_not_from_themselves():
    few = tasks("train", training_tasks=3)
    assert few.total_variation(tasks(training_tasks=3), SPEC) == 1
    assert few.total_variation(tasks("train", training_tasks=3), SPEC) == 0


def test_total_variation_of_waves():
    waves = Sinusoid().tasks(Part(), "cpu")

    def bound(**options) -> float:
        return waves.total_variation(Sinusoid(**options).tasks(Part(), "cpu"), SPEC)

    assert bound() == 0 and bound(waveform="square") == bound(amplitude=(5.0, 9.0)) == 1
    assert bound(amplitude=(1.0, 5.0)) == pytest.approx(1 - 4 / 4.9)
    assert bound(x=(-5.0, 4.0)) == pytest.approx(1 - 0.9**5)


# Stability.


def few(seed: int, count: int = 5) -> Watched:
    options = {"training_tasks": count, "seed": seed}
    return watched(tasks("train", **options), tasks(**options))


def test_adaptation_is_that_of_the_formula():
    seen = watched()
    known = seen.target_tasks.facts(SPEC)
    found, said = (
        adaptation(seen, torch.as_tensor(known.designs)),
        linear_risk.gradient_descent(known, [0] * 3, RATE, 2),
    )
    np.testing.assert_allclose(found.targets, said.slope, atol=1e-12)
    np.testing.assert_allclose(found.start, np.eye(3) - said.slope @ known.designs, atol=1e-12)


def exact(seen: Watched, which: Any, w: np.ndarray) -> float:
    known = which.facts(SPEC)
    return linear_risk.risk(known, linear_risk.gradient_descent(known, w, RATE, seen.steps))


def test_the_curvature_is_that_of_the_exact_risk():
    seen, e = few(0), np.eye(3)
    said = [
        [
            sum(a * b * exact(seen, seen.target_tasks, (a * e[i] + b * e[j]) / 2) for a in (1, -1) for b in (1, -1))
            for j in range(3)
        ]
        for i in range(3)
    ]
    np.testing.assert_allclose(stability.hessian_of(seen), said, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("away", [0.0, 0.5])
def test_the_stability_bound_is_above_the_exact_gap(away):
    bounds, gaps, expected = [], [], []
    for seed in range(25):
        seen = few(seed)
        w = seen.source_tasks.facts(SPEC).mean + away
        seen = replace(seen, meta={"head.weight": torch.as_tensor(w)[None]})
        bounds.append(value("stability-bound", seen))
        gaps.append(exact(seen, seen.target_tasks, w) - exact(seen, seen.source_tasks, w))
        expected.append(np.trace(stability.hessian_of(seen) @ seen.target_tasks.facts(SPEC).covariance) / 5)
    assert np.mean(gaps) == pytest.approx(np.mean(expected), abs=4 * np.std(gaps) / 5)
    assert 0 < np.mean(gaps) < np.mean(bounds) < 100 * np.mean(gaps)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "training tasks do not recur: each is met once"),
        ({"target": tasks(training_tasks=5, noise=2.0)}, "the split's tasks are not new ones of the training tasks'"),
        ({"network": MLP((3,), 1, [4])}, "model MLP is not linear in its weights"),
        ({"network": LinearModel((3,), 1, width=2)}, "the model learns features"),
        ({"algorithm": Ridge(learn_ridge=False, towards="zero")}, "Ridge does not stay at a task's own weights"),
        ({"source_tasks": Sinusoid().tasks(Part(), "cpu")}, "the moments of these tasks are not known"),
    ],
    ids=str,
)
def test_where_stability_says_nothing(changes, said):
    source = tasks("train", training_tasks=5 if "target" in changes else None)
    assert quantities.find("stability-bound").applies(watched(source, **changes)).startswith(said)


# PAC-Bayes.


def test_the_pac_bayes_bound_written_out(monkeypatch):
    monkeypatch.setattr(pac_bayes, "SCALES", (0.1,))
    monkeypatch.setattr(pac_bayes, "DRAWS", 1)
    seen = watched()
    theta, first = seen.meta["head.weight"], seen.initial["head.weight"]
    s, draw = 0.1 * float(first.square().mean().sqrt()), seen.generator("noise")
    noise = [s * torch.randn(1, 3, generator=draw, dtype=torch.float64) for _ in range(2)]
    most = float(seen.target(6).query_y.square().mean())
    n, m = 6, 9
    hyper = float(kl_divergence(Normal(theta, s), Normal(first, s)).sum())
    errors, divergences = [], []
    for sx, sy, qx, qy, _ in zip(*seen.source(n), strict=True):
        w = theta + noise[0]
        for _step in range(2):
            w = w - RATE * 2 / 4 * (w @ sx.T - sy.T) @ sx
        divergences.append(float(kl_divergence(Normal(w, s), Normal(theta + noise[0], s)).sum()))
        residual = torch.cat([qy, sy]) - torch.cat([qx, sx]) @ (w + noise[1]).T
        errors.append(float((residual**2).clamp(max=most).mean() / most))
    within = np.sqrt((hyper + np.mean(divergences) + np.log(2 * n * m / 0.05)) / (2 * (m - 1)))
    across = np.sqrt((hyper + np.log(2 * n / 0.05)) / (2 * (n - 1)))
    assert within >= np.mean([np.sqrt((hyper + d + np.log(2 * n * m / 0.05)) / (2 * (m - 1))) for d in divergences])
    assert value("pac-bayes-gap", seen) == pytest.approx(within + across)
    assert value("pac-bayes-risk", seen) == pytest.approx(np.mean(errors) + within + across)


def test_the_pac_bayes_bound_is_above_the_error_on_new_tasks():
    seen = watched(count=100)
    found = pac_bayes.bound(seen)
    new = replace(seen, source=lambda n: seen.target(400))
    errors = [pac_bayes._drawn(new, ["head.weight"], s)[0] for s in (0.01, 0.5)]
    assert max(errors) - found.error < found.gap
    assert max(errors) < found.risk
    few_tasks = pac_bayes.bound(replace(seen, episodes=10))
    assert few_tasks.gap > found.gap


def test_where_pac_bayes_says_nothing():
    applies = quantities.find("pac-bayes-gap").applies
    assert applies(watched(count=1)) == "it takes 2 tasks of 2 examples"
    seen = watched()
    wide = replace(seen, meta={**seen.meta, "more": torch.zeros(2)})
    assert applies(wide) == ""  # what adaptation hands on has the prior, too
    carried = replace(seen, meta={**seen.meta, "carried/mean": torch.zeros(2)})
    assert applies(carried).startswith("MAML carries statistics")


# Train-train.


def test_the_alignment_written_out():
    seen = watched()
    total = []
    for same in (False, True):
        w = seen.meta["head.weight"].clone().requires_grad_()
        for sx, sy, qx, qy, _ in zip(*seen.source(6), strict=True):
            x, y, to_x, to_y = sx, sy, qx, qy
            if same:
                x, y = to_x, to_y = torch.cat([sx, qx]), torch.cat([sy, qy])
            fast = w
            for _step in range(2):
                fast = fast - RATE * 2 / len(x) * (fast @ x.T - y.T) @ x
            ((to_x @ fast.T - to_y) ** 2).mean().backward()
        total.append(w.grad.flatten())
    said = float(torch.nn.functional.cosine_similarity(*total, dim=0))
    assert value("train-train-alignment", seen) == pytest.approx(said) and said < 0.9999


@pytest.mark.parametrize(
    "algorithm", [MAML(inner_lr=RATE, inner_steps=1), Ridge(ridge=2.0, learn_ridge=False)], ids=str
)
def test_the_error_ratio_by_simulation(algorithm):
    seen, rng = watched(algorithm=algorithm, count=8), np.random.default_rng(0)
    known = seen.source_tasks.facts(SPEC)
    sx, qx = (value.numpy() for value in (seen.source(8).support_x, seen.source(8).query_x))

    def maps(x):
        gram, eye = x.swapaxes(1, 2) @ x, np.eye(3)
        if isinstance(algorithm, MAML):
            return 2 * RATE / x.shape[1] * x.swapaxes(1, 2)
        return np.linalg.solve(gram + 2 * eye, x.swapaxes(1, 2))

    w = known.mean + rng.multivariate_normal(np.zeros(3), known.covariance, size=(4000, 8))

    def targets(x):
        clean = np.einsum("tnd,rtd->rtn", x, w)
        return clean + known.noise * rng.normal(size=clean.shape)

    both, found = np.concatenate([sx, qx], 1), []
    for x, to_x in ((sx, qx), (both, both)):
        slope, y = maps(x), targets(x)
        to_y = y if to_x is x else targets(to_x)
        rows = (to_x @ (np.eye(3) - slope @ x)).reshape(-1, 3)
        rest = to_y - np.einsum("tnd,tdk,rtk->rtn", to_x, slope, y)
        start = np.linalg.lstsq(rows, rest.reshape(4000, -1).T, rcond=None)[0].T
        found.append(np.square(start - known.mean).sum(1).mean())
    assert value("train-train-error-ratio", seen) == pytest.approx(found[1] / found[0], rel=0.06)


def test_where_train_train_says_nothing():
    for name in ("train-train-alignment", "train-train-error-ratio"):
        applies = quantities.find(name).applies
        assert applies(watched(algorithm=Scratch())) == "Scratch is not trained"
        assert applies(watched(algorithm=Pretrain())).startswith("Pretrain is trained on pooled examples")
        assert applies(watched(algorithm=Reptile())).startswith("Reptile's meta-gradient is not the derivative")
    assert train_train.together(Episode(*(field[0] for field in watched().source(1)))).query_x.shape == (9, 3)
