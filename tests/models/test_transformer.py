"""The transformer is that of torch's layers, and what it does not know does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metagap.errors import UserError
from metagap.models.transformer import Transformer, sinusoids


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_is_torchs_encoder_of_patches(positions):
    torch.manual_seed(0)
    network = Transformer((2, 10), 3, patch=4, width=6, layers=2, heads=3, positions=positions).double()
    patches, added, *blocks, norm, _ = network.features
    layer = nn.TransformerEncoderLayer(6, 3, 24, 0.0, "gelu", batch_first=True, norm_first=True)
    theirs = nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False).double()
    with torch.no_grad():
        for ours, block in zip(blocks, theirs.layers, strict=True):
            weights = [*ours.attention[1].parameters(), *ours.dense[1].parameters(), *ours.dense[3].parameters()]
            weights += [*ours.attention[0].parameters(), *ours.dense[0].parameters()]
            for value, other in zip(weights, block.parameters(), strict=True):
                other.copy_(value)
    x = torch.randn(5, 2, 10, dtype=torch.float64)
    filled = torch.cat([x, torch.zeros(5, 2, 2)], -1)  # to whole patches
    given = torch.stack([filled[..., i : i + 4].flatten(1) for i in (0, 4, 8)], 1)
    expected = theirs(patches.map(given) + added.vectors).mean(1)
    torch.testing.assert_close(network.features(x), expected, rtol=1e-11, atol=1e-13)
    assert isinstance(added.vectors, nn.Parameter) == (positions == "learned")


def test_every_position_has_its_sines_and_cosines():
    vectors = sinusoids(5, 4).double()
    at = torch.arange(5.0, dtype=torch.float64)
    expected = [at.sin(), at.cos(), (at / 100).sin(), (at / 100).cos()]
    torch.testing.assert_close(vectors, torch.stack(expected, 1), rtol=1e-5, atol=1e-6)
    assert sinusoids(5, 3).shape == (5, 3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"model transformer needs series \(channels, time\), .* \(8,\)"):
        Transformer((8,), 3)
    with pytest.raises(UserError, match="heads = 3; allowed: divisors of width = 64"):
        Transformer((1, 8), 3, heads=3)
