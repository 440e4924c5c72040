"""Meta-gradients against learn2learn, against plain loops and against finite differences, in float64."""

from __future__ import annotations

import copy
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metagap.algorithms.controls import Pretrain, Scratch
from metagap.algorithms.maml import FOMAML, MAML
from metagap.algorithms.reptile import Reptile
from metagap.engine.layouts import in_layout
from metagap.engine.mapping import TaskMap
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy, parse
from metagap.models.conv4 import Conv4
from metagap.models.mlp import MLP
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec

l2l = pytest.importorskip("learn2learn")

VMAP, LOOP = Strategy("vmap"), Strategy("loop")
PLANS = [
    "vmap",
    "loop",
    "vmap channels-last",
    "loop channels-last",
    "vmap gemm",
    "loop gemm",
]
TRACED = ["vmap traced chunk=2", "vmap gemm traced", "loop channels-last traced recompute"]
COMPILED = ["vmap gemm compiled", "loop channels-last compiled recompute"]


def cases_and_strategies():
    """(first_order, case, strategy, steps).

    Of convolutions, what takes a while is done once: long inner loops in the usual layout, traces of the second order.
    """
    for first_order, case, strategy, steps in product((False, True), CASES, PLANS + TRACED + COMPILED, (1, 5)):
        if strategy in PLANS:
            slow = steps == 5 and "channels-last" in strategy and case != "mlp"
        else:
            slow = steps == 5 or strategy in COMPILED or "max-pool" in case or (first_order and case != "mlp")
        name = f"{'FOMAML' if first_order else 'MAML'}-{case}-{strategy}-{steps}"
        yield pytest.param(first_order, case, strategy, steps, marks=[pytest.mark.slow] * slow, id=name)


IMAGES = TaskSpec("classification", 3, 2, 2)
POINTS = TaskSpec("regression", 1, 6, 4)


def image_case(pooling: str = "stride") -> tuple[nn.Module, Episode, TaskSpec]:
    torch.manual_seed(0)
    size = 16 if pooling == "max" else 12
    network = Conv4((2, size, size), 3, filters=4, pooling=pooling).double()
    x = torch.randn(3, 12, 2, size, size, dtype=torch.float64)
    y = torch.arange(3).repeat(3, 2)
    classes = torch.tensor([[4, 1, 2], [0, 3, 4], [2, 1, 0]])
    return network, Episode(x[:, :6], y, x[:, 6:], y, classes), IMAGES


def point_case() -> tuple[nn.Module, Episode, TaskSpec]:
    torch.manual_seed(1)
    network = MLP((1,), 1, [8, 8]).double()
    x = torch.randn(4, 10, 1, dtype=torch.float64)
    y = torch.sin(3 * x) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
    return network, Episode(x[:, :6], y[:, :6], x[:, 6:], y[:, 6:], torch.empty(4, 0, dtype=torch.long)), POINTS


CASES = {
    "strided conv4 with batch norm": lambda: image_case("stride"),
    "max-pool conv4 with batch norm": lambda: image_case("max"),
    "mlp": point_case,
}


def loss_of(spec: TaskSpec):
    return F.cross_entropy if spec.kind == "classification" else F.mse_loss


def mean_gradient(algorithm, strategy=VMAP):
    return TaskMap(in_layout(algorithm, strategy.layout).meta_gradient, strategy, mean=True)


def learn2learn_gradient(network, episodes, spec, lr, steps, first_order):
    learner = l2l.algorithms.MAML(copy.deepcopy(network), lr=lr, first_order=first_order, allow_unused=False)
    loss = loss_of(spec)
    total = 0.0
    for support_x, support_y, query_x, query_y, _ in zip(*episodes, strict=True):
        clone = learner.clone()
        for _ in range(steps):
            clone.adapt(loss(clone(support_x), support_y))
        total = total + loss(clone(query_x), query_y) / len(episodes.support_x)
    total.backward()
    return {name: parameter.grad for name, parameter in learner.module.named_parameters()}, total.detach()


def relative_error(ours, theirs):
    ours, theirs = (torch.cat([params[name].flatten() for name in sorted(theirs)]) for params in (ours, theirs))
    return float(((ours - theirs).norm() / theirs.norm()).detach())


@pytest.mark.parametrize(("first_order", "case", "strategy", "steps"), list(cases_and_strategies()))
def test_agrees_with_learn2learn(first_order, case, strategy, steps):
    network, episodes, spec = CASES[case]()
    algorithm = (FOMAML if first_order else MAML)(inner_lr=0.1, inner_steps=steps).bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator())
    step = mean_gradient(algorithm, parse(strategy, Strategy()))
    gradient, metrics = step(meta, episodes)
    assert step.strategy == parse(strategy, Strategy())  # nothing was given up
    theirs, loss = learn2learn_gradient(network, episodes, spec, 0.1, steps, first_order)
    assert relative_error(gradient, theirs) < 1e-9
    torch.testing.assert_close(metrics["loss"], loss, rtol=1e-12, atol=0)


def test_second_order_matters():
    network, episodes, spec = image_case()
    exact, first = (
        mean_gradient(a.bind(network, spec))(dict(network.named_parameters()), episodes)[0]
        for a in (MAML(inner_lr=0.1), FOMAML(inner_lr=0.1))
    )
    assert relative_error(first, exact) > 1e-2


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("case", CASES)
def test_maml_agrees_with_finite_differences(case, steps):
    network, episodes, spec = CASES[case]()
    task = Episode(*(field[0] for field in episodes))
    algorithm = MAML(inner_lr=0.05, inner_steps=steps).bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator())
    gradient, _ = algorithm.meta_gradient(meta, task)

    def query_loss(meta):
        return algorithm.loss(algorithm.predict(algorithm.adapt(meta, task.support, steps), task.query_x), task.query_y)

    torch.manual_seed(2)
    for _ in range(3):
        direction = {name: torch.randn_like(value) for name, value in meta.items()}
        h = 1e-6
        ahead, behind = (
            query_loss({name: value + sign * h * direction[name] for name, value in meta.items()}) for sign in (1, -1)
        )
        slope = sum((gradient[name] * direction[name]).sum() for name in meta)
        torch.testing.assert_close((ahead - behind) / (2 * h), slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("inner_batch", [0, 2, 4])
def test_reptile_agrees_with_a_plain_loop(optimizer, inner_batch):
    network, episodes, spec = point_case()
    algorithm = Reptile(inner_lr=0.02, inner_steps=5, inner_optimizer=optimizer, inner_batch=inner_batch)
    algorithm = algorithm.bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator())
    gradient, _ = mean_gradient(algorithm)(meta, episodes)
    expected = {name: torch.zeros_like(value) for name, value in meta.items()}
    for x, y in zip(episodes.support_x, episodes.support_y, strict=True):
        copied = copy.deepcopy(network)
        if optimizer == "adam":
            inner = torch.optim.Adam(copied.parameters(), lr=0.02, betas=(0.0, 0.999))
        else:
            inner = torch.optim.SGD(copied.parameters(), lr=0.02)
        for step in range(5):
            batch = inner_batch or len(x)
            index = [(step * batch + i) % len(x) for i in range(batch)]
            inner.zero_grad()
            F.mse_loss(copied(x[index]), y[index]).backward()
            inner.step()
        for name, parameter in copied.named_parameters():
            expected[name] += (meta[name] - parameter.detach()) / len(episodes.support_x)
    assert relative_error(gradient, expected) < 1e-9


def test_reptile_takes_nothing_from_the_query_set():
    network, episodes, spec = point_case()
    algorithm = Reptile(inner_optimizer="sgd").bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator())
    step = mean_gradient(algorithm)
    changed = episodes._replace(query_x=episodes.query_x + 1, query_y=-episodes.query_y)
    first, second = step(meta, episodes)[0], step(meta, changed)[0]
    assert all(torch.equal(first[name], second[name]) for name in meta)


def test_pretrain_is_one_classifier_of_all_training_classes():
    network, episodes, spec = image_case()
    algorithm = Pretrain(inner_lr=0.1).bind(network, spec)
    generator = torch.Generator().manual_seed(0)
    meta = {name: value.double() for name, value in algorithm.init(network, 5, generator).items()}
    gradient, metrics = OuterLoop(algorithm, meta, Training(iterations=1), VMAP).gradient(episodes)
    pooled = copy.deepcopy(network)
    pooled.head = nn.Linear(meta["head.weight"].shape[1], 5).double()
    pooled.load_state_dict(meta)
    x = torch.cat([torch.cat([a, b]) for a, b in zip(episodes.support_x, episodes.query_x, strict=True)])
    labels = torch.cat([c[y].repeat(2) for c, y in zip(episodes.classes, episodes.query_y, strict=True)])
    total = F.cross_entropy(pooled(x), labels)
    total.backward()
    assert relative_error(gradient, {name: p.grad for name, p in pooled.named_parameters()}) < 1e-9
    torch.testing.assert_close(metrics["loss"], total.detach())


def test_pretrain_starts_each_task_without_a_preference():
    network, episodes, spec = image_case()
    algorithm = Pretrain(inner_lr=0.1).bind(network, spec)
    meta = {name: v.double() for name, v in algorithm.init(network, 5, torch.Generator().manual_seed(0)).items()}
    task = Episode(*(field[0] for field in episodes))
    before = algorithm.predict(algorithm.adapt(meta, task.support, 0), task.query_x)
    assert before.shape == (6, 3)
    assert not before.any()


def test_scratch_adapts_as_maml_does():
    network, episodes, spec = image_case()
    task = Episode(*(field[0] for field in episodes))
    ours, maml = (a.bind(network, spec) for a in (Scratch(inner_lr=0.3), MAML(inner_lr=0.3)))
    meta = maml.init(network, 0, torch.Generator())
    first, second = ours.adapt(meta, task.support, 4), maml.adapt(meta, task.support, 4)
    assert all(torch.equal(first[name], second[name]) for name in meta)


@pytest.mark.parametrize("algorithm", [MAML, FOMAML, Reptile, Pretrain, Scratch])
def test_the_path_ends_where_adapt_ends(algorithm):
    network, episodes, spec = image_case()
    task = Episode(*(field[0] for field in episodes))
    bound = algorithm().bind(network, spec)
    meta = bound.init(network, 0, torch.Generator())
    path = bound.adapt_path(meta, task.support, 3)
    assert len(path) == 4
    for steps, fast in enumerate(path):
        direct = bound.adapt(meta, task.support, steps)
        assert all(torch.equal(fast[name], direct[name]) for name in fast)


def test_vmap_agrees_with_a_loop_through_batch_norm():
    """Differentiating a mapped loss goes wrong in second order; mapping the whole gradient does not."""
    network, episodes, spec = image_case()
    algorithm = MAML(inner_lr=0.2, inner_steps=3).bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator())
    mapped, looped = (mean_gradient(algorithm, how)(meta, episodes)[0] for how in (VMAP, LOOP))
    assert relative_error(mapped, looped) < 1e-12
