"""Layers of another class."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from metagap.engine.internals import reclassing
from metagap.engine.layouts import laid_out


class Net(nn.Module):
    """A convolution in two places, known to a list beside them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2, track_running_stats=False))
        self.again = self.first[0]
        self.order = [self.first, self.again, nn.Flatten()]

    def forward(self, x):
        for layer in self.order:
            x = layer(x)
        return x


def refused(module, kind):
    raise TypeError("__class__ assignment: object layout differs")


@pytest.mark.parametrize("layout", ["channels-last", "gemm"])
def test_where_python_refuses_numbers_are_the_same(monkeypatch, layout):
    torch.manual_seed(0)
    network, x = Net().double(), torch.randn(3, 2, 5, 5, dtype=torch.float64)
    other = {name: torch.randn_like(value) for name, value in network.named_parameters()}
    assigned = laid_out(network, layout)
    monkeypatch.setattr(reclassing, "_assign", refused)
    replaced = laid_out(network, layout)
    for made in (assigned, replaced):
        assert type(made.first[0]) is not nn.Conv2d
        assert made.first[0] is made.again
        assert list(dict(made.named_parameters())) == list(other)
    # The list goes on with the layer from before, which has the same weights, and so do weights from outside.
    torch.testing.assert_close(replaced(x), assigned(x))
    torch.testing.assert_close(functional_call(replaced, other, x), functional_call(assigned, other, x))
    torch.testing.assert_close(functional_call(replaced, other, x), functional_call(network, other, x))


def test_a_network_that_is_one_layer(monkeypatch):
    monkeypatch.setattr(reclassing, "_assign", refused)
    network, x = nn.Conv2d(2, 2, 3), torch.randn(1, 2, 5, 5)
    torch.testing.assert_close(laid_out(network, "gemm")(x), network(x))
