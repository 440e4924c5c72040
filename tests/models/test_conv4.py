"""The four-module network is that of its papers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metagap.errors import UserError
from metagap.models.conv4 import Conv4


def as_published(network: Conv4, x: torch.Tensor, pooling: str, slope: float = 0.0) -> torch.Tensor:
    """Convolution, batch norm, (leaky) ReLU, then pooling; or strided convolutions and the mean over what remains."""
    weights = dict(network.named_parameters())
    norms = [name.removesuffix(".bias") for name in weights if name.startswith("features") and name.endswith(".bias")]
    convolutions = [name for name in weights if weights[name].ndim == 4]
    for convolution, norm in zip(convolutions, norms, strict=True):
        x = F.conv2d(x, weights[convolution], stride=2 if pooling == "stride" else 1, padding=1)
        x = F.batch_norm(x, None, None, weights[f"{norm}.weight"], weights[f"{norm}.bias"], training=True)
        x = F.leaky_relu(x, slope)
        x = F.max_pool2d(x, 2) if pooling == "max" else x
    x = x.mean((2, 3)) if pooling == "stride" else x.flatten(1)
    return F.linear(x, weights["head.weight"], weights["head.bias"])


@pytest.mark.parametrize("pooling", ["stride", "max"])
@pytest.mark.parametrize(("filters", "slope"), [(8, 0.0), (8, 0.01), ([3, 5, 7, 6], 0.1)])
def test_it_is_the_published_network(pooling, filters, slope):
    torch.manual_seed(0)
    network = Conv4((3, 20, 20), 5, filters=filters, pooling=pooling, slope=slope).double()
    x, y = torch.randn(6, 3, 20, 20, dtype=torch.float64), torch.arange(6) % 5
    outputs = network(x), as_published(network, x, pooling, slope)
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-13)
    ours, published = (torch.autograd.grad(F.cross_entropy(o, y), list(network.parameters())) for o in outputs)
    for a, b in zip(ours, published, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-13)


def test_parameters_of_the_papers_sizes():
    def count(network: nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    # The published networks but for the convolutions' biases, which batch norm takes away again.
    assert count(Conv4((1, 28, 28), 5)) == 9 * 64 + 3 * 9 * 64 * 64 + 4 * 2 * 64 + 64 * 5 + 5
    assert count(Conv4((3, 84, 84), 5, 32, "max")) == 27 * 32 + 3 * 9 * 32 * 32 + 4 * 2 * 32 + 25 * 32 * 5 + 5


@pytest.mark.parametrize(("size", "positions"), [(84, 36), (28, 4), (32, 4), (17, 4)])
def test_positions_of_the_network_of_reptiles_authors(size, positions):
    for options in ({"pooling": "max", "round_up": True}, {"flatten": True}):
        network = Conv4((1, size, size), 2, 3, **options)
        assert network.head.in_features == 3 * positions
        assert network(torch.zeros(2, 1, size, size)).shape == (2, 2)


def test_the_head_can_start_wider():
    torch.manual_seed(0)
    heads = [Conv4((1, 28, 28), 20, head_std=std).head.weight.detach() for std in (None, 1.0)]
    assert float(heads[0].abs().max()) < 0.3
    assert float(heads[1].std()) == pytest.approx(1.0, abs=0.05)


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="needs images"):
        Conv4((5,), 3)
    with pytest.raises(UserError, match="16 pixels"):
        Conv4((1, 12, 12), 3, pooling="max")
