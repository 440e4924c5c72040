"""Rows of a table: numbers, and codes of categories."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metagap.errors import UserError
from metagap.models.linear import Linear
from metagap.models.mlp import MLP
from metagap.models.tabular_mlp import TabularMLP


def test_codes_become_vectors():
    torch.manual_seed(0)
    network = TabularMLP((4,), 2, categories=[3, 2], embedding=5, hidden=[6])
    codes, first = network.features[:2]
    table = codes.vectors.weight
    assert table.shape == (4 + 3, 5)
    x = torch.tensor([[0.5, -1.0, 1.0, 2.0], [0.1, 0.2, 3.2, 0.9]])
    rows = [torch.cat([table[1], table[4 + 2]]), torch.cat([table[3], table[4 + 1]])]
    torch.testing.assert_close(codes(x), torch.cat([x[:, :2], torch.stack(rows)], 1))
    torch.testing.assert_close(network.features(x), first(codes(x)).relu())


def test_what_is_no_code_of_the_column_is_unknown():
    codes = TabularMLP((2,), 2, categories=[3, 2]).features[0]
    for value in (-1.0, 0.4, 4.0, 1e30, float("nan"), float("inf"), -float("inf")):
        found = codes(torch.tensor([[value, 3.0]]))
        torch.testing.assert_close(found[0], codes.vectors.weight[[0, 4]].flatten())


def test_without_categories_it_is_an_mlp():
    torch.manual_seed(0)
    network = TabularMLP((3,), 2, hidden=[5, 4], layer_norm=True)
    assert [type(layer) for layer in network.features] == [nn.Linear, nn.LayerNorm, nn.ReLU] * 2
    plain = TabularMLP((3,), 2, hidden=[40, 40])
    mlp = MLP((3,), 2)
    for value, other in zip(mlp.parameters(), plain.parameters(), strict=True):
        other.data = value.data
    x = torch.randn(4, 3)
    assert torch.equal(plain(x), mlp(x))


def test_codes_that_a_coarse_type_cannot_tell_apart_are_refused():
    few, many = (TabularMLP((1,), 2, categories=[count]).bfloat16() for count in (256, 257))
    few(torch.ones(1, 1, dtype=torch.bfloat16))
    with pytest.raises(UserError, match=r"torch.bfloat16 cannot tell 257 categories apart"):
        many(torch.ones(1, 1, dtype=torch.bfloat16))


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"model tabular-mlp needs vectors \(features,\), .* \(2, 3\)"):
        TabularMLP((2, 3), 3)
    with pytest.raises(UserError, match=r"categories = \[3, 2\] are those of 2 columns, and inputs have 1"):
        TabularMLP((1,), 3, categories=[3, 2])


@pytest.mark.parametrize("model", [MLP, Linear])
def test_vectors_are_classified_by_the_plain_models_too(model):
    assert model((512,), 5)(torch.randn(4, 512)).shape == (4, 5)
