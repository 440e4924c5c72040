"""Layouts of a network: the same layers with the same weights, arranged for speed.

A layout changes how a layer is computed and nothing else. Which one is fast depends on the device and on the shapes, so
the engine chooses it by timing (see `choice`). Layers that a layout does not know stay as they are.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from metagap.algorithms.base import Algorithm, Params
from metagap.engine.convolution import ChannelsLastConv, GemmConv
from metagap.engine.internals.reclassing import reclassed
from metagap.engine.norm import BatchNorm
from metagap.models.making import copied
from metagap.models.parts import ShiftNorm2d

Layout = Literal["plain", "channels-last", "gemm"]
"""plain: as the model is written. channels-last: images in memory as (n, H, W, C), as the convolution, norm and pooling
kernels of a CPU want them. gemm: convolutions as matrix products of image patches, which batch over tasks with weights
of their own (a grouped convolution does so badly on a GPU), and fuse when compiled."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def in_layout(algorithm: Algorithm, layout: Layout) -> Algorithm:
    """A bound algorithm with its network in this layout."""
    return algorithm.bind(laid_out(algorithm.network, layout), algorithm.spec, algorithm.precision)


def laid_out(network: nn.Module, layout: Layout) -> nn.Module:
    """A copy of `network` in this layout; its parameters keep their names and shapes."""
    if layout == "plain":
        return network
    known = _REPLACEMENTS[layout]

    def replacement(module: nn.Module) -> type[nn.Module] | None:
        found = known.get(type(module))
        return found if found is not None and found.knows(module) else None

    return reclassed(copied(network), replacement)


def unknown(network: nn.Module, layout: Layout) -> list[str]:
    """The kinds of layers with weights that this layout leaves as they are."""
    known = {*_REPLACEMENTS.get(layout, {}), nn.Linear}
    leaves = (module for module in network.modules() if next(module.parameters(recurse=False), None) is not None)
    return sorted({type(module).__name__ for module in leaves if type(module) not in known})


def arranged(meta: Params, layout: Layout) -> Params:
    """The same meta-parameters with the weights of convolutions in memory as the layout wants them."""
    if layout != "channels-last":
        return meta
    last = torch.channels_last
    return {name: v.contiguous(memory_format=last) if v.ndim == 4 else v for name, v in meta.items()}


class MeanPool(nn.AdaptiveAvgPool2d):
    """The mean over all pixels. torch's own changes the strides of its result in place."""

    @staticmethod
    def knows(module: nn.AdaptiveAvgPool2d) -> bool:
        """Whether it pools everything."""
        return module.output_size in (1, (1, 1))

    def forward(self, input: Tensor) -> Tensor:
        """(n, C, H, W) to (n, C, 1, 1)."""
        return input.mean((-2, -1), keepdim=True)


_REPLACEMENTS: dict[Layout, dict[type, Any]] = {
    "channels-last": {
        nn.Conv2d: ChannelsLastConv,
        nn.BatchNorm2d: BatchNorm,
        ShiftNorm2d: BatchNorm,
        nn.AdaptiveAvgPool2d: MeanPool,
    },
    "gemm": {nn.Conv2d: GemmConv},
}
