"""Relation networks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from metagap.algorithms.base import Params
from metagap.algorithms.metric import MetricLearner


class RelationNet(MetricLearner):
    """Learns how to compare: a second network scores pairs of a class and a query.

    A class is the sum of its embedded support examples; the relation module is given it and the embedded query, side by
    side, and its score in (0, 1) is trained to be 1 for the right class and 0 for the others by squared error (Sung et
    al. 2018, equations 1 and 2). Logits are the scores before their sigmoid.

    The paper's relation module is two convolutional blocks of 64 filters and two linear layers. Here embeddings are
    vectors, so that the blocks are linear layers with ReLU of the same widths, without batch norm.
    """

    paper: ClassVar[str] = "Sung, Yang, Zhang, Xiang, Torr, Hospedales (2018), Learning to Compare, CVPR"

    hidden: list[PositiveInt] = Field(default=[64, 64, 8], description="widths of the relation module's hidden layers")
    pooling: Literal["sum", "mean"] = Field(default="sum", description="of a class's embedded support examples")
    objective: Literal["mse", "cross-entropy"] = Field(
        default="mse", description="mse: squared error of the scores; cross-entropy: of the logits"
    )

    def check_network(self) -> None:
        """Raises UserError where the network has no features with a linear head, which tells their width."""
        super().check_network()
        self.linear_head()

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network and of the relation module, the latter by He et al. (2015) for layers of ReLU."""
        meta = super().init(network, class_count, generator)
        widths = [2 * self.linear_head().in_features, *self.hidden, 1]
        for i, (before, after) in enumerate(pairwise(widths)):
            meta[f"relation/{i}.weight"] = torch.randn(after, before, generator=generator) * math.sqrt(2 / before)
            meta[f"relation/{i}.bias"] = torch.zeros(after)
        return meta

    def embed(self, meta: Params, z: Tensor, y: Tensor) -> Params:
        """The classes (ways, width)."""
        member = self.one_hot(y, z.dtype)
        return {"classes": (member if self.pooling == "sum" else member / member.sum(0)).T @ z}

    def logits(self, fast: Params, z: Tensor) -> Tensor:
        """The relation module on all pairs (n, ways)."""
        n, ways = len(z), self.spec.ways
        x = torch.cat([fast["classes"].expand(n, -1, -1), z[:, None].expand(-1, ways, -1)], -1)
        for i in range(len(self.hidden) + 1):
            x = F.linear(x.relu() if i else x, fast[f"relation/{i}.weight"], fast[f"relation/{i}.bias"])
        return x[..., 0]

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        """The objective, for logits (n, ways) and indices (n,)."""
        if self.objective == "mse":
            return F.mse_loss(output.sigmoid(), self.one_hot(y, output.dtype))
        return super().loss(output, y)
