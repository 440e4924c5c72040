"""Prototypical networks."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from metagap.algorithms.base import Params
from metagap.algorithms.metric import MetricLearner


class ProtoNet(MetricLearner):
    """The nearest class mean in a learned embedding.

    The prototype of a class is the mean of its embedded support examples; the logits of a query are minus its squared
    Euclidean distances to the prototypes (Snell, Swersky, Zemel 2017, equations 1 and 2).
    """

    paper: ClassVar[str] = "Snell, Swersky, Zemel (2017), Prototypical Networks for Few-shot Learning, NeurIPS"

    def embed(self, meta: Params, z: Tensor, y: Tensor) -> Params:
        """The prototypes (ways, width)."""
        member = self.one_hot(y, z.dtype)
        return {"prototypes": (member / member.sum(0)).T @ z}

    def logits(self, fast: Params, z: Tensor) -> Tensor:
        """Minus the squared distances (n, ways)."""
        return -(z[:, None] - fast["prototypes"]).square().sum(-1)
