"""MAML with the settings of the paper's suites against the formulas of the authors' code, in float64.

The loops below are written from cbfinn/maml (a7f45f1: maml.py, utils.py): cross-entropy is a vector over the examples
divided by the shots, whose gradient is that of its sum; the inner loop updates a dictionary of weights in which the
shifts of batch norm are not; batch norm has no scale and an epsilon of 0.001.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metagap import registry
from metagap.algorithms.base import GradientLearner
from metagap.algorithms.maml import FOMAML, MAML
from metagap.engine.layouts import in_layout
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy, parse
from metagap.models.conv4 import Conv4
from metagap.models.mlp import MLP
from metagap.tasks.episode import Episode, TaskSpec

SPEC = TaskSpec("classification", 3, 2, 4)
LR = 0.3


def conv4(**options) -> nn.Module:
    return Conv4((2, 16, 16), 3, filters=4, norm_eps=1e-3, **{"norm_scale": False, **options})


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "strided": conv4(head_std=1.0),
        "max": conv4(pooling="max"),
        "mlp": MLP((2, 16, 16), 3, [12, 8], batch_norm=True, weight_std=0.1, norm_scale=False, norm_eps=1e-3),
    }


def episodes(tasks: int = 2) -> Episode:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(tasks, 18, 2, 16, 16, dtype=torch.float64, generator=generator)
    y = torch.arange(3).repeat(tasks, 6)
    return Episode(x[:, :6], y[:, :6], x[:, 6:], y[:, 6:], torch.zeros(tasks, 3, dtype=torch.long))


def authors_forward(kind: str, weights: list, betas: list, x: torch.Tensor) -> torch.Tensor:
    """weights: of the layers in order, the head's weight and bias last. betas: the shifts of batch norm."""
    for weight, beta in zip(weights, betas, strict=False):
        x = x.flatten(1) @ weight.T if kind == "mlp" else F.conv2d(x, weight, None, 2 if kind == "strided" else 1, 1)
        dims = [0, *range(2, x.ndim)]
        mean = x.mean(dims, keepdim=True)
        variance = ((x - mean) ** 2).mean(dims, keepdim=True)
        x = (x - mean) / (variance + 0.001) ** 0.5 + beta.view(-1, *[1] * (x.ndim - 2))
        x = x.relu()
        x = F.max_pool2d(x, 2) if kind == "max" else x
    x = x.mean((2, 3)) if kind == "strided" else x.flatten(1)
    return x @ weights[-2].T + weights[-1]


def xent(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The vector of losses, divided by the shots."""
    return -logits.log_softmax(1)[torch.arange(len(y)), y] / SPEC.shots


def authors(kind: str, network: nn.Module, batch: Episode, steps: int, stop_grad: bool):
    """The outer gradient by name, and each task's adapted weights by name."""
    named = {name: p.detach().requires_grad_() for name, p in network.named_parameters()}
    norms = {name for name in named if name.startswith("features") and name.endswith("bias")}
    names = [name for name in named if name not in norms]
    weights, betas = [named[name] for name in names], [named[name] for name in named if name in norms]
    total, adapted = 0.0, []
    for support_x, support_y, query_x, query_y, _ in zip(*batch, strict=True):
        fast = weights
        for _ in range(steps):
            losses = xent(authors_forward(kind, fast, betas, support_x), support_y)
            gradients = torch.autograd.grad(losses, fast, torch.ones_like(losses), create_graph=True)
            gradients = [g.detach() for g in gradients] if stop_grad else gradients
            fast = [w - LR * g for w, g in zip(fast, gradients, strict=True)]
        adapted.append({**named, **dict(zip(names, fast, strict=True))})
        total = total + xent(authors_forward(kind, fast, betas, query_x), query_y).sum() / len(batch.support_x)
    return dict(zip(named, torch.autograd.grad(total, list(named.values())), strict=True)), adapted


PLANS = ["loop", "vmap", "loop channels-last", "vmap gemm"]


@pytest.mark.parametrize("first_order", [False, True], ids=["MAML", "FOMAML"])
@pytest.mark.parametrize(
    ("kind", "strategy"),
    [*((kind, strategy) for kind in ("strided", "max") for strategy in PLANS), ("mlp", "vmap"), ("mlp", "vmap traced")],
)
def test_gradients_are_those_of_the_authors_formulas(kind, strategy, first_order):
    network, batch = networks()[kind].double(), episodes()
    settings = {"inner_lr": LR, "inner_steps": 2, "inner_loss": "sum-over-shots", "adapt_norm": False}
    algorithm = (FOMAML if first_order else MAML)(**settings).bind(network, SPEC)
    meta = algorithm.init(network, 0, torch.Generator())
    expected, adapted = authors(kind, network, batch, 2, first_order)
    strategy = parse(strategy, Strategy())
    step = TaskMap(in_layout(algorithm, strategy.layout).meta_gradient, strategy, mean=True)
    gradient, _ = step(meta, batch)
    assert step.strategy == strategy  # nothing was given up
    assert set(gradient) == set(expected)
    scale = SPEC.ways * SPEC.queries / SPEC.shots  # of their outer loss against our mean
    for name in expected:
        torch.testing.assert_close(scale * gradient[name], expected[name], rtol=1e-8, atol=1e-11)
    for task, fast in enumerate(adapted):
        ours = algorithm.adapt(meta, Episode(*(field[task] for field in batch)).support, 2)
        for name in fast:
            torch.testing.assert_close(ours[name], fast[name].detach(), rtol=1e-9, atol=1e-12)


def learners() -> list[str]:
    return [n for n in registry.names("algorithm") if issubclass(registry.load("algorithm", n), GradientLearner)]


@pytest.mark.parametrize("name", learners())
def test_the_sum_over_shots_is_ways_times_the_mean_for_every_learner(name):
    """Its gradient is, so that a step size of LR is one of ways times LR on the mean."""
    torch.manual_seed(0)
    network, support = conv4(norm_scale=True).double(), Episode(*(field[0] for field in episodes())).support
    make = registry.load("algorithm", name)
    options = {"inner_steps": 1} | ({"inner_optimizer": "sgd", "inner_batch": 0} if name == "reptile" else {})
    rates = ((0.02, 0.02), (0.06, 0.06)) if name == "meta-sgd" else (0.02, 0.06)
    summed, mean = (
        make(inner_lr=rate, inner_loss=loss, **options).bind(network, SPEC)
        for rate, loss in zip(rates, ("sum-over-shots", "mean"), strict=True)
    )
    if name in ("baseline", "baseline-plus-plus"):  # weight decay is not scaled
        summed, mean = (a.model_copy(update={"weight_decay": 0.0}).bind(network, SPEC) for a in (summed, mean))
    if name == "imaml":  # neither is the pull back
        summed, mean = (a.model_copy(update={"proximity": 1e-300}).bind(network, SPEC) for a in (summed, mean))
    start = [
        {k: v.double() for k, v in a.init(network, 3, torch.Generator().manual_seed(0)).items()} for a in (summed, mean)
    ]
    ours, theirs = (a.adapt(meta, support, 1) for a, meta in zip((summed, mean), start, strict=True))
    moved = [key for key in ours if not key.startswith("rate/") and key in start[0]]
    assert any(not torch.equal(ours[key], start[0][key]) for key in moved) or name == "cavia"
    for key in ours:
        if not key.startswith("rate/"):
            torch.testing.assert_close(ours[key], theirs[key], rtol=1e-12, atol=1e-13)


def test_in_regression_the_loss_is_the_mean_either_way():
    network = MLP((1,), 1, [5]).double()
    spec, x = TaskSpec("regression", 1, 4, 2), torch.randn(4, 1, dtype=torch.float64)
    meta = MAML().bind(network, spec).init(network, 0, torch.Generator())
    support = Episode(x, x.square(), x, x, x).support
    summed, mean = (
        MAML(inner_loss=loss).bind(network, spec).adapt(meta, support, 2) for loss in ("sum-over-shots", "mean")
    )
    for name in mean:
        torch.testing.assert_close(summed[name], mean[name], rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in learners() if name not in ("anil", "cavia")])
def test_norm_that_the_inner_loop_leaves_alone(name):
    torch.manual_seed(0)
    network, support = conv4(norm_scale=True).double(), Episode(*(field[0] for field in episodes())).support
    algorithm = registry.load("algorithm", name)(adapt_norm=False).bind(network, SPEC)
    meta = {k: v.double() for k, v in algorithm.init(network, 3, torch.Generator().manual_seed(0)).items()}
    fast = algorithm.adapt(meta, support, 2)
    norm = {f"features.{i}.{part}" for i in (1, 4, 7, 10) for part in ("weight", "bias")}
    assert norm < set(meta)
    for key in norm:
        assert torch.equal(fast[key], meta[key])
    assert not torch.equal(fast["head.weight"], meta["head.weight"]) or name == "boil"
