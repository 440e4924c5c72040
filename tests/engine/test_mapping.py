"""Mapping over tasks: strategies, fallbacks and memory."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from metagap.algorithms.base import GradientLearner
from metagap.algorithms.maml import FOMAML, MAML
from metagap.algorithms.reptile import Reptile
from metagap.engine import batching as batching_module
from metagap.engine import mapping
from metagap.engine.batching import batched
from metagap.engine.layouts import in_layout, unknown
from metagap.engine.mapping import TaskMap
from metagap.engine.memory import parse_bytes, peak_bytes, within
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy, parse
from metagap.engine.tracing import trace
from metagap.errors import UserError
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec

SPEC = TaskSpec("classification", 3, 1, 2)


class Small(nn.Sequential):
    """A convolution with batch norm, the smallest that all layouts change."""

    def __init__(self, size: int = 6, filters: int = 3):
        convolution, norm = nn.Conv2d(1, filters, 3, bias=False), nn.BatchNorm2d(filters, track_running_stats=False)
        super().__init__(convolution, norm, nn.ReLU(), nn.Flatten(), nn.Linear(filters * (size - 2) ** 2, 3))
        self.size = size


def case(network: nn.Module | None = None, algorithm=None, tasks: int = 5, size: int = 6):
    torch.manual_seed(0)
    network = (network or Small()).double()
    x = torch.randn(tasks, 9, 1, size, size, dtype=torch.float64)
    y = torch.arange(3).repeat(tasks, 1)
    episodes = Episode(x[:, :3], y, x[:, 3:], y.repeat(1, 2), torch.zeros(tasks, 3, dtype=torch.long))
    bound = (algorithm or MAML(inner_lr=0.3)).bind(network, SPEC)
    return bound, bound.init(network, 0, torch.Generator()), episodes


def mean_gradient(algorithm, text: str):
    strategy = parse(text, Strategy())
    return TaskMap(in_layout(algorithm, strategy.layout).meta_gradient, strategy, mean=True)


def assert_close(first, second, **how):
    for name in first[0]:
        torch.testing.assert_close(first[0][name], second[0][name], **how)


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

    step = TaskMap(adapted, Strategy("loop", backend="traced"), mean=True)
    result = step(meta, episodes)
    assert step.strategy.backend == "eager"
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
    network = nn.Sequential(Small(), Twice())
    algorithm, meta, episodes = case(network)
    assert unknown(network, "channels-last") == ["Twice"]
    assert unknown(network, "gemm") == ["BatchNorm2d", "Twice"]
    plain = mean_gradient(algorithm, "loop")(meta, episodes)
    for layout in ("channels-last", "gemm"):
        assert_close(mean_gradient(algorithm, f"vmap {layout}")(meta, episodes), plain, rtol=1e-9, atol=1e-12)


def out_of_memory_above(tasks_at_once: int, sizes: list[int]):
    """Batching that runs out of memory for more tasks than that."""

    def make(function, batching, mean):
        piece = batching_module.batched(function, batching, mean)

        def small(meta, tasks):
            sizes.append(len(tasks.support_x))
            if len(tasks.support_x) > tasks_at_once:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return piece(meta, tasks)

        return small

    return make


def test_running_out_of_memory_halves_the_tasks_at_once(monkeypatch, caplog):
    algorithm, meta, episodes = case()
    expected = mean_gradient(algorithm, "vmap")(meta, episodes)
    sizes, done = [], []
    monkeypatch.setattr(mapping, "batched", out_of_memory_above(1, sizes))
    step = mean_gradient(algorithm, "vmap")
    assert_close(step(meta, episodes, done.append), expected, rtol=1e-9, atol=1e-12)
    assert sizes == [5, 2, 1, 1, 1, 1, 1]
    assert done == [1] * 5
    assert step.strategy.chunk == 1
    assert "out of memory with 5 tasks at once, going on with 2" in caplog.text
    monkeypatch.setattr(mapping, "batched", out_of_memory_above(0, sizes))
    with pytest.raises(MemoryError, match="single task"):
        mean_gradient(algorithm, "vmap")(meta, episodes)


def test_progress_counts_every_task_once(monkeypatch):
    """Memory that runs out after some pieces makes the batch begin anew."""
    algorithm, meta, episodes = case()
    calls, done = [], []

    def make(function, batching, mean):
        piece = batching_module.batched(function, batching, mean)

        def late(meta, tasks):
            calls.append(len(tasks.support_x))
            if calls == [2, 2]:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return piece(meta, tasks)

        return late

    monkeypatch.setattr(mapping, "batched", make)
    mean_gradient(algorithm, "vmap chunk=2")(meta, episodes, done.append)
    assert calls == [2, 2, 1, 1, 1, 1, 1]
    assert sum(done) == 5


def test_other_errors_are_not_taken_for_memory():
    algorithm, meta, episodes = case()
    with pytest.raises((RuntimeError, ValueError), match=r"(?i)size|shape|expected"):
        mean_gradient(algorithm, "vmap")(meta, episodes._replace(query_y=episodes.query_y[:, :-1]))


def test_memory_does_not_grow_with_inner_steps():
    peaks = {}
    for steps, share in ((1, False), (1, True), (5, False), (5, True), (5, None)):
        algorithm, meta, episodes = case(Small(20, 8), MAML(inner_steps=steps), tasks=1, size=20)
        piece = batched(algorithm.meta_gradient, "loop", mean=True)
        peaks[steps, share] = peak_bytes(trace(piece, meta, episodes, share=share))
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
        peak_bytes(trace(batched(algorithm.meta_gradient, "vmap", mean=True), meta, episodes.tasks(0, n)))
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


def test_strategies_are_read_and_written():
    for text in ("vmap plain eager", "loop channels-last traced recompute", "vmap gemm compiled chunk=8"):
        assert str(parse(text, Strategy())) == text
    assert parse("auto", Strategy("loop")) == Strategy("loop")
    kept = ("loop", "channels-last", "traced", 8, False)  # in checkpoints, also of before they were called strategies
    assert str(Strategy(*kept)) == "loop channels-last traced recompute"
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
