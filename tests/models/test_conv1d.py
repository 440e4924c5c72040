"""Convolutions over time."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from metagap.engine.layouts import LAYOUTS, laid_out, unknown
from metagap.errors import UserError
from metagap.models.conv1d import Conv1d


@pytest.mark.parametrize("pooling", ["max", "stride"])
def test_is_four_modules_of_one_dimensional_layers(pooling):
    torch.manual_seed(0)
    network = Conv1d((2, 21), 3, filters=4, kernel=3, pooling=pooling).double()
    x = torch.randn(5, 2, 21, dtype=torch.float64)
    z = x
    for weight, scale, shift in zip(*[iter(network.features.parameters())] * 3, strict=True):
        z = F.conv1d(z, weight.squeeze(2), padding=1, stride=2 if pooling == "stride" else 1)
        z = F.batch_norm(z, None, None, scale, shift, training=True)
        z = F.max_pool1d(z, 2, ceil_mode=True).relu() if pooling == "max" else z.relu()
    assert z.shape == (5, 4, 2)
    expected = F.linear(z.mean(-1), network.head.weight, network.head.bias)
    torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("pooling", ["max", "stride"])
@pytest.mark.parametrize("time", [1, 5, 33])
def test_any_length_will_do(time, pooling):
    assert Conv1d((1, time), 3, filters=4, pooling=pooling)(torch.randn(2, 1, time)).shape == (2, 3)


def test_every_layout_knows_every_layer():
    network, x = Conv1d((1, 12), 3, filters=4), torch.randn(4, 1, 12)
    assert unknown(network, "channels-last") == []
    for layout in LAYOUTS:
        torch.testing.assert_close(laid_out(network, layout)(x), network(x), rtol=1e-4, atol=1e-4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"model conv1d needs series \(channels, time\), .* \(1, 8, 8\)"):
        Conv1d((1, 8, 8), 3)
    with pytest.raises(UserError, match="kernel = 4; allowed: odd numbers"):
        Conv1d((1, 8), 3, kernel=4)
