"""Algorithms on networks that users bring: frozen and tied parameters, heads of other kinds, no parts at all."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from metagap import registry
from metagap.algorithms.maml import MAML
from metagap.engine.evaluate import evaluate
from metagap.engine.mapping import TaskMap
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy
from metagap.errors import UserError
from metagap.models.mlp import MLP
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec
from packages import predictors

SPEC = TaskSpec("classification", 3, 1, 2)


class Net(nn.Module):
    def __init__(self, bias=True, frozen=(), norm=None):
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), norm or nn.Tanh(), nn.Linear(5, 5))
        self.head = nn.Linear(5, 3, bias=bias)
        for name, value in self.named_parameters():
            value.requires_grad_(not name.startswith(tuple(frozen) or "-"))

    def forward(self, x):
        return self.head(self.features(x))


class Tied(Net):
    def __init__(self):
        super().__init__()
        self.features[3] = nn.Linear(5, 3)
        self.head = nn.Linear(3, 3)
        self.features = self.features.append(nn.Linear(3, 3))
        self.head.weight = self.features[4].weight


class NoParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))

    def forward(self, x):
        return self.layers(x)


def case(name: str, network: nn.Module, classes: int = 6):
    torch.manual_seed(0)
    x = torch.randn(2, 9, 4)
    y = torch.arange(3).repeat(2, 1)
    episodes = Episode(x[:, :3], y, x[:, 3:], y.repeat(1, 2), torch.arange(3).repeat(2, 1))
    algorithm = registry.load("algorithm", name)()
    algorithm = algorithm.model_copy(update={"inner_steps": min(2, algorithm.inner_steps)}).bind(network, SPEC)
    algorithm.check_network()
    return algorithm, algorithm.init(network, classes, torch.Generator().manual_seed(0)), episodes


def pooled(algorithm, episodes):
    return episodes.pooled() if algorithm.pooled else episodes


@pytest.mark.parametrize("name", sorted(set(predictors()) - {"learn2learn-meta-sgd", "ridge", "bayes", "last-value"}))
def test_frozen_parameters_stay_as_they_are(name):
    network = Net(frozen=["features.1."])
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    algorithm, meta, episodes = case(name, network)
    meta = {key: value for key, value in meta.items() if not key.startswith("features.1.")}  # as a context does
    start = {key: value.clone() for key, value in meta.items()}
    strategy = Strategy("vmap", backend="traced") if name in ("maml", "anil", "protonet") else Strategy("loop")
    outer = OuterLoop(algorithm, meta, Training(iterations=5, meta_batch=2, lr=0.1), strategy)
    if algorithm.trains:
        outer.step(episodes)
        assert any(not torch.equal(value, start[key]) for key, value in meta.items())
    evaluate(algorithm, meta, episodes, SPEC, 2, Strategy("loop"))
    fast = algorithm.adapt(meta, Episode(*(field[0] for field in episodes)).support, 2)
    own = dict(network.named_parameters())
    assert all(torch.equal(value, before[key]) for key, value in own.items())
    if algorithm.mappable:
        assert not any(key.startswith("features.1.") for key in (*meta, *fast))


@pytest.mark.parametrize("name", ["maml", "fomaml", "reptile", "anil", "protonet", "proto-maml"])
def test_a_frozen_layer_is_one_that_is_held_fast(name):
    """The other parameters move as they do where the frozen one is a buffer instead."""
    algorithm, meta, episodes = case(name, Net(frozen=["features.1."]))
    twin = Net()
    twin.load_state_dict(algorithm.network.state_dict())
    layer = twin.features[1]
    for key in ("weight", "bias"):
        value = getattr(layer, key).detach()
        delattr(layer, key)
        layer.register_buffer(key, value)
    other, other_meta, _ = case(name, twin)
    found, expected = (
        TaskMap(one.meta_gradient, Strategy("loop"), mean=True)(weights, episodes)[0]
        for one, weights in ((algorithm, meta), (other, other_meta))
    )
    assert found.keys() == expected.keys()
    for key in found:
        torch.testing.assert_close(found[key], expected[key])


@pytest.mark.parametrize("name", ["maml", "reptile", "protonet", "meta-sgd", "cavia", "scratch", "learn2learn-maml"])
def test_tied_parameters_move_as_one(name):
    algorithm, meta, episodes = case(name, Tied())
    if algorithm.mappable:
        assert "head.weight" not in meta
    gradient, _ = TaskMap(algorithm.meta_gradient, Strategy("loop"), mean=True)(meta, pooled(algorithm, episodes))
    assert gradient["features.4.weight"].abs().sum() > 0 or not algorithm.trains
    evaluate(algorithm, meta, episodes, SPEC, 1, Strategy("loop"))


def test_the_gradient_of_a_tied_parameter_is_the_sum_of_both():
    algorithm, meta, episodes = case("maml", Tied().double())
    algorithm = algorithm.model_copy(update={"inner_steps": 0}).bind(algorithm.network, SPEC)
    x, y = episodes.query_x[:1].double(), episodes.query_y[:1]
    gradient, _ = TaskMap(algorithm.meta_gradient, Strategy("loop"), mean=True)(
        meta, Episode(x[:, :3], y[:, :3], x, y, episodes.classes[:1])
    )
    nn.functional.cross_entropy(algorithm.network(x[0]), y[0]).backward()
    for key, value in algorithm.network.named_parameters():
        torch.testing.assert_close(gradient[key], value.grad)


@pytest.mark.parametrize("name", ["pretrain", "baseline", "baseline-plus-plus", "anil", "relationnet"])
def test_a_head_needs_no_bias(name):
    algorithm, meta, episodes = case(name, Net(bias=False))
    assert "head.bias" not in meta
    gradient, _ = TaskMap(algorithm.meta_gradient, Strategy("loop"), mean=True)(meta, pooled(algorithm, episodes))
    assert gradient.keys() == meta.keys()
    evaluate(algorithm, meta, episodes, SPEC, 2, Strategy("loop"))


def with_head(head: nn.Module) -> Net:
    network = Net()
    network.head = head
    return network


@pytest.mark.parametrize(
    ("name", "network", "message"),
    [
        *(
            (name, NoParts, rf"{kind} needs a network in two parts.* NoParts has no module `{part}`")
            for name, kind, part in (
                ("anil", "ANIL", "features"),
                ("boil", "BOIL", "head"),
                ("protonet", "ProtoNet", "features"),
                ("matchingnet", "MatchingNet", "features"),
                ("relationnet", "RelationNet", "features"),
                ("r2d2", "R2D2", "features"),
                ("proto-maml", "ProtoMAML", "features"),
                ("pretrain", "Pretrain", "head"),
                ("baseline", "Baseline", "head"),
                ("baseline-plus-plus", "BaselinePlusPlus", "head"),
            )
        ),
        ("cavia", NoParts, "CAVIA needs a network with batch norm of images or a linear layer with a bias"),
        ("cavia", lambda: Net(norm=nn.Sequential(nn.BatchNorm2d(5, affine=False))), "no scale of its own"),
        ("maml", lambda: Net(frozen=["features.", "head."]), "MAML has nothing to train: all parameters of model Net"),
        ("anil", lambda: Net(frozen=["head."]), "ANIL adapts the head, .* not frozen"),
        ("boil", lambda: Net(frozen=["features."]), "BOIL adapts the body, .* not frozen"),
        ("pretrain", lambda: Net(frozen=["head."]), "needs a head that is trained"),
        ("proto-maml", lambda: Net(frozen=["head."]), "needs a head that is trained"),
        ("proto-maml", lambda: Net(bias=False), "ProtoMAML needs a head with a bias"),
        (
            "pretrain",
            lambda: with_head(nn.Sequential(nn.Linear(5, 3))),
            r"needs a head that is nn\.Linear.* Sequential",
        ),
        ("relationnet", lambda: with_head(nn.Bilinear(5, 5, 3)), r"nn\.Linear.* is Bilinear"),
        ("baseline", lambda: with_head(nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))), "ParametrizedLinear"),
        ("anil", Tied, r"ANIL adapts the head alone.* shares a parameter with 'features\.4\.weight'"),
        ("boil", Tied, r"BOIL adapts the body alone.*'features\.4\.weight'"),
        ("proto-maml", Tied, r"not tied.*'features\.4\.weight'"),
        ("learn2learn-meta-sgd", lambda: Net(frozen=["features.1."]), "differentiates all parameters"),
    ],
)
def test_what_an_algorithm_lacks_is_one_sentence(name, network, message):
    with pytest.raises(UserError, match=message):
        case(name, network())


def test_features_are_vectors():
    network = Net()
    network.features = nn.Sequential(network.features, nn.Unflatten(1, (5, 1)))
    algorithm, meta, episodes = case("protonet", network)
    with pytest.raises(UserError, match=r"needs features of shape \(examples, width\).*gives \(3, 5, 1\)"):
        TaskMap(algorithm.meta_gradient, Strategy("loop"), mean=True)(meta, episodes)


def test_what_an_algorithm_is_bound_to_is_its_own_and_no_hyper_parameter():
    free, networks = MAML(), [MLP((1,), 1, [4]) for _ in range(2)]
    bound = [free.bind(network, TaskSpec("regression", 1, 5, 5)) for network in networks]
    assert [one.network for one in bound] == networks and bound[0].model_copy().network is networks[0]
    assert not hasattr(free, "network") and not hasattr(MAML, "network")
    assert bound[0].model_dump() == free.model_dump()
    with pytest.raises(ValidationError):
        bound[0].network = networks[1]
