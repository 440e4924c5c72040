"""The fully connected networks of the MAML paper."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from metagap.models.mlp import MLP

HIDDEN = [256, 128, 64, 64]


def test_parameters_of_the_papers_networks():
    def count(network: MLP) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    assert count(MLP((1,), 1)) == 40 + 40 + 40 * 40 + 40 + 40 + 1
    widths = [784, *HIDDEN]
    inner = sum(a * b + 2 * b for a, b in zip(widths, HIDDEN, strict=False))  # no bias, batch norm has one
    assert count(MLP((1, 28, 28), 5, HIDDEN, batch_norm=True)) == inner + 64 * 5 + 5


def test_batch_norm_between_each_layer_and_its_relu():
    torch.manual_seed(0)
    network = MLP((1, 3, 3), 2, [5, 4], batch_norm=True).double()
    x = torch.randn(6, 1, 3, 3, dtype=torch.float64)
    weights = list(network.parameters())
    z = x.flatten(1)
    for linear, scale, shift in (weights[0:3], weights[3:6]):
        z = F.linear(z, linear)
        z = (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt() * scale + shift
        z = z.relu()
    torch.testing.assert_close(network(x), F.linear(z, *weights[6:]), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_weights_can_start_small(batch_norm):
    torch.manual_seed(0)
    network = MLP((400,), 3, [300], batch_norm=batch_norm, weight_std=0.01)
    weight = network.features[1].weight
    assert weight.abs().max() <= 0.02
    # The standard deviation of a normal distribution that is cut off at two of them.
    assert float(weight.detach().std()) == pytest.approx(0.0088, abs=2e-4)
    assert not network.head.bias.any()
    assert network.head.weight.abs().max() <= 0.02
