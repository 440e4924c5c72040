"""Every model with every algorithm, on every path of the engine, against a plain loop over the tasks."""

from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from metagap import registry
from metagap.engine import backends
from metagap.engine.layouts import in_layout
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy, parse, permitted
from metagap.errors import UserError
from metagap.tasks.episode import Episode
from packages import predictors

PATHS = ["vmap", "vmap traced", "loop traced", "vmap gemm", "loop channels-last"]
PAGE = Path(__file__).parents[2] / "benchmark" / "docs" / "generate.py"


def page():
    """The script that writes the page on the models, whose small networks these are."""
    spec = importlib.util.spec_from_file_location("generate", PAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = page()
MODELS = list(GENERATE.SMALL)
SERIES = ["conv1d", "gru", "lstm", "transformer", "tabular-mlp"]


def tasks(model: str, kind: str) -> Episode:
    """Two tasks of a kind with inputs for a model; codes of categories are those of its last columns, or unknown."""
    (shape, options), generator = GENERATE.SMALL[model], torch.Generator().manual_seed(1)
    x = torch.randn(2, 12, *shape, dtype=torch.float64, generator=generator)
    if counts := options.get("categories"):
        x[..., -len(counts) :] = torch.randint(0, 4, (2, 12, len(counts)), generator=generator).double()
    if kind == "classification":
        y = torch.arange(3).repeat(2, 2)
        return Episode(x[:, :6], y, x[:, 6:], y, torch.arange(3).repeat(2, 1))
    y = x.flatten(2).sum(-1, keepdim=True).sin()
    return Episode(x[:, :6], y[:, :6], x[:, 6:], y[:, 6:], torch.empty(2, 0, dtype=torch.long))


def error(found, expected) -> float:
    """The distance of the one from the other, relative to its length, or to one where it is zero."""
    found, expected = (torch.cat([params[name].flatten() for name in expected]) for params in (found, expected))
    return float((found - expected).norm() / (expected.norm() or 1))


def by_a_loop(algorithm, meta, episodes):
    """The mean of the meta-gradients of all tasks, each computed as it is written."""
    each = [algorithm.meta_gradient(meta, Episode(*task))[0] for task in zip(*episodes, strict=True)]
    return {name: sum(one[name].detach() for one in each) / len(each) for name in meta}


def compare(model: str, algorithm: str, paths: list[str]) -> None:
    for kind in GENERATE.KINDS:
        try:
            bound, meta = GENERATE.small(model, algorithm, kind)
        except UserError as refusal:
            assert str(refusal).startswith("algorithm ")
            continue
        episodes = tasks(model, kind).pooled() if bound.pooled else tasks(model, kind)
        if not bound.trains:
            continue
        torch.manual_seed(0)
        expected = by_a_loop(bound, meta, episodes)
        assert all(value.isfinite().all() for value in expected.values())
        for path in paths:
            strategy = permitted(parse(path, Strategy()), bound)
            step = TaskMap(in_layout(bound, strategy.layout).meta_gradient, strategy, mean=True)
            torch.manual_seed(0)
            found, _ = step(meta, episodes)
            assert step.strategy == strategy  # nothing was given up
            assert error(found, expected) < 1e-9, (kind, path)


def test_every_model_is_in_the_grid():
    assert set(MODELS) == {name for name in registry.names("model") if registry.fingerprint("model", name) is None}


@pytest.mark.parametrize(
    ("model", "algorithm"), [*product(SERIES, ["maml", "protonet"]), ("gru", "pretrain"), ("transformer", "cavia")]
)
def test_the_meta_gradient_is_that_of_a_plain_loop(model, algorithm):
    compare(model, algorithm, ["vmap", "loop channels-last"])


@pytest.mark.parametrize(("model", "algorithm"), [("tabular-mlp", "maml"), ("gru", "cavia")])
def test_so_is_that_of_a_trace(model, algorithm):
    compare(model, algorithm, ["loop traced"])


@pytest.mark.slow
@pytest.mark.parametrize(("model", "algorithm"), list(product(MODELS, predictors())))
def test_the_whole_grid(model, algorithm):
    if algorithm.startswith("learn2learn"):
        pytest.importorskip("learn2learn")
    compare(model, algorithm, PATHS)


@pytest.mark.slow
@pytest.mark.parametrize("model", SERIES)
def test_so_is_that_of_compiled_steps(model):
    compare(model, "fomaml", ["vmap compiled"])


@pytest.mark.parametrize("model", MODELS)
def test_maml_is_the_derivative_by_autograd_alone(model):
    bound, meta = GENERATE.small(model, "maml", "classification")
    weights, total = {name: value.clone().requires_grad_() for name, value in meta.items()}, 0
    episodes = tasks(model, "classification")
    for task in map(Episode._make, zip(*episodes, strict=True)):
        fast = weights
        for _ in range(2):
            loss = F.cross_entropy(functional_call(bound.network, fast, (task.support_x,)), task.support_y)
            slopes = torch.autograd.grad(loss, fast.values(), create_graph=True)
            fast = {key: w - bound.inner_lr * s for (key, w), s in zip(fast.items(), slopes, strict=True)}
        total = total + F.cross_entropy(functional_call(bound.network, fast, (task.query_x,)), task.query_y) / 2
    expected = dict(zip(weights, torch.autograd.grad(total, weights.values()), strict=True))
    found, _ = TaskMap(bound.meta_gradient, Strategy("vmap"), mean=True)(meta, episodes)
    assert error(found, expected) < 1e-9


def test_a_long_trace_is_not_compiled(monkeypatch, caplog):
    monkeypatch.setattr(backends, "MOST_COMPILED", 10)
    bound, meta = GENERATE.small("gru", "protonet", "classification")
    step = TaskMap(bound.meta_gradient, Strategy("vmap", backend="compiled"), mean=True)
    step(meta, tasks("gru", "classification"))
    assert step.strategy.backend == "traced"
    assert "operations, and 10 at most" in caplog.text
