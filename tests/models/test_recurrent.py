"""GRU and LSTM are those of torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metagap.errors import UserError
from metagap.models.gru import GRU
from metagap.models.lstm import LSTM

MODELS = {"gru": (GRU, nn.GRU), "lstm": (LSTM, nn.LSTM)}


def as_torch_has_it(network, kind):
    """torch's layers with the weights of ours, and the order of the rows of these in torch."""
    layers = network.features.layers
    hidden, directions = layers[0][0].hidden, len(layers[0])
    theirs = kind(layers[0][0].input.in_features, hidden, len(layers), bidirectional=directions == 2).double()
    # Our LSTM has its candidate last, torch's its output gate.
    order = [0, 1, 3, 2] if kind is nn.LSTM else [0, 1, 2]
    rows = torch.arange(len(order) * hidden).view(-1, hidden)[order].flatten()
    with torch.no_grad():
        for i, layer in enumerate(layers):
            for direction, end in zip(layer, ("", "_reverse"), strict=False):
                for key, part in (("ih", direction.input), ("hh", direction.recurrent)):
                    getattr(theirs, f"weight_{key}_l{i}{end}").copy_(part.weight[rows])
                    getattr(theirs, f"bias_{key}_l{i}{end}").copy_(0 if part.bias is None else part.bias[rows])
    return theirs, rows


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (2, True)])
@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_torch(name, layers, bidirectional, pooling):
    torch.manual_seed(0)
    make, kind = MODELS[name]
    network = make((3, 7), 2, hidden=4, layers=layers, bidirectional=bidirectional, pooling=pooling).double()
    (theirs, rows), x = as_torch_has_it(network, kind), torch.randn(5, 3, 7, dtype=torch.float64)
    outputs, last = theirs(x.movedim(-1, 0))
    last = last[0] if kind is nn.LSTM else last
    ends = last[-2:].movedim(0, 1).flatten(1) if bidirectional else last[-1]
    expected, found = ends if pooling == "last" else outputs.mean(0), network.features(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    found.square().sum().backward()
    expected.square().sum().backward()
    first = network.features.layers[0][0]
    for part, key in ((first.input.weight, "ih"), (first.recurrent.weight, "hh")):
        expected = getattr(theirs, f"weight_{key}_l0").grad
        torch.testing.assert_close(part.grad[rows], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", MODELS)
def test_starts_as_torch_has_it_and_takes_any_length(name):
    network = MODELS[name][0]((1, 9), 3, hidden=16)
    for value in network.features.parameters():
        assert 0.2 < value.abs().max() <= 0.25
    assert network(torch.randn(4, 1, 30)).shape == (4, 3)


@pytest.mark.parametrize("name", MODELS)
def test_other_inputs_are_refused(name):
    with pytest.raises(UserError, match=rf"model {name} needs series \(channels, time\), not inputs of shape \(8,\)"):
        MODELS[name][0]((8,), 3)
