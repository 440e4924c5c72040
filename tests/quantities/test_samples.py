"""Distances between training examples and those of a split, against closed forms and loops written out."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from metagap import quantities
from metagap.algorithms.maml import MAML
from metagap.algorithms.protonet import ProtoNet
from metagap.errors import UserError
from metagap.models.conv4 import Conv4
from metagap.models.mlp import MLP
from metagap.quantities import examples, task2vec
from metagap.quantities.a_distance import a_distance
from metagap.quantities.diversity import distance, mean_distance
from metagap.quantities.examples import Samples
from metagap.quantities.frechet import gaussian_distance, squared_frechet
from metagap.quantities.mmd import squared_mmd
from metagap.quantities.quantity import Watched
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec

IMAGES, POINTS = TaskSpec("classification", 3, 2, 3), TaskSpec("regression", 1, 5, 6)
TASKS = 5
OF_INPUTS = ["a-distance-inputs", "mmd-inputs", "frechet-inputs"]
OF_FEATURES = ["a-distance-features", "mmd-features", "frechet-features", "diversity"]
OF_CLASSES = ["silhouette-inputs", "silhouette-features", "fisher-ratio-inputs", "fisher-ratio-features"]


def tasks(spec: TaskSpec, seed: int, shift: float = 0.0) -> Episode:
    """Images whose classes differ in brightness, or points of waves; shift: of all inputs."""
    draw, has_ways = torch.Generator().manual_seed(seed), spec.kind.has_ways
    n, k = spec.ways * spec.shots, spec.ways * spec.queries
    x = torch.randn(TASKS, n + k, *((1, 12, 12) if has_ways else (1,)), generator=draw, dtype=torch.float64)
    y = torch.arange(spec.ways).repeat(TASKS, spec.shots + spec.queries) if has_ways else x.sin()
    if has_ways:
        x += y[..., None, None, None] * torch.rand(TASKS, 1, 1, 12, 12, generator=draw, dtype=torch.float64)
    x = x + shift
    return Episode(x[:, :n], y[:, :n], x[:, n:], y[:, n:], torch.zeros(TASKS, spec.ways, dtype=torch.long))


def watched(
    spec: TaskSpec = IMAGES, shift: float = 0.0, network: nn.Module | None = None, algorithm: Any = None
) -> Watched:
    """A learner before training, its training tasks, and other tasks of the same kind, perhaps shifted."""
    torch.manual_seed(0)
    if network is None:
        network = Conv4((1, 12, 12), spec.ways, filters=4) if spec.kind.has_ways else MLP((1,), 1, [6, 5])
    bound = (algorithm or MAML()).bind(network.double(), spec)
    meta = bound.init(network, 0, torch.Generator())
    nothing: Any = None
    return Watched(
        bound, meta, meta, 1, spec, Training(iterations=1), 0,
        lambda n: tasks(spec, 1).tasks(0, n), lambda n: tasks(spec, 2, shift).tasks(0, n), nothing, nothing, TASKS,
        lambda purpose: torch.Generator().manual_seed(len(purpose)),
    )  # fmt: skip


def normal(n: int, mean: list[float], root: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, len(mean))) @ root.T + mean


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def alone(a: np.ndarray, b: np.ndarray) -> Samples:
    each = np.arange(len(a) + len(b))
    return Samples(a, b, each, each)


# The distances themselves.


def test_a_distance_of_what_can_and_what_cannot_be_told_apart():
    same = alone(*(normal(400, [0, 0], np.eye(2), seed) for seed in (1, 2)))
    assert a_distance(same, generator()) == pytest.approx(0, abs=0.25)  # 4 standard deviations of an error of 1/2
    apart = alone(normal(50, [0, 0], np.eye(2), 1), normal(50, [9, 0], np.eye(2), 2))
    assert a_distance(apart, generator()) == 2
    # Two normal distributions at a distance of 2: the best error is the normal distribution's at -1.
    near = alone(normal(900, [0, 0], np.eye(2), 1), normal(900, [2, 0], np.eye(2), 2))
    assert a_distance(near, generator()) == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.13)


def test_a_distance_does_not_know_the_same_images_by_heart():
    few, each = normal(10, [0] * 30, np.eye(30), 1), np.arange(200)
    known = np.concatenate([np.repeat(np.arange(5), 20), np.repeat(np.arange(5, 10), 20)])
    a, b = np.split(few[known], 2)
    assert a_distance(alone(a, b), generator()) == 2
    assert a_distance(Samples(a, b, known, known), generator()) < 1
    with pytest.raises(UserError, match="share so many examples that none are left"):
        a_distance(Samples(a, a, np.tile(known[:100], 2), each), generator())
    with pytest.raises(UserError, match="needs 5 tasks of each side; there are 2"):
        a_distance(Samples(a, b, each, each // 50), generator())


def test_a_distance_holds_out_whole_tasks():
    """The examples of a task sum to zero, as after batch norm, so that each is the opposite of the others."""
    rng, found = np.random.default_rng(0), []
    for task in (np.arange(200) // 5, np.arange(200)):
        x = rng.normal(size=(40, 5, 40))
        a, b = np.split((x - x.mean(1, keepdims=True)).reshape(200, 40), 2)
        found.append(a_distance(Samples(a, b, np.arange(200), task), generator()))
    assert abs(found[0]) < 0.4 and found[1] < found[0] - 0.2


def test_mmd_by_a_double_loop():
    a, b = normal(7, [0, 0, 0], np.eye(3), 1), normal(9, [1, 0, 0], np.eye(3), 2)
    both = np.concatenate([a, b])
    width = np.median([np.linalg.norm(both[i] - both[j]) for i in range(16) for j in range(i)])

    def k(x, y):
        return np.exp(-np.sum((x - y) ** 2) / (2 * width**2))

    within = sum(
        sum(k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j) / (len(s) * (len(s) - 1))
        for s in (a, b)
    )
    across = sum(k(x, y) for x in a for y in b) / 63
    assert squared_mmd(a, b) == pytest.approx(within - 2 * across, rel=1e-12)


def test_mmd_is_unbiased():
    found = [squared_mmd(*np.split(normal(40, [0, 0], np.eye(2), seed), 2)) for seed in range(100)]
    assert np.mean(found) == pytest.approx(0, abs=3 * np.std(found) / 10)
    assert min(found) < 0


def test_frechet_of_known_gaussians():
    rng = np.random.default_rng(0)
    roots = [rng.normal(size=(4, 4)) for _ in range(2)]
    (a, b), (m, n) = [root @ root.T for root in roots], rng.normal(size=(2, 4))
    said = np.sum((m - n) ** 2) + np.trace(a + b - 2 * np.real(scipy.linalg.sqrtm(a @ b)))
    assert gaussian_distance(m, a, n, b) == pytest.approx(said, rel=1e-9)
    assert gaussian_distance(m, a, m, a) == pytest.approx(0, abs=1e-9)
    # Where covariances commute, it is the sum over the axes of what it is in one dimension.
    assert gaussian_distance(np.zeros(2), np.diag([4.0, 0]), np.ones(2), np.diag([9.0, 0])) == pytest.approx(3)
    samples = [normal(20_000, mean, root, 3 + i) for i, (mean, root) in enumerate(zip((m, n), roots, strict=True))]
    assert squared_frechet(*samples) == pytest.approx(said, rel=0.05)


# Samples.


def test_samples_have_the_scale_of_the_source():
    found = examples.inputs(watched(shift=3.0))
    assert found.source.shape == found.target.shape == (TASKS * 15, 144)
    assert found.source.var(0).sum() == pytest.approx(1)
    points = examples.inputs(watched(POINTS))
    assert points.source.shape == (TASKS * 11, 2)
    np.testing.assert_allclose(points.source.var(0), [1, 1])


def test_components_keep_the_distances(monkeypatch):
    monkeypatch.setattr(examples, "DIMENSIONS", 20)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(12, 300)), rng.normal(size=(8, 300))
    reduced = examples._reduced(a, b)
    assert [len(side) for side in reduced] == [12, 8]
    assert reduced[0].shape[1] == 20
    assert squared_mmd(*reduced) == pytest.approx(squared_mmd(a, b), rel=1e-9)


def test_features_are_those_of_a_task_as_one_batch():
    seen = watched()
    found = examples.task_features(seen, seen.target(TASKS))
    x, _ = examples.task_inputs(seen.target(TASKS))
    with torch.no_grad():
        torch.testing.assert_close(found, torch.stack([seen.algorithm.network.features(one) for one in x]))


@pytest.mark.parametrize("name", [*OF_INPUTS, *OF_FEATURES[:3]])
def test_a_shift_is_seen_and_nothing_is_left_to_chance(name):
    quantity = quantities.find(name)
    near, far = (quantity.measure(watched(POINTS, shift)) for shift in (0.0, 20.0))
    assert near == quantity.measure(watched(POINTS)) < far - 0.2


# Classes.


def test_separability_by_its_definition():
    seen = watched()
    x, y = (value[0].numpy() for value in examples.task_inputs(seen.target(1)))
    x = x.reshape(len(x), -1)
    widths = []
    for i in range(15):
        mean = [
            np.mean([np.linalg.norm(x[i] - x[j]) for j in range(15) if y[j] == c and j != i]) for c in range(3)
        ]  # fmt: skip
        own, other = mean[y[i]], min(np.delete(mean, y[i]))
        widths.append((other - own) / max(own, other))
    assert float(quantities.find("silhouette-inputs").measure(seen)[0]) == pytest.approx(np.mean(widths))
    centres = np.stack([x[y == c].mean(0) for c in range(3)])
    between = 5 * np.sum((centres - x.mean(0)) ** 2) / 2
    within = np.sum((x - centres[y]) ** 2) / 12
    assert float(quantities.find("fisher-ratio-inputs").measure(seen)[0]) == pytest.approx(between / within)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_separability_is_one_number_for_each_episode(name):
    found = quantities.find(name).measure(watched())
    assert found.shape == (TASKS,) and found.isfinite().all()


# Task2Vec.


def explicit_fisher(network, x, y, weight, bias) -> list[np.ndarray]:
    """The squared gradients of every example and class one by one, with batch statistics held."""
    frozen = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(lambda _, given, name=name: frozen.update({name: given[0]}))
    with torch.no_grad():
        network.features(x)
    total = None
    for one in x:
        z = one[None]
        for name, module in network.features.named_children():
            if isinstance(module, nn.BatchNorm2d):
                seen = frozen[f"features.{name}"]
                mean, var = seen.mean((0, 2, 3)), seen.var((0, 2, 3), correction=0)
                z = nn.functional.batch_norm(z, mean, var, module.weight, module.bias, training=False, eps=module.eps)
            else:
                z = module(z)
        output = (z @ weight.T + bias)[0]
        logs = output.log_softmax(0) if not y.is_floating_point() else None
        trained = [p for p in network.features.parameters() if p.ndim > 1]
        for c in range(len(output)):
            of = output[c] if logs is None else logs[c]
            chance = 1.0 if logs is None else logs[c].exp().item()
            slopes = torch.autograd.grad(of, trained, retain_graph=True)
            squares = [chance * slope.square().flatten(1).mean(1).numpy() for slope in slopes]
            total = squares if total is None else [a + b for a, b in zip(total, squares, strict=True)]
    assert total is not None
    return [one / len(x) for one in total]


@pytest.mark.parametrize("spec", [IMAGES, POINTS], ids=str)
def test_task2vec_by_a_gradient_for_each_example(spec):
    seen = watched(spec)
    x, y = (value[0] for value in examples.task_inputs(seen.target(1)))
    network, classes = seen.algorithm.network, spec.kind.has_ways
    weights = {name.removeprefix("features."): v for name, v in seen.meta.items() if name.startswith("features.")}
    found = task2vec.embedding(network.features, weights, x, y, classes=classes)
    with torch.no_grad():
        z = network.features(x)
    weight, bias = (torch.from_numpy(value) for value in task2vec.fitted_head(z, y, classes=classes))
    said = np.concatenate(explicit_fisher(network, x, y, weight, bias))
    np.testing.assert_allclose(found.numpy(), said, rtol=1e-8)


def test_a_head_for_two_classes_is_the_logistic_one():
    z, y = torch.from_numpy(normal(30, [0, 0], np.eye(2), 0)), torch.arange(30) % 2
    weight, bias = task2vec.fitted_head(z, y, classes=True)
    assert weight.shape == (2, 2) and np.allclose(weight.sum(0), 0) and np.isclose(bias.sum(), 0)


def test_diversity_by_its_definition():
    a, b = torch.tensor([1.0, 2, 0]), torch.tensor([3.0, 2, 0])
    p, q = np.array([0.25, 0.5, 0]), np.array([0.75, 0.5, 0])
    said = 1 - p @ q / np.linalg.norm(p) / np.linalg.norm(q)
    assert float(distance(a, b)) == pytest.approx(said)
    assert float(distance(a, 7 * a)) == pytest.approx(0, abs=1e-6)
    assert mean_distance(torch.stack([a, b, a])) == pytest.approx(2 * said / 3, rel=1e-6)


@pytest.mark.parametrize("spec", [IMAGES, POINTS], ids=str)
def test_diversity_is_a_distance(spec):
    assert 0 < quantities.find("diversity").measure(watched(spec)) < 1


# Where they do not apply.


@pytest.mark.parametrize("name", [*OF_FEATURES, "silhouette-features", "fisher-ratio-features"])
def test_no_features(name):
    quantity = quantities.find(name)
    assert quantity.applies(watched(algorithm=ProtoNet())) == ""
    plain = nn.Sequential(nn.Flatten(), nn.Linear(144, 3))
    assert quantity.applies(watched(network=plain)) == "model Sequential has no module `features`"
    seen = watched()
    renamed = dataclasses.replace(seen, meta={f"module.{name}": value for name, value in seen.meta.items()})
    assert quantity.applies(renamed).startswith("MAML does not keep the weights of the model's features")


def test_features_that_are_all_the_same_are_said():
    seen = watched()
    dead = dataclasses.replace(seen, meta={name: torch.zeros_like(value) for name, value in seen.meta.items()})
    with pytest.raises(UserError, match="cannot be told apart"):
        quantities.find("mmd-features").measure(dead)
    lost = dataclasses.replace(seen, meta={name: value * torch.nan for name, value in seen.meta.items()})
    for name in OF_FEATURES:
        with pytest.raises(UserError, match="not finite"):
            quantities.find(name).measure(lost)
    assert quantities.find("silhouette-features").measure(lost).isnan().all()
