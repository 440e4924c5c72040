"""What learners without inner steps share: the support set is embedded once, and queries are compared with it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor, nn

from metagap.algorithms.base import Algorithm, Params
from metagap.errors import UserError
from metagap.tasks.episode import Support, TaskSpec

SUPPORT_X, SUPPORT_Y = "support/x", "support/y"


class Classifier(Algorithm):
    """An algorithm for classification alone."""

    def bind(self, network: nn.Module, spec: TaskSpec, precision: torch.dtype | None = None) -> Self:
        """This algorithm for a network and a form of task; raises UserError where that is not classification."""
        if not spec.kind.has_ways:
            raise UserError(f"algorithm {type(self).__name__}: task.kind = '{spec.kind}'; allowed: 'classification'")
        return super().bind(network, spec, precision)


class MetricLearner(Classifier):
    """Keeps the embedded support set of a task and compares queries with it.

    A subclass implements `embed` and `compare`. There are no inner steps: after any number of them, and after none, the
    result is the same. Batch norm normalises the support set with its own statistics and the queries with theirs, or
    all of them together. The network's head is not used, and its gradient is zero.
    """

    inner_steps: NonNegativeInt = Field(default=0, description="of no effect: there are no inner steps")
    joint_batch: bool = Field(
        default=False,
        description="whether batch norm takes support set and queries as one batch, as much of the field's code",
    )

    def check_network(self) -> None:
        """Raises UserError where the network has no features."""
        super().check_network()
        self.part("features")

    @property
    def joins_support(self) -> bool:
        """Whether queries are normalised together with the support set."""
        return self.joint_batch

    @abstractmethod
    def embed(self, meta: Params, z: Tensor, y: Tensor) -> Params:
        """What is kept of a support set with features z (K, width) and labels y (K,)."""

    @abstractmethod
    def logits(self, fast: Params, z: Tensor) -> Tensor:
        """Logits (n, ways) of queries with features z (n, width)."""

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """The meta-parameters and the support set: embedded, or as it is where the queries join it."""
        if self.joint_batch:
            return {**meta, SUPPORT_X: support.x, SUPPORT_Y: support.y}
        return {**meta, **self.embed(meta, self.features(meta, support.x), support.y)}

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """The one result for every number of steps."""
        return [self.adapt(meta, support, steps)] * (steps + 1)

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """Logits (n, ways) at query_x (n, ...)."""
        if self.joint_batch:
            support_x, support_y = fast[SUPPORT_X], fast[SUPPORT_Y]
            z = self.features(fast, torch.cat([support_x, query_x]))
            return self.logits({**fast, **self.embed(fast, z[: len(support_x)], support_y)}, z[len(support_x) :])
        return self.logits(fast, self.features(fast, query_x))
