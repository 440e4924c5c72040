"""Evaluation: what is scored, and that labels go where they may go only."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metagap.algorithms.anil import ANIL
from metagap.algorithms.base import score
from metagap.algorithms.baseline import Baseline
from metagap.algorithms.maml import MAML
from metagap.algorithms.protonet import ProtoNet
from metagap.engine.evaluate import evaluate, null_loss, shuffled_support
from metagap.engine.strategy import Strategy, parse
from metagap.tasks.episode import Episode, TaskSpec

SPEC = TaskSpec("classification", 3, 1, 2)
VMAP, LOOP = Strategy("vmap", chunk=2), Strategy("loop")


class Small(nn.Module):
    """The smallest network that all algorithms and layouts know."""

    def __init__(self):
        super().__init__()
        convolution, norm = nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3, track_running_stats=False)
        self.features = nn.Sequential(convolution, norm, nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(48, 3)

    def forward(self, x):
        return self.head(self.features(x))


@pytest.fixture
def case():
    torch.manual_seed(0)
    network = Small().double()
    x = torch.randn(5, 9, 1, 6, 6, dtype=torch.float64)
    y = torch.arange(3).repeat(5, 1)
    episodes = Episode(x[:, :3], y, x[:, 3:], y.repeat(1, 2), torch.zeros(5, 3, dtype=torch.long))
    algorithm = MAML(inner_lr=0.3).bind(network, SPEC)
    return algorithm, algorithm.init(network, 0, torch.Generator()), episodes


@pytest.mark.parametrize("strategy", [VMAP, LOOP], ids=["vmap", "loop"])
def test_scores_after_every_step(case, strategy):
    algorithm, meta, episodes = case
    scores = evaluate(algorithm, meta, episodes, SPEC, 2, strategy)
    for i, task in enumerate(Episode(*fields) for fields in zip(*episodes, strict=True)):
        for step in range(3):
            fast = algorithm.adapt(meta, task.support, step)
            logits = algorithm.predict(fast, task.query_x)
            assert float(scores["query_loss"][i, step]) == pytest.approx(float(F.cross_entropy(logits, task.query_y)))
            right = (logits.argmax(1) == task.query_y).double().mean()
            assert float(scores["query_score"][i, step]) == pytest.approx(float(right))
    last = evaluate(algorithm, meta, episodes, SPEC, 2, strategy, last_only=True)
    torch.testing.assert_close(last["query_loss"], scores["query_loss"][:, 2:])


@pytest.mark.parametrize(("algorithm", "times"), [(ANIL(), 3), (Baseline(), 3), (ProtoNet(), 3), (MAML(), 4 + 2 * 5)])
def test_features_that_a_path_shares_are_computed_once(case, algorithm, times):
    bound, _, episodes = case
    algorithm, calls = algorithm.bind(bound.network, SPEC), []
    meta = algorithm.init(bound.network, 4, torch.Generator())
    bound.network.features.register_forward_hook(lambda *_: calls.append(1))
    evaluate(algorithm, meta, episodes.tasks(0, 1), SPEC, 4, LOOP)
    assert len(calls) == times


@pytest.mark.parametrize(
    "strategy",
    ["vmap chunk=3", "loop", "vmap gemm", "loop channels-last traced", "vmap traced chunk=2", "vmap channels-last"],
)
@pytest.mark.parametrize("inductive", [False, True], ids=["transductive", "inductive"])
def test_evaluation_is_the_same_on_every_path(case, strategy, inductive):
    algorithm, meta, episodes = case
    whole = evaluate(algorithm, meta, episodes, SPEC, 2, VMAP, inductive=inductive)
    other = evaluate(algorithm, meta, episodes, SPEC, 2, parse(strategy, Strategy()), inductive=inductive, cores=2)
    for name in whole:
        torch.testing.assert_close(whole[name], other[name], rtol=1e-10, atol=1e-12)


def test_query_labels_reach_nothing_but_the_scoring(case):
    algorithm, meta, episodes = case
    relabelled = episodes._replace(query_y=(episodes.query_y + 1) % 3)
    before, after = (evaluate(algorithm, meta, e, SPEC, 2, VMAP) for e in (episodes, relabelled))
    for name in ("support_loss", "support_score"):
        assert torch.equal(before[name], after[name])
    for task, other in zip(zip(*episodes, strict=True), zip(*relabelled, strict=True), strict=True):
        logits = [
            algorithm.predict(algorithm.adapt(meta, e.support, 2), e.query_x) for e in map(Episode._make, (task, other))
        ]
        assert torch.equal(*logits)
    assert not torch.equal(before["query_score"], after["query_score"])


def test_inductive_predictions_see_one_query_at_a_time(case):
    algorithm, meta, episodes = case
    changed = episodes._replace(query_x=torch.cat([episodes.query_x[:, :1], 5 * episodes.query_x[:, 1:]], 1))
    one = TaskSpec("classification", 3, 1, 1)

    def first_query(e, inductive):
        only = e._replace(query_y=e.query_y[:, :1], query_x=e.query_x[:, :1])
        whole = evaluate(algorithm, meta, e, SPEC, 1, VMAP, inductive=inductive)
        return whole, evaluate(algorithm, meta, only, one, 1, VMAP, inductive=inductive)

    (_, alone), (_, same) = first_query(episodes, True), first_query(changed, True)
    assert torch.equal(alone["query_loss"], same["query_loss"])
    # Batch statistics of the whole query set let the others in.
    task, other = (Episode(*(field[0] for field in e)) for e in (episodes, changed))
    fast = algorithm.adapt(meta, task.support, 1)
    assert not torch.allclose(algorithm.predict(fast, task.query_x)[0], algorithm.predict(fast, other.query_x)[0])
    direct = algorithm.predict(fast, torch.cat([task.support_x, task.query_x[:1]]))[-1:]
    loss = F.cross_entropy(direct, task.query_y[:1])
    assert float(alone["query_loss"][0, 1]) == pytest.approx(float(loss))


def test_shuffling_moves_labels_within_their_task(case):
    _, _, episodes = case
    episodes = episodes._replace(support_y=torch.arange(3).repeat(5, 1) + 3 * torch.arange(5)[:, None])
    shuffled = shuffled_support(episodes, torch.Generator().manual_seed(0))
    assert not torch.equal(shuffled.support_y, episodes.support_y)
    assert torch.equal(shuffled.support_y.sort(1).values, episodes.support_y)
    assert torch.equal(shuffled.query_y, episodes.query_y)


def test_trivial_predictor():
    y = torch.tensor([[[1.0], [3.0]]])
    episode = Episode(y, y, y, y, torch.empty(1, 0))
    assert null_loss(episode, TaskSpec("regression", 1, 2, 2)).tolist() == [5.0]
    assert null_loss(episode, SPEC).tolist() == [math.log(3)]


def test_logits_that_are_not_finite_are_wrong():
    logits = torch.tensor([[float("nan"), 0.0], [1.0, 0.0], [float("inf"), 0.0]])
    assert float(score(logits, torch.tensor([0, 0, 0]))) == pytest.approx(1 / 3)
    assert float(score(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [0.0]]))) == -2.5
