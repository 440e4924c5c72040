"""Reference learners: they learn each task by itself, from nothing but its support set."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor

from metagap.algorithms.base import Algorithm, Params
from metagap.tasks.episode import Support

CENTER, FACTOR = "reference/center", "reference/factor"


class Reference(Algorithm):
    """Nothing is meta-learned and the network is not used, so that all seeds have the same scores.

    There are no inner steps: after any number of them, and after none, the result is the same.
    """

    trains: ClassVar[bool] = False

    inner_steps: NonNegativeInt = Field(default=0, description="of no effect: there are no inner steps")

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """The one result for every number of steps."""
        return [self.adapt(meta, support, steps)] * (steps + 1)

    def targets(self, support: Support) -> Tensor:
        """What is to be predicted of each support example (K, outputs): its class as a row of one 1, or its targets."""
        return self.one_hot(support.y, support.x.dtype) if self.spec.kind.has_ways else support.y


class Standardising(Reference):
    """A reference learner that scales inputs by the support set."""

    standardise: bool = Field(
        default=True,
        description="whether every feature is scaled to mean 0 and standard deviation 1 in the support set; those that "
        "are constant there count as zero",
    )

    def scaling(self, x: Tensor) -> Params:
        """What features of support examples x (K, features) are shifted and multiplied by, each (features,)."""
        if not self.standardise:
            return {CENTER: torch.zeros_like(x[0]), FACTOR: torch.ones_like(x[0])}
        varies = x.amax(0) > x.amin(0)  # the deviation of equal numbers may be a rounding error
        deviation = torch.where(varies, x.std(0, correction=0), 1)
        return {CENTER: x.mean(0), FACTOR: varies / deviation}

    def scaled(self, fast: Params, x: Tensor) -> Tensor:
        """Inputs x (n, ...) as rows (n, features), scaled."""
        return (x.flatten(1) - fast[CENTER]) * fast[FACTOR]
