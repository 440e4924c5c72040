"""A trace is what torch records, whatever it notes beside it; without a recorder all is computed eagerly."""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import contextmanager
from functools import partial
from random import gauss

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from metagap.engine.internals import recording
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy
from metagap.engine.tracing import trace
from metagap.tasks.episode import Episode


def step_of_a_small_network():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False), nn.Flatten())
    weights = {name: value.detach() for name, value in network.named_parameters()}

    def step(weights, x):
        def loss(weights):
            return functional_call(network, weights, x).square().mean()

        slope = grad(loss)(weights)
        return grad(lambda w: loss({name: w[name] - 0.1 * slope[name] for name in w}))(weights)

    return step, weights, torch.randn(3, 4, 1, 5, 5)


def test_light_notes_change_nothing(monkeypatch):
    step, weights, x = step_of_a_small_network()

    def mapped(weights, x):
        return vmap(step, in_dims=(None, 0))(weights, x)

    light = trace(mapped, weights, x)
    monkeypatch.setattr(recording, "LIGHT", False)
    heavy = trace(mapped, weights, x)
    assert light.code == heavy.code
    for ours, theirs in zip(light.graph.nodes, heavy.graph.nodes, strict=True):
        a, b = ours.meta.get("val"), theirs.meta.get("val")
        if isinstance(b, torch.Tensor):
            assert (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)
            assert a.untyped_storage().nbytes() == b.untyped_storage().nbytes()
    torch.testing.assert_close(light(weights, x), mapped(weights, x))


def test_without_a_recorder_numbers_are_the_same(monkeypatch, caplog):
    step, weights, x = step_of_a_small_network()
    tasks = Episode(x, x, x, x, x)

    def mean():
        step_of_task = TaskMap(
            lambda weights, task: step(weights, task.support_x), Strategy(backend="traced"), mean=True
        )
        return step_of_task(weights, tasks), step_of_task.strategy.backend

    traced, backend = mean()
    assert backend == "traced"
    caplog.set_level(logging.INFO, "metagap")
    monkeypatch.setattr(recording, "proxy_tensor", None)
    eager, backend = mean()
    assert backend == "eager"
    assert "cannot be traced" in caplog.text
    for name in weights:
        torch.testing.assert_close(eager[name], traced[name], rtol=1e-5, atol=1e-6)


@contextmanager
def drawing():
    """Another thread that draws random numbers all the time."""
    ended = threading.Event()
    thread = threading.Thread(target=lambda: [random.random() for _ in iter(ended.is_set, True)])
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_random_numbers_of_another_thread_are_not_the_functions_own():
    weights, x = {"w": torch.tensor(2.0)}, torch.ones(3)

    def scaled(weights, x):
        time.sleep(0.02)
        return x * weights["w"]

    with drawing():
        before = random.getstate()
        assert recording.record(scaled, weights, x)(weights, x).tolist() == [2.0, 2.0, 2.0]
        assert random.getstate() != before
        for draw in (gauss, random.random, np.random.rand, partial(random.uniform, 0, 1)):
            with pytest.raises(ValueError, match="draws random numbers outside of torch"):
                recording.record(lambda weights, x, draw=draw: x * draw(), weights, x)
