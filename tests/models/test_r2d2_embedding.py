"""The network of R2-D2 is that of the authors' code."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metagap.errors import UserError
from metagap.models.r2d2_embedding import R2D2Embedding


def test_it_is_the_published_network():
    torch.manual_seed(0)
    network = R2D2Embedding((3, 24, 20), 5, filters=[3, 4, 5, 6]).double()
    for parameter in network.parameters():  # scales and shifts of any sign
        nn.init.normal_(parameter)
    x = torch.randn(6, 3, 24, 20, dtype=torch.float64)
    weights = [value for name, value in network.named_parameters() if name.startswith("features")]
    h, outputs = x, []
    for i, (weight, scale, shift) in enumerate(zip(weights[::3], weights[1::3], weights[2::3], strict=True)):
        h = F.batch_norm(F.conv2d(h, weight, padding=1), None, None, scale, shift, training=True)
        h = F.leaky_relu(F.max_pool2d(h, 2, 2 if i < 3 else 1), 0.1)
        outputs.append(h)
    features = torch.cat([F.max_pool2d(outputs[2], 2, 1).flatten(1), outputs[3].flatten(1)], 1)
    torch.testing.assert_close(network.features(x), features, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(network(x), F.linear(features, network.head.weight, network.head.bias))


def test_features_are_as_many_as_in_the_authors_code():
    assert R2D2Embedding((3, 32, 32), 5).head.in_features == 3456 + 4608  # CIFAR-FS
    assert R2D2Embedding((3, 32, 32), 5, filters=[64] * 4).head.in_features == 576 * 2
    assert R2D2Embedding((1, 28, 28), 5, filters=[64] * 4).head.in_features == 256 * 2  # Omniglot


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="16 pixels"):
        R2D2Embedding((1, 12, 12), 3)
