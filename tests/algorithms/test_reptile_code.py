"""Reptile with the settings of its paper's suites against loops written from openai/supervised-reptile (8f2b71c)."""

from __future__ import annotations

import copy

import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from metagap.algorithms.reptile import Reptile, shuffles
from metagap.engine.mapping import TaskMap
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy, parse
from metagap.models.conv4 import Conv4
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec

SPEC = TaskSpec("classification", 3, 2, 1)


def episodes(tasks: int, seed: int) -> Episode:
    x = torch.randn(tasks, 9, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    y = torch.arange(3).repeat(tasks, 3)
    return Episode(x[:, :6], y[:, :6], x[:, 6:], y[:, 6:], torch.zeros(tasks, 3, dtype=torch.long))


def network() -> Conv4:
    torch.manual_seed(0)
    return Conv4((1, 8, 8), 3, 4, norm_eps=1e-3, flatten=True).double()


@pytest.mark.parametrize(("tasks", "earlier", "tolerance"), [(1, 0, 1e-9), (3, 5000, 1e-3)])
def test_moments_go_on_from_task_to_task_and_into_the_test(tasks, earlier, tolerance):
    """With one task in a meta-batch exactly; with more nearly, for theirs follow one another and ours begin alike."""
    settings = {"inner_lr": 0.01, "inner_steps": 3, "inner_batch": 4, "carry_moments": True}
    algorithm = Reptile(**settings).bind(network(), SPEC)
    meta = {name: value.double() for name, value in algorithm.init(network(), 3, torch.Generator()).items()}
    theirs = network()
    inner = torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.0, 0.999))
    if earlier:
        meta |= {name: torch.full_like(value, 1.0) for name, value in meta.items() if "square" in name}
        meta["carried/steps"] += earlier
        for value in theirs.parameters():
            moments = {"exp_avg": torch.zeros_like(value), "exp_avg_sq": torch.full_like(value, 1.0)}
            inner.state[value] = {"step": torch.tensor(float(earlier)), **moments}

    outer = OuterLoop(algorithm, meta, Training(iterations=9, optimizer="sgd", lr=0.5), Strategy("vmap"))

    def adapt(task: Episode) -> None:
        for step in range(3):
            index = [(4 * step + i) % 6 for i in range(4)]
            inner.zero_grad()
            F.cross_entropy(theirs(task.support_x[index]), task.support_y[index]).backward()
            inner.step()

    for iteration in range(4):
        batch = episodes(tasks, iteration)
        outer.step(batch)
        before, after = copy.deepcopy(theirs.state_dict()), []
        for task in range(tasks):
            adapt(Episode(*(field[task] for field in batch)))
            after.append(copy.deepcopy(theirs.state_dict()))
            theirs.load_state_dict(before)
        mean = {name: sum(one[name] for one in after) / tasks for name in before}
        theirs.load_state_dict({name: value + 0.5 * (mean[name] - value) for name, value in before.items()})
    for name, value in theirs.named_parameters():
        torch.testing.assert_close(outer.meta[name], value.detach(), rtol=0, atol=tolerance)
        theirs_squared = inner.state[value]["exp_avg_sq"]
        torch.testing.assert_close(outer.meta[f"carried/square/{name}"], theirs_squared, rtol=tolerance, atol=0)
    assert outer.meta["carried/steps"] == earlier + 4 * 3 * tasks
    test = Episode(*(field[0] for field in episodes(1, 99)))
    ours = algorithm.adapt(outer.meta, test.support, 3)
    adapt(test)
    for name, value in theirs.named_parameters():
        torch.testing.assert_close(ours[name], value.detach(), rtol=0, atol=tolerance)


def test_without_it_nothing_is_carried():
    algorithm = Reptile(inner_optimizer="sgd", carry_moments=True).bind(network(), SPEC)
    for made in (algorithm, Reptile().bind(network(), SPEC)):
        assert set(made.init(network(), 3, torch.Generator())) == {name for name, _ in network().named_parameters()}


def test_every_pass_is_a_random_order_of_the_support_set():
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(20_000, 4, 1, 5, 5, generator=generator) < 0.2).float()
    orders = torch.stack([shuffles(x, 3).view(3, 4) for x in images[:2000]])
    assert (orders.sort(-1).values == torch.arange(4)).all()
    for one in range(3):
        counts = torch.unique(orders[:, one] @ torch.tensor([64, 16, 4, 1]), return_counts=True)[1]
        assert len(counts) == 24 and stats.chisquare(counts.numpy()).pvalue > 1e-3
    same = (orders[:, 0] == orders[:, 1]).all(-1).double().mean()
    assert float(same) == pytest.approx(1 / 24, abs=0.02)  # a pass knows nothing of the one before
    assert torch.equal(shuffles(images[0], 3), shuffles(images[0].double(), 3))


@pytest.mark.parametrize("strategy", ["loop", "vmap"])
def test_batches_of_shuffled_passes(strategy):
    algorithm = Reptile(inner_lr=0.02, inner_steps=5, inner_batch=4, inner_optimizer="sgd", shuffle=True)
    algorithm, batch = algorithm.bind(network(), SPEC), episodes(2, 0)
    meta = algorithm.init(network(), 3, torch.Generator())
    gradient, _ = TaskMap(algorithm.meta_gradient, parse(strategy, Strategy()), mean=True)(meta, batch)
    expected = {name: torch.zeros_like(value) for name, value in meta.items()}
    for task in range(2):
        copied, x, y = network(), batch.support_x[task], batch.support_y[task]
        inner = torch.optim.SGD(copied.parameters(), lr=0.02)
        for index in shuffles(x, 4)[:20].split(4):
            inner.zero_grad()
            F.cross_entropy(copied(x[index]), y[index]).backward()
            inner.step()
        for name, parameter in copied.named_parameters():
            expected[name] += (meta[name] - parameter.detach()) / 2
    for name in meta:
        torch.testing.assert_close(gradient[name], expected[name], rtol=1e-9, atol=1e-12)
