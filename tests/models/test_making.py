"""Networks that users bring: made pure functions with a note, or refused with one sentence."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from metagap.errors import UserError
from metagap.models.making import copied, fit, for_test, make_model

SHAPE = (1, 4, 4)


class Net(nn.Module):
    """Two linear layers around whatever `middle` is."""

    def __init__(self, middle: nn.Module | None = None, x_shape=SHAPE, outputs=3):
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), middle or nn.Identity())
        self.head = nn.Linear(6, outputs)

    def forward(self, x):
        return self.head(self.features(x))


def made(network: nn.Module):
    return fit(network, "mine", SHAPE, 3)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(6), nn.BatchNorm1d(6, momentum=None, affine=False)])
def test_batch_norm_uses_the_statistics_of_its_batch_and_says_so(norm):
    network, (note,) = made(Net(norm))
    assert "'features.2'" in note
    assert "uses the statistics of its batch" in note
    x = torch.randn(5, *SHAPE)
    z = network.features[:2](x)
    expected = (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()
    for one in (network, for_test(network)):
        torch.testing.assert_close(one.features(x), expected, rtol=1e-4, atol=1e-5)


def test_batch_norm_that_was_frozen_stays_so():
    norm = nn.BatchNorm1d(6).eval()
    norm.running_mean.fill_(2.0)
    network, notes = made(Net(norm))
    assert not notes
    x = torch.randn(5, *SHAPE)
    torch.testing.assert_close(network.features(x), (network.features[:2](x) - 2) / (1 + 1e-5) ** 0.5)


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))
        self.seen = torch.zeros(())  # no buffer

    def forward(self, z):
        self.seen += len(z)
        self.mean.mul_(0.9).add_(0.1 * z.mean(0).detach())
        self.last = z
        return z - self.mean


def test_buffers_that_change_are_named_and_start_alike():
    network, (note,) = made(Net(Counts()))
    assert "'features.2.mean', 'features.2.seen' change in a forward pass" in note
    assert network.features[2].mean.eq(0).all()
    assert network.features[2].seen == 0
    network(torch.ones(2, *SHAPE))
    assert network.features[2].last.grad_fn is not None
    assert not hasattr(copied(network).features[2], "last")  # torch cannot copy it


def test_spectral_norm_is_one_in_training_and_at_test_whatever_the_weights_have_become():
    torch.manual_seed(0)
    network, _ = made(Net(parametrizations.spectral_norm(nn.Linear(6, 6))))
    network.features[2].parametrizations.weight.original.data = torch.randn(6, 6)
    for one in (network, for_test(network)):
        assert float(torch.linalg.matrix_norm(one.features[2].weight.detach(), 2)) == pytest.approx(1, abs=0.05)


def test_for_test_turns_off_what_is_random_there_alone():
    network, notes = made(Net(nn.Sequential(nn.Dropout(0.5), nn.RReLU())))
    x, at_test = torch.randn(5, *SHAPE), for_test(network)
    assert not notes
    assert not torch.equal(network(x), network(x))
    assert torch.equal(at_test(x), at_test(x))


def test_lazy_layers_get_their_shapes():
    network, notes = made(Net(nn.LazyLinear(6)))
    assert network.features[2].weight.shape == (6, 6)
    assert not notes


def test_other_types_of_numbers_become_float32():
    network, (note,) = made(Net().half().double())
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert "float32" in note
    network, _ = made(Net(Phases()))
    assert network.features[2].turn.is_complex()


class Phases(nn.Module):
    def __init__(self):
        super().__init__()
        self.turn = torch.polar(torch.ones(6), torch.arange(6.0))

    def forward(self, z):
        return (z * self.turn).real


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, z):
        return self.function(z)


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Parameter(torch.ones(6, dtype=torch.complex64))

    def forward(self, z):
        return (z * self.c).real


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: Net(outputs=4), r"shape \(4, 4\) for an input of shape \(4, 1, 4, 4\); needed: \(4, 3\)"),
        (lambda: Net(Calls(lambda z: z / 0)), "not finite"),
        (lambda: Net(nn.Linear(5, 6)), r"in its layer 'features\.2' \(Linear\): RuntimeError.*mat1 and mat2"),
        (lambda: nn.Sequential(Net(), Calls(lambda z: (z, z))), "gives tuple"),
        (lambda: nn.Sequential(Net(), Calls(torch.Tensor.long)), r"torch\.int64; needed: real numbers"),
        (lambda: nn.Sequential(nn.Flatten()), "no parameters"),
        (lambda: Net(nn.Linear(6, 6, device="meta")), r"'features\.2\.weight' is on the device 'meta'"),
        (lambda: Net(Complex()), r"'features\.2\.c' is complex"),
    ],
)
def test_what_is_no_network_for_this_is_refused(network, message):
    with pytest.raises(UserError, match=message):
        made(network())


def test_a_constructor_that_raises_is_told_with_its_line(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(
        "from torch import nn\n"
        "class Raises(nn.Module):\n    def __init__(self, x_shape, outputs):\n        raise KeyError('width')\n"
        "class Other(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n"
    )
    with pytest.raises(UserError, match=r"cannot be made for .*\(1, 4, 4\) and 3 outputs: KeyError.*nets\.py, line 4"):
        make_model({"name": f"{path}:Raises"}, SHAPE, 3)
    with pytest.raises(UserError, match=r"TypeError.*called with \(x_shape, outputs\)"):
        make_model({"name": f"{path}:Other"}, SHAPE, 3)
    with pytest.raises(UserError, match=r"conv4 needs images"):
        make_model({"name": "conv4"}, (5,), 3)
