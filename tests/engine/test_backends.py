"""Backends: each goes on as the next simpler one where it cannot run a function."""

from __future__ import annotations

import logging

import pytest
import torch

from metagap.engine import backends
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy


def mean_gradient(images, **strategy) -> TaskMap:
    algorithm, _, _ = images
    return TaskMap(algorithm.meta_gradient, Strategy("vmap", chunk=2, **strategy), mean=True)


def close(step: TaskMap, images) -> None:
    _, meta, episodes = images
    plain, found = mean_gradient(images)(meta, episodes), step(meta, episodes)
    for name in meta:
        torch.testing.assert_close(found[0][name], plain[0][name], rtol=1e-9, atol=1e-12)


def test_compiled_is_the_trace_compiled_once_for_each_shape(images, monkeypatch):
    given = []

    def compile(trace, **_):
        given.append(trace)
        return trace

    monkeypatch.setattr(torch, "compile", compile)
    step = mean_gradient(images, backend="compiled")
    close(step, images)
    close(step, images)
    assert step.strategy.backend == "compiled"
    assert [isinstance(trace, torch.fx.GraphModule) for trace in given] == [True, True]  # of two tasks, of the last one


def test_what_cannot_be_compiled_is_traced(images, monkeypatch, caplog):
    def compile(*_, **__):
        raise RuntimeError("no compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", compile)
    step = mean_gradient(images, backend="compiled")
    close(step, images)
    assert step.strategy.backend == "traced"
    assert [record.getMessage() for record in caplog.records] == [
        "compilation failed, going on without it (RuntimeError: no compiler)"
    ]


@pytest.mark.parametrize("backend", ["traced", "compiled"])
def test_what_cannot_be_traced_is_eager(images, monkeypatch, caplog, backend):
    def trace(*_, **__):
        raise ValueError("it takes values out of tensors")

    caplog.set_level(logging.INFO, "metagap")
    monkeypatch.setattr(backends, "trace", trace)
    step = mean_gradient(images, backend=backend)
    close(step, images)
    assert step.strategy.backend == "eager"
    assert [record.getMessage() for record in caplog.records] == [
        "cannot be traced, going on without (ValueError: it takes values out of tensors)"
    ]


@pytest.mark.parametrize("backend", ["traced", "compiled"])
def test_memory_that_runs_out_while_it_gets_ready_means_fewer_tasks(images, monkeypatch, caplog, backend):
    trace = backends.trace

    def small(function, meta, tasks, **how):
        if len(tasks.support_x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return trace(function, meta, tasks, **how)

    monkeypatch.setattr(backends, "trace", small)
    monkeypatch.setattr(torch, "compile", lambda trace, **_: trace)
    step = mean_gradient(images, backend=backend)
    close(step, images)
    assert (step.strategy.backend, step.strategy.chunk) == (backend, 1)
    assert "going on with 1" in caplog.text


def test_getting_ready_draws_no_random_numbers(images):
    _, meta, episodes = images
    torch.manual_seed(0)
    before = torch.get_rng_state()
    mean_gradient(images, backend="traced")(meta, episodes)
    assert torch.equal(torch.get_rng_state(), before)
