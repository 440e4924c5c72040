"""Nearest neighbours on the inputs as they are."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from metagap.algorithms.base import Params
from metagap.algorithms.metric import SUPPORT_X, SUPPORT_Y
from metagap.algorithms.reference import Standardising
from metagap.tasks.episode import Support


class NearestNeighbour(Standardising):
    """Nearest neighbours on the inputs: a reference for what can be done without any learned representation.

    Classification: each of the k nearest support examples has a vote for its class. A class's logit is its votes minus
    its share in the sum over classes of the distances to their nearest examples, which decides between equal votes.
    Regression: the mean of the targets of the k nearest. Examples as near as the k-th count too.
    """

    paper: ClassVar[str] = "Cover, Hart (1967), Nearest Neighbor Pattern Classification, IEEE Trans. Inf. Theory"

    k: PositiveInt = Field(default=1, description="neighbours; all support examples where there are fewer")
    distance: Literal["euclidean", "cosine"] = Field(
        default="euclidean", description="cosine: one minus the cosine; it is one of an input of zeros"
    )
    standardise: bool = Field(default=False, description=f"{Standardising.model_fields['standardise'].description}")

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """The support set: scaled inputs (K, features) and targets (K, outputs)."""
        scaling = self.scaling(support.x.flatten(1))
        return {**meta, **scaling, SUPPORT_X: self.scaled(scaling, support.x), SUPPORT_Y: self.targets(support)}

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """Logits (n, ways), or mean targets (n, targets)."""
        y = fast[SUPPORT_Y]
        distance = self._distances(self.scaled(fast, query_x), fast[SUPPORT_X])
        farthest = distance.topk(min(self.k, len(y)), largest=False).values[:, -1:]
        near = (distance <= farthest).to(y.dtype)
        if not self.spec.kind.has_ways:
            return near @ y / near.sum(1, keepdim=True)
        of_class = torch.where(y.T > 0, distance[:, None], torch.inf).amin(-1)  # (n, ways)
        of_class = torch.where(of_class.isinf(), distance.amax(1, keepdim=True), of_class)  # a class without examples
        return near @ y - of_class / of_class.sum(1, keepdim=True).clamp(min=torch.finfo(y.dtype).tiny)

    def _distances(self, a: Tensor, b: Tensor) -> Tensor:
        """Of every row of a (n, features) to every row of b (K, features): (n, K)."""
        if self.distance == "cosine":
            return (1 - F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T).clamp(min=0)
        return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")  # which cancels between close ones
