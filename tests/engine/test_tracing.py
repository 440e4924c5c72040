"""A trace is what torch records, whatever it notes beside it."""

from __future__ import annotations

import torch
from metagap.engine import tracing
from metagap.engine.tracing import trace
from torch import nn
from torch.func import functional_call, grad, vmap


def test_noting_shapes_alone_changes_nothing(monkeypatch):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False), nn.Flatten())
    weights = {name: value.detach() for name, value in network.named_parameters()}
    x = torch.randn(3, 4, 1, 5, 5)

    def step(weights, x):
        def loss(weights):
            return functional_call(network, weights, x).square().mean()

        slope = grad(loss)(weights)
        return grad(lambda w: loss({name: w[name] - 0.1 * slope[name] for name in w}))(weights)

    def mapped(weights, x):
        return vmap(step, in_dims=(None, 0))(weights, x)

    light = trace(mapped, weights, x)
    monkeypatch.setattr(tracing, "_shape_of", tracing._extract_val)
    heavy = trace(mapped, weights, x)
    assert light.code == heavy.code
    for ours, theirs in zip(light.graph.nodes, heavy.graph.nodes, strict=True):
        a, b = ours.meta.get("val"), theirs.meta.get("val")
        if isinstance(b, torch.Tensor):
            assert (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)
            assert a.untyped_storage().nbytes() == b.untyped_storage().nbytes()
    torch.testing.assert_close(light(weights, x), mapped(weights, x))
