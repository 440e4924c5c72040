"""The relatives of MAML: against learn2learn, plain loops and finite differences, in float64, on every path."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from metagap.algorithms.anil import ANIL
from metagap.algorithms.base import PROGRESS
from metagap.algorithms.boil import BOIL
from metagap.algorithms.cavia import BIAS, CAVIA, CONTEXT, MAP, modulated_layer
from metagap.algorithms.imaml import IMAML, conjugate_gradient
from metagap.algorithms.maml import FOMAML, MAML
from metagap.algorithms.maml_plus_plus import MAMLPlusPlus
from metagap.algorithms.meta_sgd import MetaSGD
from metagap.algorithms.proto_maml import ProtoMAML
from metagap.engine.evaluate import evaluate
from metagap.engine.layouts import in_layout
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy, parse
from metagap.errors import UserError
from metagap.models.conv4 import Conv4
from metagap.models.mlp import MLP
from metagap.tasks.episode import Episode, TaskSpec

LOOP = Strategy("loop")
PLANS = ["vmap", "vmap traced", "loop channels-last traced recompute"]
GALLERY = {
    "anil": ANIL(inner_lr=0.5, inner_steps=2),
    "boil": BOIL(inner_lr=0.2, inner_steps=2),
    "meta-sgd": MetaSGD(inner_steps=2),
    "maml++": MAMLPlusPlus(inner_lr=0.1, inner_steps=2),
    "cavia": CAVIA(inner_lr=0.5, context_size=6),
    "proto-maml": ProtoMAML(inner_lr=0.1, inner_steps=2),
    "imaml": IMAML(inner_steps=2, cg_steps=2),
}
FOR_REGRESSION = [name for name in GALLERY if name != "proto-maml"]


class Conv2(nn.Module):
    """Half of conv4: what takes time here is tracing."""

    def __init__(self):
        super().__init__()
        modules = [
            layer
            for channels in (2, 4)
            for layer in (
                nn.Conv2d(channels, 4, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(4, track_running_stats=False),
                nn.ReLU(),
            )
        ]
        self.features = nn.Sequential(*modules, nn.Flatten())
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.features(x))


def image_case() -> tuple[nn.Module, Episode, TaskSpec]:
    torch.manual_seed(0)
    network = Conv2().double()
    x = torch.randn(2, 12, 2, 8, 8, dtype=torch.float64)
    y = torch.arange(3).repeat(2, 2)
    return network, Episode(x[:, :6], y, x[:, 6:], y, torch.arange(3).repeat(2, 1)), TaskSpec("classification", 3, 2, 2)


def point_case() -> tuple[nn.Module, Episode, TaskSpec]:
    torch.manual_seed(1)
    network = MLP((1,), 1, [8, 8]).double()
    x = torch.randn(2, 10, 1, dtype=torch.float64)
    y = torch.sin(3 * x) * torch.tensor([1.0, 2.0])[:, None, None]
    none = torch.empty(2, 0, dtype=torch.long)
    return network, Episode(x[:, :6], y[:, :6], x[:, 6:], y[:, 6:], none), TaskSpec("regression", 1, 6, 4)


CASES = {"images": image_case, "points": point_case}


def start(algorithm, case, progress: float = 0.05):
    """A bound algorithm with its meta-parameters, and the tasks."""
    network, episodes, spec = case()
    bound = algorithm.bind(network, spec)
    meta = bound.init(network, 3 if spec.kind == "classification" else 0, torch.Generator().manual_seed(0))
    meta = {name: value.double() for name, value in meta.items()}
    if PROGRESS in meta:
        meta[PROGRESS].fill_(progress)
    return bound, meta, episodes


def first(episodes: Episode) -> Episode:
    return Episode(*(field[0] for field in episodes))


def mean_gradient(algorithm, strategy=LOOP):
    return TaskMap(in_layout(algorithm, strategy.layout).meta_gradient, strategy, mean=True)


def relative_error(ours, theirs):
    ours, theirs = (torch.cat([params[name].flatten() for name in sorted(theirs)]) for params in (ours, theirs))
    return float(((ours - theirs).norm() / theirs.norm()).detach())


def loss_of(episodes: Episode):
    return F.mse_loss if episodes.query_y.is_floating_point() else F.cross_entropy


# What holds for all of them.


def paths() -> Iterator[Any]:
    """Long traces of convolutions take a while: one strategy traces these, and the other one the points."""
    for name, strategy, case in product(GALLERY, PLANS, CASES):
        if case == "images" or name in FOR_REGRESSION:
            long = "traced" in strategy and (strategy == "vmap traced") == (case == "images")
            yield pytest.param(name, strategy, case, marks=[pytest.mark.slow] if long else [])


@pytest.mark.parametrize(("name", "strategy", "case"), list(paths()))
def test_all_paths_agree(name, strategy, case):
    algorithm, meta, episodes = start(GALLERY[name], CASES[case])
    step = mean_gradient(algorithm, parse(strategy, Strategy()))
    gradient, metrics = step(meta, episodes)
    assert step.strategy == parse(strategy, Strategy())  # nothing was given up
    expected, plain = mean_gradient(algorithm)(meta, episodes)
    assert gradient.keys() == meta.keys()
    assert relative_error(gradient, expected) < 1e-9
    torch.testing.assert_close(metrics, plain, rtol=1e-9, atol=0)


@pytest.mark.parametrize("strategy", ["vmap", "loop channels-last traced"])
@pytest.mark.parametrize("name", GALLERY)
def test_evaluation_with_fewer_ways_and_more_steps(name, strategy):
    algorithm, meta, episodes = start(GALLERY[name], image_case)
    two_ways = TaskSpec("classification", 2, 2, 2)
    kept = [field[:, torch.tensor([0, 1, 3, 4])] for field in episodes[:4]]
    episodes = Episode(*kept, episodes.classes[:, :2])
    assert episodes.query_y.max() == 1
    algorithm = algorithm.bind(algorithm.network, two_ways)
    expected, scores = (
        evaluate(algorithm, meta, episodes, two_ways, 3, p) for p in (LOOP, parse(strategy, Strategy()))
    )
    for key, value in scores.items():
        assert value.shape == (2, 4)
        assert value.isfinite().all()
        torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-12)
    last = evaluate(algorithm, meta, episodes, two_ways, 3, LOOP, last_only=True)
    torch.testing.assert_close(last["query_loss"], expected["query_loss"][:, 3:])


@pytest.mark.parametrize("name", GALLERY)
def test_the_path_ends_where_adapt_ends_and_starts_with_the_meta_parameters(name):
    for case in CASES.values() if name in FOR_REGRESSION else [image_case]:
        algorithm, meta, episodes = start(GALLERY[name], case)
        path = algorithm.adapt_path(meta, first(episodes).support, 4)
        assert len(path) == 5
        for steps, fast in enumerate(path):
            direct = algorithm.adapt(meta, first(episodes).support, steps)
            assert all(torch.equal(fast[key], direct[key]) for key in fast)
        made = {"head.weight", "head.bias"} if name == "proto-maml" else set()
        assert all(torch.equal(path[0][key], meta[key]) for key in meta.keys() - made)


EXACT = {
    **{name: GALLERY[name] for name in ("anil", "boil", "meta-sgd", "cavia")},
    "maml++": MAMLPlusPlus(inner_lr=0.1, inner_steps=3, multi_step_share=0, first_order_share=0),
    "proto-maml": ProtoMAML(inner_lr=0.1, inner_steps=2, first_order=False),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", EXACT)
def test_agrees_with_finite_differences(name, case):
    if case == "points" and name not in FOR_REGRESSION:
        return
    algorithm, meta, episodes = start(EXACT[name], CASES[case])
    task = first(episodes)
    gradient, _ = algorithm.meta_gradient(meta, task)

    def query_loss(meta):
        fast = algorithm.adapt(meta, task.support, algorithm.inner_steps)
        return algorithm.loss(algorithm.predict(fast, task.query_x), task.query_y)

    torch.manual_seed(2)
    learned = meta.keys() - {PROGRESS}
    for _ in range(3):
        direction = {key: torch.randn_like(meta[key]) for key in learned}
        h = 1e-6
        ahead, behind = (
            query_loss({**meta, **{key: meta[key] + sign * h * direction[key] for key in learned}}) for sign in (1, -1)
        )
        slope = sum((gradient[key] * direction[key]).sum() for key in learned)
        torch.testing.assert_close((ahead - behind) / (2 * h), slope, rtol=1e-5, atol=1e-7)


# ANIL and BOIL.


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_anil_is_maml_on_the_head_of_frozen_features(case):
    l2l = pytest.importorskip("learn2learn")
    algorithm, meta, episodes = start(GALLERY["anil"], case)
    gradient, metrics = mean_gradient(algorithm)(meta, episodes)
    network, loss, total = copy.deepcopy(algorithm.network), loss_of(episodes), 0.0
    head = l2l.algorithms.MAML(network.head, lr=0.5)
    for task in map(Episode._make, zip(*episodes, strict=True)):
        clone = head.clone()
        for _ in range(2):
            clone.adapt(loss(clone(network.features(task.support_x)), task.support_y))
        total = total + loss(clone(network.features(task.query_x)), task.query_y) / len(episodes.support_x)
    total.backward()
    assert relative_error(gradient, {name: p.grad for name, p in network.named_parameters()}) < 1e-9
    torch.testing.assert_close(metrics["loss"], total.detach())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_boil_agrees_with_a_plain_loop(case):
    algorithm, meta, episodes = start(GALLERY["boil"], case)
    gradient, _ = mean_gradient(algorithm)(meta, episodes)
    weights = {name: value.clone().requires_grad_() for name, value in meta.items()}
    network, loss, total = algorithm.network, loss_of(episodes), 0.0
    for task in map(Episode._make, zip(*episodes, strict=True)):
        fast = dict(weights)
        for _ in range(2):
            inner = loss(functional_call(network, fast, task.support_x), task.support_y)
            body = [name for name in fast if name not in ("head.weight", "head.bias")]
            slopes = torch.autograd.grad(inner, [fast[name] for name in body], create_graph=True)
            fast |= {name: fast[name] - 0.2 * slope for name, slope in zip(body, slopes, strict=True)}
        total = total + loss(functional_call(network, fast, task.query_x), task.query_y) / len(episodes.support_x)
    total.backward()
    assert relative_error(gradient, {name: value.grad for name, value in weights.items()}) < 1e-9


@pytest.mark.parametrize(("name", "head_moves"), [("anil", True), ("boil", False)])
def test_anil_changes_the_head_only_and_boil_all_but_the_head(name, head_moves):
    algorithm, meta, episodes = start(GALLERY[name], image_case)
    fast = algorithm.adapt(meta, first(episodes).support, 2)
    for key in meta:
        assert torch.equal(fast[key], meta[key]) != (key.startswith("head.") == head_moves), key


# Meta-SGD.


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_meta_sgd_agrees_with_learn2learn(case):
    l2l = pytest.importorskip("learn2learn")
    algorithm, meta, episodes = start(GALLERY["meta-sgd"], case)
    gradient, metrics = mean_gradient(algorithm)(meta, episodes)
    network, loss, total = copy.deepcopy(algorithm.network), loss_of(episodes), 0.0
    names = [name for name, _ in network.named_parameters()]
    rates = nn.ParameterList([nn.Parameter(meta[f"rate/{name}"].clone()) for name in names])
    learner = l2l.algorithms.MetaSGD(network, lrs=rates)
    for task in map(Episode._make, zip(*episodes, strict=True)):
        clone = learner.clone()
        for _ in range(2):
            clone.adapt(loss(clone(task.support_x), task.support_y))
        total = total + loss(clone(task.query_x), task.query_y) / len(episodes.support_x)
    total.backward()
    theirs = {name: p.grad for name, p in network.named_parameters()}
    theirs |= {f"rate/{name}": rate.grad for name, rate in zip(names, rates, strict=True)}
    assert relative_error(gradient, theirs) < 1e-9
    torch.testing.assert_close(metrics["loss"], total.detach())


def test_meta_sgd_draws_its_rates_from_the_generator():
    network, _, spec = point_case()
    algorithm = MetaSGD().bind(network, spec)
    one, same, other = (algorithm.init(network, 0, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    rates = torch.cat([value.flatten() for name, value in one.items() if name.startswith("rate/")])
    assert 0.005 <= rates.min() < 0.02
    assert 0.09 < rates.max() <= 0.1
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["rate/head.weight"], other["rate/head.weight"])


# MAML++.


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize(("progress", "like"), [(0.2, FOMAML), (0.7, MAML)])
def test_maml_plus_plus_goes_from_the_first_order_to_maml(case, progress, like):
    settings = {"inner_lr": 0.1, "inner_steps": 3}
    algorithm, meta, episodes = start(
        MAMLPlusPlus(multi_step_share=0, first_order_share=0.5, **settings), case, progress
    )
    gradient, metrics = mean_gradient(algorithm)(meta, episodes)
    weights = {name: value for name, value in meta.items() if name in dict(algorithm.network.named_parameters())}
    maml = like(**settings).bind(algorithm.network, algorithm.spec)
    expected, plain = mean_gradient(maml)(weights, episodes)
    assert relative_error(gradient, expected) < 1e-9
    torch.testing.assert_close(metrics, plain, rtol=1e-12, atol=0)


def test_the_weights_of_the_multi_step_loss_move_to_the_last_step():
    algorithm = MAMLPlusPlus(inner_steps=4, multi_step_share=0.2)
    weights = torch.stack([algorithm.step_weights(torch.tensor(p)) for p in (0.0, 0.05, 0.1, 0.2, 0.7, 1.0)])
    torch.testing.assert_close(weights.sum(1), torch.ones(6))
    torch.testing.assert_close(weights[0], torch.full((4,), 0.25))
    torch.testing.assert_close(weights[2], torch.tensor([0.125, 0.125, 0.125, 0.625]))
    torch.testing.assert_close(weights[3:], torch.tensor([0.0, 0.0, 0.0, 1.0]).expand(3, 4))
    at_once = MAMLPlusPlus(inner_steps=4, multi_step_share=0)
    torch.testing.assert_close(at_once.step_weights(torch.tensor(0.0)), torch.tensor([0.0, 0.0, 0.0, 1.0]))


def test_the_multi_step_loss_is_that_of_mamls_of_every_length():
    algorithm, meta, episodes = start(
        MAMLPlusPlus(inner_lr=0.1, inner_steps=3, multi_step_share=0.2, first_order_share=0), image_case, 0.1
    )
    gradient, _ = mean_gradient(algorithm)(meta, episodes)
    weights = {name: value for name, value in meta.items() if name in dict(algorithm.network.named_parameters())}
    expected = {name: torch.zeros_like(value) for name, value in weights.items()}
    for steps, weight in enumerate([1 / 6, 1 / 6, 2 / 3], start=1):
        maml = MAML(inner_lr=0.1, inner_steps=steps).bind(algorithm.network, algorithm.spec)
        part, _ = mean_gradient(maml)(weights, episodes)
        expected = {name: value + weight * part[name] for name, value in expected.items()}
    assert relative_error(gradient, expected) < 1e-9


def test_maml_plus_plus_has_a_rate_for_every_layer_and_step():
    algorithm, meta, episodes = start(GALLERY["maml++"], point_case)
    support = first(episodes).support
    meta["rate/head.bias"] = torch.tensor([0.1, 0.3], dtype=torch.float64)
    path = algorithm.adapt_path(meta, support, 5)
    for step, rate in enumerate([0.1, 0.3, 0.3, 0.3, 0.3]):  # the last one goes on beyond the trained steps
        slope = torch.func.grad(algorithm.support_loss)(path[step], support)["head.bias"]
        torch.testing.assert_close(path[step + 1]["head.bias"], path[step]["head.bias"] - rate * slope)


def importance(epoch, steps, epochs):
    """The weights of the losses as the authors' code has them, for the epochs with losses after every step."""
    weights = np.full(steps, 1 / steps)
    decay, least = 1 / steps / epochs, 0.03 / steps
    last = min(weights[-1] + epoch * (steps - 1) * decay, 1 - (steps - 1) * least)
    return np.append(np.maximum(weights[:-1] - epoch * decay, least), last)


@pytest.mark.parametrize("epoch", [0, 1, 7, 14])
def test_the_weights_of_the_multi_step_loss_in_the_authors_code(epoch):
    algorithm = MAMLPlusPlus(inner_steps=5, multi_step_share=0.15, multi_step_floor=0.03, epochs=100)
    for iteration in (0, 250, 499):  # of the 500 in an epoch of 100
        progress = torch.tensor((500 * epoch + iteration) / 50_000)
        expected = torch.tensor(importance(epoch, 5, 15), dtype=torch.float32)
        torch.testing.assert_close(algorithm.step_weights(progress), expected)
    last = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0])
    assert torch.equal(algorithm.step_weights(torch.tensor(0.15)), last)
    assert all(len(algorithm.step_weights(torch.tensor(i / 50_000)).unique()) == 1 for i in range(500))


@pytest.mark.parametrize("first_order_share", [0.0, 1.0])
def test_maml_plus_plus_of_the_authors_code(first_order_share):
    """Every step has batch norm weights of its own, for support set and queries, and all else adapts."""
    settings = {"multi_step_share": 0.5, "multi_step_floor": 0.03, "epochs": 4, "first_order_share": first_order_share}
    algorithm, meta, episodes = start(
        MAMLPlusPlus(inner_lr=0.1, inner_steps=3, per_step_norm=True, **settings), image_case, 0.3
    )
    generator = torch.Generator().manual_seed(1)
    for name, value in meta.items():  # weights and step sizes of their own for every step
        if "/" in name:
            value += 0.1 * torch.rand(value.shape, generator=generator)
    gradient, metrics = mean_gradient(algorithm)(meta, episodes)
    norms = ["features.1.weight", "features.1.bias", "features.4.weight", "features.4.bias"]
    assert {name for name in meta if name.startswith("step/")} == {f"step/{name}" for name in norms}
    assert not any(f"rate/{name}" in meta for name in norms)

    weights = {name: value.clone().requires_grad_() for name, value in meta.items() if name != PROGRESS}
    adapted = [name for name in weights if "/" not in name and name not in norms]
    total, last = 0.0, 0.0
    for task in map(Episode._make, zip(*episodes, strict=True)):
        fast = {name: weights[name] for name in adapted}
        for step, share in enumerate(importance(1, 3, 2)):
            norm = {name: weights[f"step/{name}"][step] for name in norms}
            inner = F.cross_entropy(functional_call(algorithm.network, fast | norm, task.support_x), task.support_y)
            slopes = torch.autograd.grad(inner, [fast[name] for name in adapted], create_graph=True)
            slopes = [slope.detach() if first_order_share else slope for slope in slopes]
            rates = [weights[f"rate/{name}"][step] for name in adapted]
            fast = {n: fast[n] - rate * slope for n, rate, slope in zip(adapted, rates, slopes, strict=True)}
            outer = F.cross_entropy(functional_call(algorithm.network, fast | norm, task.query_x), task.query_y)
            total = total + share * outer / len(episodes.support_x)
        last = last + outer.detach() / len(episodes.support_x)
    total.backward()
    expected = {n: torch.zeros_like(v) if v.grad is None else v.grad for n, v in weights.items()}
    assert relative_error({name: gradient[name] for name in expected}, expected) < 1e-9
    torch.testing.assert_close(metrics["loss"], last)


def test_every_kind_of_normalisation_may_have_weights_for_every_step():
    network = nn.Sequential(nn.LayerNorm((2, 3)), nn.Flatten(), nn.Linear(6, 2), nn.BatchNorm1d(2))
    bound = MAMLPlusPlus(inner_steps=4, per_step_norm=True).bind(network, TaskSpec("classification", 2, 1, 1))
    meta = bound.init(network, 2, torch.Generator())
    assert meta["step/0.weight"].shape == (4, 2, 3)
    assert meta["step/3.bias"].shape == (4, 2)
    assert {name for name in meta if name.startswith("rate/")} == {"rate/2.weight", "rate/2.bias"}


def test_normalisation_for_every_step_needs_some():
    bound = MAMLPlusPlus(per_step_norm=True).bind(MLP((1,), 1), TaskSpec("regression", 1, 1, 1))
    with pytest.raises(UserError, match=r"per_step_norm = true needs normalisation .* model MLP has none"):
        bound.check_network()
    MAMLPlusPlus().bind(MLP((1,), 1), TaskSpec("regression", 1, 1, 1)).check_network()


def test_steps_beyond_the_trained_ones_have_the_last_ones_normalisation():
    algorithm, meta, episodes = start(MAMLPlusPlus(inner_lr=0.1, inner_steps=2, per_step_norm=True), image_case)
    meta["step/features.1.bias"][0] = 1.0
    meta["step/features.1.bias"][1] = 2.0
    path = algorithm.adapt_path(meta, first(episodes).support, 4)
    assert [float(fast["features.1.bias"][0]) for fast in path] == [1.0, 1.0, 2.0, 2.0, 2.0]


# CAVIA.


@pytest.mark.parametrize(
    ("case", "film"), [(image_case, "residual"), (image_case, "plain"), (point_case, "residual"), (point_case, "plain")]
)
def test_cavia_agrees_with_a_plain_loop(case, film):
    algorithm, meta, episodes = start(CAVIA(inner_lr=0.5, context_size=6, film=film), case)
    gradient, _ = mean_gradient(algorithm)(meta, episodes)
    weights = {name: value.clone().requires_grad_() for name, value in meta.items()}
    network, loss, total = algorithm.network, loss_of(episodes), 0.0

    def output(context, x):
        """Written for the two networks layer by layer: FiLM after the last batch norm; a wider first layer."""
        own = {name: value for name, value in weights.items() if name not in (MAP, BIAS)}
        change = weights[MAP] @ context
        for name, module in network.features.named_children():
            x = functional_call(module, {k.split(".")[2]: v for k, v in own.items() if f"features.{name}." in k}, x)
            if case is image_case and name == "4":
                gamma, beta = change[:4, None, None], change[4:, None, None]
                if film == "plain":
                    x = (gamma + weights[BIAS][:4, None, None]) * x + beta + weights[BIAS][4:, None, None]
                else:
                    x = (1 + gamma) * x + beta
            if case is point_case and name == "1":
                x = x + change
        return F.linear(x, own["head.weight"], own["head.bias"])

    for task in map(Episode._make, zip(*episodes, strict=True)):
        context = torch.zeros(6, dtype=torch.float64, requires_grad=True)
        for _ in range(2):
            inner = loss(output(context, task.support_x), task.support_y)
            context = context - 0.5 * torch.autograd.grad(inner, context, create_graph=True)[0]
        total = total + loss(output(context, task.query_x), task.query_y) / len(episodes.support_x)
    total.backward()
    assert relative_error(gradient, {name: value.grad for name, value in weights.items()}) < 1e-9


def test_a_plain_map_starts_as_in_the_authors_code():
    network, _, spec = image_case()
    meta = CAVIA(film="plain").bind(network, spec).init(network, 3, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    theirs = nn.Linear(100, 8)
    nn.init.kaiming_uniform_(theirs.weight, nonlinearity="linear")
    for ours, published, bound in ((meta[MAP], theirs.weight, 3**0.5 / 10), (meta[BIAS], theirs.bias, 0.1)):
        assert ours.shape == published.shape
        for values in (ours, published):
            assert 0.5 * bound < values.abs().max() <= bound
    network, _, spec = point_case()  # without batch norm there is nothing to scale
    assert BIAS not in CAVIA(film="plain").bind(network, spec).init(network, 0, torch.Generator())


def test_cavia_adapts_the_context_and_nothing_else():
    for case, rows, size in ((image_case, 8, 100), (point_case, 8, 5)):
        algorithm, meta, episodes = start(CAVIA(), case)
        assert meta[MAP].shape == (rows, size)
        fast = algorithm.adapt(meta, first(episodes).support, 2)
        assert fast[CONTEXT].shape == (size,)
        assert fast[CONTEXT].any()
        assert all(torch.equal(fast[name], meta[name]) for name in meta)


def test_cavia_modulates_the_third_batch_norm_or_the_first_layer():
    assert modulated_layer(Conv4((1, 16, 16), 3, filters=4, pooling="max")) == ("features.9", True)
    assert modulated_layer(Conv4((1, 12, 12), 3, filters=4)) == ("features.7", True)
    assert modulated_layer(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))) == ("1", True)
    assert modulated_layer(MLP((1,), 1)) == ("features.1", False)
    with pytest.raises(UserError, match=r"'features.7' gives, which has no scale"):
        modulated_layer(Conv4((1, 12, 12), 3, filters=4, norm_scale=False))
    with pytest.raises(UserError, match="neither"):
        modulated_layer(nn.Sequential(nn.Conv2d(1, 4, 3)))


# Proto-MAML.


def test_proto_maml_starts_as_a_prototypical_network():
    algorithm, meta, episodes = start(GALLERY["proto-maml"], image_case)
    task = first(episodes)
    logits = algorithm.predict(algorithm.adapt(meta, task.support, 0), task.query_x)
    support, query = (algorithm.network.features(x) for x in (task.support_x, task.query_x))
    prototypes = torch.stack([support[task.support_y == label].mean(0) for label in range(3)])
    expected = (-(torch.cdist(query, prototypes) ** 2)).softmax(1)
    torch.testing.assert_close(logits.softmax(1), expected.detach(), rtol=1e-9, atol=0)


def test_proto_maml_reaches_the_features_through_the_prototypes():
    """Without inner steps it is a prototypical network, and first order or not makes no difference."""
    gradients = []
    for first_order in (True, False):
        algorithm, meta, episodes = start(ProtoMAML(inner_steps=0, first_order=first_order), image_case)
        gradients.append(mean_gradient(algorithm)(meta, episodes)[0])
    features = copy.deepcopy(algorithm.network.features)
    total = 0.0
    for task in map(Episode._make, zip(*episodes, strict=True)):
        support, query = features(task.support_x), features(task.query_x)
        prototypes = torch.stack([support[task.support_y == label].mean(0) for label in range(3)])
        distances = (query[:, None] - prototypes).square().sum(2)
        total = total + F.cross_entropy(-distances, task.query_y) / len(episodes.support_x)
    total.backward()
    expected = {f"features.{name}": p.grad for name, p in features.named_parameters()}
    assert relative_error(gradients[0], expected) < 1e-9
    assert relative_error(gradients[1], expected) < 1e-9


def test_proto_maml_says_that_it_is_for_classification():
    network, _, spec = point_case()
    with pytest.raises(UserError, match="ProtoMAML needs classes"):
        ProtoMAML().bind(network, spec)


# iMAML.


def test_the_implicit_gradient_is_that_of_a_long_inner_loop():
    algorithm, meta, episodes = start(
        IMAML(inner_lr=0.1, inner_steps=400, proximity=2.0, cg_steps=60, damping=0), point_case
    )
    network, task = algorithm.network, first(episodes)
    gradient, metrics = algorithm.meta_gradient(meta, task)
    weights = {name: value.clone().requires_grad_() for name, value in meta.items()}
    fast = dict(weights)
    for _ in range(400):
        distance = sum((fast[name] - weights[name]).square().sum() for name in fast)
        inner = F.mse_loss(functional_call(network, fast, task.support_x), task.support_y) + distance
        slopes = torch.autograd.grad(inner, list(fast.values()), create_graph=True)
        fast = {name: value - 0.1 * slope for (name, value), slope in zip(fast.items(), slopes, strict=True)}
    total = F.mse_loss(functional_call(network, fast, task.query_x), task.query_y)
    total.backward()
    torch.testing.assert_close(metrics["loss"], total.detach())
    expected = {name: value.grad for name, value in weights.items()}
    assert relative_error(gradient, expected) < 1e-6
    at_once, _, _ = start(IMAML(inner_lr=0.1, inner_steps=400, cg_steps=1), point_case)
    at_the_end, _ = at_once.meta_gradient(meta, task)
    assert relative_error(at_the_end, expected) > 1e-2  # the curvature matters


def test_damping_adds_to_lambda_where_the_system_is_solved():
    algorithm, meta, episodes = start(
        IMAML(inner_lr=0.1, inner_steps=3, proximity=2.0, cg_steps=60, damping=22.0), point_case
    )
    network, task = algorithm.network, first(episodes)
    gradient, _ = algorithm.meta_gradient(meta, task)
    fast = algorithm.adapt(meta, task.support, 3)
    sizes = [value.numel() for value in fast.values()]

    def loss(flat, x, y):
        parts = [part.view_as(value) for part, value in zip(flat.split(sizes), fast.values(), strict=True)]
        return F.mse_loss(functional_call(network, dict(zip(fast, parts, strict=True)), x), y)

    flat = torch.cat([value.flatten() for value in fast.values()])
    curvature = torch.autograd.functional.hessian(lambda flat: loss(flat, task.support_x, task.support_y), flat)
    slope = torch.autograd.functional.jacobian(lambda flat: loss(flat, task.query_x, task.query_y), flat)
    expected = torch.linalg.solve(torch.eye(len(flat), dtype=flat.dtype) + curvature / 24.0, slope)
    found = torch.cat([value.flatten() for value in gradient.values()])
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_the_inner_loop_and_the_implicit_gradient_of_the_authors_code():
    """Steps down the support loss, one pull back, and 2 I + H / (lambda + 10)."""
    settings = {"inner_lr": 0.1, "inner_steps": 3, "proximity": 2.0, "cg_steps": 60}
    algorithm, meta, episodes = start(IMAML(**settings, damping=10.0, cg_damping=1.0, pull="once"), point_case)
    network, task = algorithm.network, first(episodes)
    path = algorithm.adapt_path(meta, task.support, 3)
    assert path[0].keys() == meta.keys()
    assert all(torch.equal(path[0][name], meta[name]) for name in meta)
    names, sizes = list(meta), [value.numel() for value in meta.values()]

    def loss(flat, x, y):
        parts = [part.view_as(meta[name]) for name, part in zip(names, flat.split(sizes), strict=True)]
        return F.mse_loss(functional_call(network, dict(zip(names, parts, strict=True)), x), y)

    def flat(params):
        return torch.cat([params[name].flatten() for name in names])

    slope, hessian = torch.autograd.functional.jacobian, torch.autograd.functional.hessian
    phi = flat(meta)
    for _ in range(3):
        phi = phi - 0.1 * slope(lambda w: loss(w, task.support_x, task.support_y), phi)
    phi = phi - 0.1 * 2.0 * (phi - flat(meta))
    torch.testing.assert_close(flat(path[3]), phi, rtol=1e-10, atol=1e-12)
    curvature = hessian(lambda w: loss(w, task.support_x, task.support_y), phi)
    system = 2 * torch.eye(len(phi), dtype=phi.dtype) + curvature / 12.0
    expected = torch.linalg.solve(system, slope(lambda w: loss(w, task.query_x, task.query_y), phi))
    gradient, _ = algorithm.meta_gradient(meta, task)
    torch.testing.assert_close(flat(gradient), expected, rtol=1e-8, atol=1e-12)
    # The default damping solves the same system but for a factor of 2.
    default, _, _ = start(IMAML(**settings, pull="once"), point_case)
    twice, _ = default.meta_gradient(meta, task)
    torch.testing.assert_close(flat(twice), 2 * expected, rtol=1e-8, atol=1e-12)


def test_conjugate_gradient_solves_and_then_stands_still():
    torch.manual_seed(0)
    root = torch.randn(6, 6, dtype=torch.float64)
    matrix = root @ root.T + torch.eye(6, dtype=torch.float64)
    target = {"a": torch.randn(2, 2, dtype=torch.float64), "b": torch.randn(2, dtype=torch.float64)}

    def product(vector):
        image = matrix @ torch.cat([vector["a"].flatten(), vector["b"]])
        return {"a": image[:4].view(2, 2), "b": image[4:]}

    for steps in (6, 50):
        found = product(conjugate_gradient(product, target, steps))
        torch.testing.assert_close(found, target, rtol=1e-7, atol=1e-9)
    nothing = {name: torch.zeros_like(value) for name, value in target.items()}
    assert not any(value.any() for value in conjugate_gradient(product, nothing, 3).values())
