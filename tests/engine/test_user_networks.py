"""Networks as users write them: what vmap or a trace cannot follow is computed task by task, and right."""

from __future__ import annotations

import logging
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from metagap.algorithms.maml import MAML
from metagap.algorithms.protonet import ProtoNet
from metagap.engine import choice
from metagap.engine.choice import choose
from metagap.engine.evaluate import evaluate
from metagap.engine.kernels import differentiable
from metagap.engine.layouts import in_layout
from metagap.engine.mapping import TaskMap
from metagap.engine.memory import within
from metagap.engine.strategy import Strategy
from metagap.engine.tracing import trace
from metagap.models.making import fit, for_test
from metagap.tasks.episode import Episode, TaskSpec

SPEC, LR = TaskSpec("classification", 3, 1, 2), 0.3


class Net(nn.Module):
    """Rows of an image (1, 4, 4) through a linear layer, the layer in question, and a head."""

    def __init__(self, middle):
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(1, 2), nn.Linear(4, 6), middle, nn.Flatten())
        self.head = nn.Linear(24, 3)

    def forward(self, x):
        return self.head(self.features(x))


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, z):
        return self.function(z)


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(6, 6, batch_first=True)

    def forward(self, z):
        return self.rnn(z)[0]


class RunningMean(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, z):
        self.mean.mul_(0.5).add_(z.detach().mean((0, 1)))
        return z - self.mean


class Attention(nn.Module):
    def forward(self, z):
        return z + F.scaled_dot_product_attention(z, z.tanh(), z)


class AttentionByItsFormula(nn.Module):
    def forward(self, z):
        return z + (z @ z.tanh().mT / 6**0.5).softmax(-1) @ z


class MultiHead(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.attention, self.options = nn.MultiheadAttention(6, 2, batch_first=True), options

    def forward(self, z):
        return self.attention(z, z, z, **self.options)[0]


class Codes(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 6, sparse=True)

    def forward(self, z):
        return z + self.table((z.detach().abs().sum(-1) * 3).long() % 5)


UNMAPPED = {
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU),
    "rnn": lambda: Recurrent(nn.RNN),
    "running mean": RunningMean,
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(6, 6)),
    "branch": lambda: Calls(lambda z: z if z.mean() > 0.05 else -z),
    "item": lambda: Calls(lambda z: z * z.abs().max().item()),
    "mask": lambda: Calls(lambda z: z - z[z > 0].mean()),
    "unique": lambda: Calls(lambda z: z * torch.unique(z.round()).numel()),
    "list": lambda: Calls(lambda z: z * (1 + len([v for v in z.flatten().tolist() if v > 0]))),
    "view": lambda: Calls(lambda z: z.mT.contiguous().view(-1, 24).view(len(z), 6, 4).mT.contiguous()),
    "zeros": lambda: Calls(lambda z: torch.zeros(z.shape, dtype=z.dtype).add_(z)),
    "rrelu": lambda: nn.RReLU(0.25, 0.25),
}
MAPPED = {
    "attention": Attention,
    "multi-head attention": MultiHead,
    "multi-head attention without weights": lambda: MultiHead(need_weights=False),
    "transformer": lambda: nn.TransformerEncoderLayer(6, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True),
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(6, 6)),
    "old weight norm": lambda: nn.utils.weight_norm(nn.Linear(6, 6)),
    "batch norm": lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(24)),
    "no affine": lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(24, affine=False)),
    "fourier": lambda: Calls(lambda z: torch.fft.rfft(z, n=10).abs()),
    "embedding": Codes,
}


def case(middle, algorithm=None, tasks: int = 3):
    torch.manual_seed(0)
    network = fit(Net(middle), "mine", (1, 4, 4), 3).network.double()
    x = torch.randn(tasks, 9, 1, 4, 4, dtype=torch.float64)
    y = torch.arange(3).repeat(tasks, 1)
    episodes = Episode(x[:, :3], y, x[:, 3:], y.repeat(1, 2), torch.zeros(tasks, 3, dtype=torch.long))
    bound = (algorithm or MAML(inner_lr=LR)).bind(network, SPEC)
    return bound, bound.init(network, 0, torch.Generator()), episodes


def said(caplog):
    """What the engine has to say to a user who did not ask."""
    return [record for record in caplog.records if record.name == "metagap" and record.levelno >= logging.WARNING]


def by_autograd(network, episodes):
    """The mean meta-gradient of MAML by a plain loop of torch's autograd, without torch.func's transforms."""
    weights = {name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def loss(weights, x, y):
        given = {**weights, **{name: value.clone() for name, value in buffers.items()}}
        return F.cross_entropy(torch.func.functional_call(network, given, (x,)), y)

    total = 0
    for task in range(len(episodes.support_x)):
        support, query = ((a[task], b[task]) for a, b in (episodes[:2], episodes[2:4]))
        gradient = torch.autograd.grad(loss(weights, *support), weights.values(), create_graph=True)
        moved = {name: w - LR * g for (name, w), g in zip(weights.items(), gradient, strict=True)}
        total = total + loss(moved, *query)
    found = torch.autograd.grad(total / len(episodes.support_x), weights.values())
    return dict(zip(weights, found, strict=True))


@pytest.mark.parametrize("name", [*UNMAPPED, *MAPPED])
@pytest.mark.parametrize("run", ["eager", "traced"])
def test_the_meta_gradient_is_right_whatever_the_network_does(name, run, caplog):
    algorithm, meta, episodes = case((UNMAPPED | MAPPED)[name]())
    strategy = Strategy("vmap", backend=run)
    step = TaskMap(algorithm.meta_gradient, strategy, mean=True, network=algorithm.network)
    if name == "attention":  # torch's kernel has no second derivative
        reference = Net(AttentionByItsFormula()).double()
        reference.load_state_dict(algorithm.network.state_dict())
        expected = by_autograd(reference, episodes)
    else:
        with differentiable():  # nor has that of multi-head attention
            expected = by_autograd(algorithm.network, episodes)
    step(meta, episodes.tasks(0, 1))  # a trace must hold for the values of other tasks
    for _ in range(2):
        gradient, _ = step(meta, episodes)
        for key in expected:
            torch.testing.assert_close(gradient[key], expected[key], rtol=1e-9, atol=1e-12)
    assert len(said(caplog)) == (step.strategy.batching == "loop")


@pytest.mark.parametrize(
    ("name", "layer"),
    [("gru", "'features.2.rnn' (GRU)"), ("spectral norm", "'features.2.parametrizations.weight.0'"), ("branch", "")],
)
def test_one_sentence_names_the_layer(name, layer, caplog):
    algorithm, meta, episodes = case(UNMAPPED[name]())
    strategy = choose(algorithm, meta, episodes)
    assert strategy.batching == "loop"
    (record,) = said(caplog)
    assert record.levelno == logging.WARNING
    assert "computes task by task" in record.getMessage()
    assert layer in record.getMessage()
    TaskMap(algorithm.meta_gradient, strategy._replace(backend="traced"), mean=True)(meta, episodes)
    assert len(said(caplog)) == 1


@pytest.mark.parametrize("inductive", [False, True])
def test_evaluation_falls_back_too(inductive):
    algorithm, meta, episodes = case(Recurrent(nn.LSTM))
    alone, mapped = (
        evaluate(algorithm, meta, episodes, SPEC, 2, strategy, inductive=inductive)
        for strategy in (Strategy("loop"), Strategy("vmap", backend="traced"))
    )
    for key in alone:
        torch.testing.assert_close(alone[key], mapped[key], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_torchs_kernels_for_single_precision_are_right_too(kind):
    """On a CPU it has others for these."""
    algorithm, meta, episodes = case(Recurrent(kind))
    expected, _ = TaskMap(algorithm.meta_gradient, Strategy("loop"), mean=True)(meta, episodes)
    single = algorithm.bind(algorithm.network.float(), SPEC)
    meta, episodes = {name: value.float() for name, value in meta.items()}, episodes.to("cpu", torch.float32)
    for strategy in (Strategy("loop"), Strategy("loop", backend="traced"), Strategy("vmap", backend="traced")):
        gradient, _ = TaskMap(single.meta_gradient, strategy, mean=True)(meta, episodes)
        for key in expected:
            torch.testing.assert_close(gradient[key], expected[key].float(), rtol=1e-4, atol=1e-6)


def test_a_strategy_is_timed_without_what_it_cannot_do(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(choice, "user_cache_path", lambda _: tmp_path)
    convolution = nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv2d(1, 1, 1), nn.Flatten(1, 2), Recurrent(nn.GRU))
    algorithm, meta, episodes = case(convolution)
    assert choose(algorithm, meta, episodes).batching == "loop"
    assert not said(caplog)  # nothing had to be given up
    assert choose(algorithm, meta, episodes, engine="vmap").batching == "loop"
    assert "task by task" in caplog.text


def test_a_budget_of_memory_does_not_stop_what_cannot_be_traced(caplog):
    algorithm, meta, episodes = case(UNMAPPED["branch"]())
    strategy = Strategy("loop")
    assert within(10**9, algorithm.meta_gradient, meta, episodes, strategy) == strategy
    assert "cannot be kept to" in caplog.text


@pytest.mark.parametrize(
    "function",
    [
        lambda z, _: z * float(z.numpy()[0]),
        lambda z, _: z * z.tolist()[0],
        lambda z, _: z[z > 0].sum(),
        lambda z, _: z * random.random(),
        lambda z, _: z * z.nonzero().numel(),
    ],
)
def test_what_would_be_wrong_for_other_values_is_not_traced(function):
    with pytest.raises(ValueError, match=r"values|outside of torch"):
        trace(function, torch.randn(5), torch.zeros(()))


def test_a_selection_by_index_is_traced():
    order = torch.tensor([2, 0, 1])
    assert torch.equal(trace(lambda z, i: z[i], torch.arange(3.0), order)(torch.arange(3.0, 6), order), order + 3.0)


def test_dropout_is_its_own_in_every_task_and_off_at_test():
    algorithm, meta, episodes = case(nn.Dropout(0.5), ProtoNet())
    same = episodes._replace(
        **{
            name: getattr(episodes, name)[:1].expand(3, *getattr(episodes, name).shape[1:])
            for name in ("support_x", "query_x")
        }
    )

    def outputs(meta, episode):
        return algorithm.predict(algorithm.adapt(meta, episode.support, 0), episode.query_x)

    for strategy in (Strategy("vmap"), Strategy("vmap", backend="traced"), Strategy("loop")):
        found = TaskMap(outputs, strategy)(meta, same)
        assert not torch.equal(found[0], found[1])
    at_test = algorithm.bind(for_test(algorithm.network), SPEC)
    first, second = (evaluate(at_test, meta, episodes, SPEC, 0, Strategy("vmap")) for _ in range(2))
    assert torch.equal(first["query_loss"], second["query_loss"])


def test_leftovers_of_a_forward_pass_do_not_keep_a_form_from_being_made():
    class Keeps(nn.Module):
        def forward(self, z):
            self.seen = z
            return z

    algorithm, meta, episodes = case(nn.Sequential(nn.Linear(6, 6), Keeps()))
    TaskMap(algorithm.meta_gradient, Strategy("vmap"), mean=True)(meta, episodes)
    assert in_layout(algorithm, "channels-last").network is not algorithm.network
