"""The residual networks are those of their papers, and can do what the engine asks of a network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torchvision.models import ResNet, resnet18
from torchvision.models.resnet import BasicBlock

from metagap.algorithms.maml import MAML
from metagap.engine.layouts import LAYOUTS, in_layout, laid_out, unknown
from metagap.engine.mapping import TaskMap
from metagap.engine.strategy import Strategy, parse
from metagap.errors import UserError
from metagap.models.resnet import ResNet10, ResNet18
from metagap.models.resnet12 import ResNet12
from metagap.models.wide_resnet import WideResNet
from metagap.tasks.episode import Episode, TaskSpec

SMALL: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "resnet10": lambda x_shape, outputs: ResNet10(x_shape, outputs, filters=3),
    "resnet18": lambda x_shape, outputs: ResNet18(x_shape, outputs, filters=2),
    "resnet12": lambda x_shape, outputs: ResNet12(x_shape, outputs, widths=(3, 4, 5)),
    "wrn": lambda x_shape, outputs: WideResNet(x_shape, outputs, depth=10, width=1),
}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("ours", "blocks"), [(ResNet18, 2), (ResNet10, 1)])
def test_resnets_are_those_of_torchvision(ours, blocks):
    torch.manual_seed(0)
    network, theirs = ours((3, 84, 84), 1000), ResNet(BasicBlock, [blocks] * 4)
    weights = [value for name, value in theirs.state_dict().items() if "running" not in name and "num_" not in name]
    for parameter, value in zip(network.state_dict().values(), weights, strict=True):
        parameter.copy_(value)
    x = torch.randn(4, 3, 84, 84)
    torch.testing.assert_close(network(x), theirs.train()(x), rtol=1e-4, atol=1e-5)
    if blocks == 2:
        assert count(network) == count(resnet18()) == 11_689_512


@pytest.mark.parametrize("channels", [1, 3])
def test_resnets_take_other_channels_and_sizes(channels):
    for size in (28, 84):
        network = ResNet10((channels, size, size), 5, filters=4)
        assert network(torch.randn(2, channels, size, size)).shape == (2, 5)
        assert network.features(torch.randn(2, channels, size, size)).shape == (2, 32)
    assert count(ResNet10((1, 84, 84), 5)) == count(ResNet10((3, 84, 84), 5)) - 2 * 49 * 64


def resnet12_as_published(network: ResNet12, x: torch.Tensor) -> torch.Tensor:
    """Convolution, batch norm and leaky ReLU twice, a third convolution, the shortcut, leaky ReLU, then pooling."""
    weights = dict(network.named_parameters())

    def layer(prefix: str, x: torch.Tensor) -> torch.Tensor:
        block, part, i = prefix.rsplit(".", 2)
        norm = f"{block}.{part}.{int(i) + 1}"
        x = F.conv2d(x, weights[f"{prefix}.weight"], padding="same")
        return F.batch_norm(x, None, None, weights[f"{norm}.weight"], weights[f"{norm}.bias"], training=True)

    for block in ("features.0", "features.1", "features.2"):
        path = F.leaky_relu(layer(f"{block}.path.0", x), 0.1)
        path = F.leaky_relu(layer(f"{block}.path.3", path), 0.1)
        total = layer(f"{block}.path.6", path) + layer(f"{block}.shortcut.0", x)
        x = F.max_pool2d(F.leaky_relu(total, 0.1), 2)
    return F.linear(x.mean((2, 3)), weights["head.weight"], weights["head.bias"])


def test_resnet12_is_the_published_network():
    torch.manual_seed(0)
    network = ResNet12((3, 20, 20), 5, widths=(4, 6, 8)).double()
    x = torch.randn(6, 3, 20, 20, dtype=torch.float64)
    torch.testing.assert_close(network(x), resnet12_as_published(network, x), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("widths", [(64, 160, 320, 640), (64, 128, 256, 512)])
def test_parameters_of_resnet12(widths):
    before, total = 3, widths[-1] * 5 + 5
    for after in widths:
        total += 9 * (before * after + 2 * after * after) + before * after + 4 * 2 * after
        before = after
    assert count(ResNet12((3, 84, 84), 5, widths=widths)) == total


def test_parameters_of_the_wide_resnet():
    total, before = 27 * 16, 16
    for after in (160, 320, 640):
        total += 9 * before * after + 7 * 9 * after**2 + before * after  # convolutions and the shortcut
        total += 2 * before + 7 * 2 * after  # batch norms, each before its convolution
        before = after
    total += 2 * 640 + 640 * 10 + 10
    found = count(WideResNet((3, 32, 32), 10))
    assert found == total
    assert round(found / 1e6, 1) == 36.5  # Zagoruyko and Komodakis (2016), Table 4


def test_the_wide_resnet_halves_the_image_twice_and_adds_blocks_to_their_input():
    torch.manual_seed(0)
    network = WideResNet((3, 16, 16), 2, depth=16, width=2).double()
    x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    sizes = []
    for layer in network.features[:-4]:
        before, x = x, layer(x)
        sizes.append(tuple(x.shape[1:]))
        if hasattr(layer, "shortcut"):
            start = layer.start(before)
            rest = before if layer.shortcut is None else layer.shortcut(start)
            torch.testing.assert_close(x, rest + layer.path(start))
    assert sizes == [(16, 16, 16)] + [(32, 16, 16)] * 2 + [(64, 8, 8)] * 2 + [(128, 4, 4)] * 2
    assert network.features[-4:](x).shape == (3, 128)


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_gets_a_gradient(name):
    torch.manual_seed(0)
    network = SMALL[name]((3, 40, 40), 3).double()
    x, y = torch.randn(6, 3, 40, 40, dtype=torch.float64), torch.arange(6) % 3
    F.cross_entropy(network(x), y).backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any()


@pytest.mark.parametrize("name", SMALL)
def test_mapped_over_weights_it_is_what_it_is_alone(name):
    torch.manual_seed(0)
    network = SMALL[name]((1, 40, 40), 3).double()
    names = dict(network.named_parameters())
    weights = {key: value.detach() + 0.1 * torch.randn(2, *value.shape) for key, value in names.items()}
    x = torch.randn(2, 4, 1, 40, 40, dtype=torch.float64)
    mapped = vmap(lambda weights, x: functional_call(network, weights, (x,)))(weights, x)
    for i in range(2):
        alone = functional_call(network, {key: value[i] for key, value in weights.items()}, (x[i],))
        torch.testing.assert_close(mapped[i], alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_a_form_knows_every_layer(name):
    network = SMALL[name]((3, 40, 40), 3)
    assert unknown(network, "channels-last") == []
    x = torch.randn(4, 3, 40, 40)
    for layout in LAYOUTS:
        torch.testing.assert_close(laid_out(network, layout)(x), network(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "strategy", ["vmap", "loop channels-last", "vmap gemm", pytest.param("vmap traced", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", ["resnet10", "resnet12", "wrn"])
def test_plans_agree_on_the_meta_gradient(name, strategy):
    torch.manual_seed(0)
    network, spec = SMALL[name]((1, 33, 33), 2).double(), TaskSpec("classification", 2, 2, 1)
    x, y = torch.randn(2, 6, 1, 33, 33, dtype=torch.float64), torch.arange(2).repeat(2, 3)
    episodes = Episode(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:], torch.zeros(2, 2, dtype=torch.long))
    algorithm = MAML(inner_lr=0.05, inner_steps=1).bind(network, spec)
    meta = algorithm.init(network, 0, torch.Generator())

    def gradient(strategy: Strategy) -> dict[str, torch.Tensor]:
        step = TaskMap(in_layout(algorithm, strategy.layout).meta_gradient, strategy, mean=True)
        found, _ = step(meta, episodes)
        assert step.strategy == strategy  # nothing was given up
        return found

    plain, other = gradient(Strategy("loop")), gradient(parse(strategy, Strategy()))
    for key, value in other.items():
        torch.testing.assert_close(value, plain[key], rtol=1e-7, atol=1e-10)


def test_inputs_and_options_that_do_not_fit_are_refused():
    for make, model in ((ResNet10, "resnet10"), (ResNet18, "resnet18"), (ResNet12, "resnet12"), (WideResNet, "wrn28")):
        with pytest.raises(UserError, match=f"model {model}.* needs images"):
            make((5,), 3)
    with pytest.raises(UserError, match=r"4 widths halves images 4 times.*12 x 12"):
        ResNet12((3, 12, 12), 5)
    with pytest.raises(UserError, match=r"one width or more"):
        ResNet12((3, 12, 12), 5, widths=())
    for depth in (4, 27):
        with pytest.raises(UserError, match=f"depth = {depth}; allowed: 10, 16, 22, 28"):
            WideResNet((3, 32, 32), 5, depth=depth)
