"""Mapping over tasks: strategies, fallbacks, workers and memory."""

from __future__ import annotations

import logging
from functools import cache

import pytest
import torch
from metagap.algorithms.base import GradientLearner
from metagap.algorithms.maml import FOMAML, MAML
from metagap.algorithms.reptile import Reptile
from metagap.engine import mapping
from metagap.engine.layouts import in_layout, unknown
from metagap.engine.mapping import TaskMap
from metagap.engine.memory import parse_bytes, peak_bytes, within
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy, parse
from metagap.engine.tracing import trace
from metagap.engine.workers import Workers
from metagap.errors import UserError
from metagap.models.conv4 import Conv4
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec
from torch import nn

SPEC = TaskSpec("classification", 3, 1, 2)


def case(network: nn.Module | None = None, algorithm=None, tasks: int = 5):
    torch.manual_seed(0)
    network = (network or Conv4((1, 12, 12), 3, filters=4)).double()
    x = torch.randn(tasks, 9, 1, 12, 12, dtype=torch.float64)
    y = torch.arange(3).repeat(tasks, 1)
    episodes = Episode(x[:, :3], y, x[:, 3:], y.repeat(1, 2), torch.zeros(tasks, 3, dtype=torch.long))
    bound = (algorithm or MAML(inner_lr=0.3, inner_steps=2)).bind(network, SPEC)
    return bound, bound.init(network, 0, torch.Generator()), episodes


def mean_gradient(algorithm, text: str, cores: int = 1):
    strategy = parse(text, Strategy())
    made = TaskMap(in_layout(algorithm, strategy.layout).meta_gradient, strategy, mean=True, cores=cores)
    made.start_workers()
    return made


def assert_close(first, second, **how):
    for name in first[0]:
        torch.testing.assert_close(first[0][name], second[0][name], **how)


@pytest.mark.parametrize("strategy", ["loop traced", "vmap traced chunk=2", "loop channels-last traced recompute"])
def test_workers_do_not_change_a_bit(strategy):
    algorithm, meta, episodes = case()
    episodes = episodes._replace(support_y=torch.arange(3).expand(5, 3))  # as samplers give it for one shot
    one = mean_gradient(algorithm, strategy)(meta, episodes)
    shared, done = mean_gradient(algorithm, strategy, cores=3), []
    for _ in range(2):
        two = shared(meta, episodes, done.append)
        assert all(torch.equal(one[0][name], two[0][name]) for name in meta)
    assert sum(done) == 10 and shared.cores == 3  # nothing went wrong in between
    assert shared._runs


def test_a_worker_that_ends_leaves_the_work_to_this_process(caplog, monkeypatch):
    algorithm, meta, episodes = case()
    one, left = mean_gradient(algorithm, "loop traced"), mean_gradient(algorithm, "loop traced", cores=2)
    monkeypatch.setattr(mapping, "workers", cache(Workers))
    left.start_workers()
    left(meta, episodes)
    for process in mapping.workers(1)._processes:
        process.kill()
        process.wait()
    for _ in range(2):
        assert_close(left(meta, episodes), one(meta, episodes), rtol=0, atol=0)
    assert "going on with one core" in caplog.text


def test_a_trace_holds_for_other_values_and_is_made_anew_for_other_shapes():
    algorithm, meta, episodes = case()
    step, plain = mean_gradient(algorithm, "vmap traced"), mean_gradient(algorithm, "vmap")
    for batch in (episodes, episodes._replace(query_x=-episodes.query_x), episodes.tasks(1, 4)):
        assert_close(step(meta, batch), plain(meta, batch), rtol=1e-10, atol=1e-13)


class LooksAtValues(GradientLearner):
    """Takes half a step where the loss is small: decided in Python, which neither vmap nor a trace can follow."""

    def inner_step(self, fast, support, step):
        moved = super_step(self, fast, support)
        return moved if self.support_loss(fast, support).item() > 1e9 else {k: (fast[k] + moved[k]) / 2 for k in fast}


def super_step(algorithm, fast, support):
    gradient = torch.func.grad(algorithm.support_loss)(fast, support)
    return {name: value - 0.1 * gradient[name] for name, value in fast.items()}


def test_what_cannot_be_traced_is_computed_all_the_same(caplog):
    algorithm, meta, episodes = case(algorithm=LooksAtValues(inner_steps=1))
    caplog.set_level(logging.INFO, "metagap")

    def adapted(meta, episode):
        return algorithm.adapt(meta, episode.support, 1)

    step = TaskMap(adapted, Strategy("loop", executor="traced"), mean=True)
    result = step(meta, episodes)
    assert step.strategy.executor == "eager"
    assert "cannot be traced" in caplog.text
    plain = TaskMap(adapted, Strategy("loop"), mean=True)(meta, episodes)
    assert all(torch.equal(result[name], plain[name]) for name in meta)


class Twice(nn.Module):
    """A layer that no layout knows."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([2.0]))

    def forward(self, x):
        return self.scale * x


def test_unknown_layers_stay_as_they_are():
    network = nn.Sequential(Conv4((1, 12, 12), 3, filters=4), Twice())
    algorithm, meta, episodes = case(network)
    assert unknown(network, "channels-last") == ["Twice"]
    assert unknown(network, "gemm") == ["BatchNorm2d", "Twice"]
    plain = mean_gradient(algorithm, "loop")(meta, episodes)
    for layout in ("channels-last", "gemm"):
        assert_close(mean_gradient(algorithm, f"vmap {layout}")(meta, episodes), plain, rtol=1e-9, atol=1e-12)


def test_running_out_of_memory_halves_the_tasks_at_once(monkeypatch, caplog):
    algorithm, meta, episodes = case()
    expected = mean_gradient(algorithm, "vmap")(meta, episodes)
    step = mean_gradient(algorithm, "vmap")
    piece, sizes = TaskMap.piece, []

    def small(self, meta, tasks):
        sizes.append(len(tasks.support_x))
        if len(tasks.support_x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return piece(self, meta, tasks)

    monkeypatch.setattr(mapping.TaskMap, "piece", small)
    assert_close(step(meta, episodes), expected, rtol=1e-9, atol=1e-12)
    assert sizes[:2] == [5, 2]
    assert step.strategy.chunk == 1
    assert "out of memory with 5 tasks at once, going on with 2" in caplog.text
    monkeypatch.setattr(
        mapping.TaskMap, "piece", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory"))
    )
    with pytest.raises(UserError, match="single task"):
        step(meta, episodes)


def test_other_errors_are_not_taken_for_memory():
    algorithm, meta, episodes = case()
    with pytest.raises((RuntimeError, ValueError), match=r"(?i)size|shape|expected"):
        mean_gradient(algorithm, "vmap")(meta, episodes._replace(query_y=episodes.query_y[:, :-1]))


def test_memory_does_not_grow_with_inner_steps():
    peaks = {}
    for steps in (1, 5):
        for share in (True, False, None):
            algorithm, meta, episodes = case(Conv4((1, 20, 20), 3, filters=8), MAML(inner_steps=steps))
            x = torch.randn(5, 9, 1, 20, 20, dtype=torch.float64)
            episodes = episodes._replace(support_x=x[:, :3], query_x=x[:, 3:])
            piece = TaskMap(algorithm.meta_gradient, Strategy("loop"), mean=True).piece
            peaks[steps, share] = peak_bytes(trace(piece, meta, episodes.tasks(0, 1), share=share))
    assert peaks[5, False] < 1.3 * peaks[1, False]
    assert peaks[5, True] > 1.5 * peaks[1, True]
    assert peaks[5, None] == peaks[5, False]  # that would be too much


def test_strides_that_a_form_gives_to_gradients_do_not_reach_the_optimizer():
    after = []
    for layout in ("plain", "channels-last"):
        algorithm, meta, episodes = case()
        outer = OuterLoop(algorithm, meta, Training(iterations=5, meta_batch=5), Strategy("loop", layout, "traced"))
        for _ in range(3):
            outer.step(episodes)
        after.append(meta)
    for name in after[0]:
        torch.testing.assert_close(after[0][name], after[1][name], rtol=1e-9, atol=1e-12)


def test_the_peak_of_a_trace_is_what_it_holds_at_once():
    x = torch.randn(1000)  # 4,000 bytes

    def chain(x, _):
        y = (x + 1).exp()  # x + 1 is let go of
        return y.view(10, 100).sum(0), y.mul(2)

    assert peak_bytes(trace(chain, x, x)) == 8000 + 400
    assert peak_bytes(trace(lambda x, _: [x + 1, x + 2, x + 3], x, x)) == 12000


def test_a_budget_bounds_the_tasks_at_once():
    algorithm, meta, episodes = case(algorithm=FOMAML())
    one, two = (
        peak_bytes(trace(TaskMap(algorithm.meta_gradient, Strategy(), mean=True).piece, meta, episodes.tasks(0, n)))
        for n in (1, 2)
    )
    found = within(one + 3 * (two - one), algorithm.meta_gradient, meta, episodes, Strategy())
    assert found.chunk == 4
    assert within(10 * two, algorithm.meta_gradient, meta, episodes, Strategy(chunk=2)).chunk == 2
    with pytest.raises(UserError, match="one task needs"):
        within(one - 1, algorithm.meta_gradient, meta, episodes, Strategy())


@pytest.mark.parametrize(
    ("text", "size"), [("8G", 8 * 2**30), ("500M", 500 * 2**20), ("1000000", 10**6), ("1.5k", 1536), ("2GB", 2**31)]
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "8X", "lots", "inf"])
def test_what_is_no_size(text):
    with pytest.raises(UserError, match="--memory"):
        parse_bytes(text)


def test_plans_are_read_and_written():
    for text in ("vmap plain eager", "loop channels-last traced recompute", "vmap gemm compiled chunk=8"):
        assert str(parse(text, Strategy())) == text
    assert parse("auto", Strategy("loop")) == Strategy("loop")
    with pytest.raises(UserError, match="'vmpa' is not allowed; allowed, one or several: auto, vmap"):
        parse("vmpa", Strategy())
    with pytest.raises(UserError, match="chunk=0"):
        parse("chunk=0", Strategy())


@pytest.mark.parametrize("algorithm", [FOMAML(inner_steps=3), Reptile(inner_steps=3)])
@pytest.mark.parametrize("strategy", ["loop channels-last traced recompute", "vmap gemm traced"])
def test_other_algorithms_take_every_path_too(algorithm, strategy):
    bound, meta, episodes = case(algorithm=algorithm)
    plain = mean_gradient(bound, "loop")(meta, episodes)
    assert_close(mean_gradient(bound, strategy)(meta, episodes), plain, rtol=1e-9, atol=1e-12)
