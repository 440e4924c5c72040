"""R2-D2: ridge regression on learned features."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field, PositiveFloat
from torch import Generator, Tensor, nn

from metagap.algorithms.base import Params
from metagap.algorithms.metric import MetricLearner


class R2D2(MetricLearner):
    """Learns features on which ridge regression, solved in closed form, classifies.

    With support features X (K, width) and one-hot labels Y (K, ways), the weights of a task are
    W = X' (X X' + lambda I)^-1 Y, which by the Woodbury identity is (X' X + lambda I)^-1 X' Y, but needs the inverse of
    a K by K matrix only. The logits of queries Z are scale * Z W + bias; scale and bias are learned along with the
    features (Bertinetto et al. 2019, section 3.2), and lambda if that is asked for.

    As in the authors' code lambda is fixed, X has a column of ones, whose weights are an intercept, and X and Y are
    divided by the root of K, which is the same as K times lambda. That goes with the thousands of features that they
    have: with few, a lambda for every example leaves little of them.
    """

    paper: ClassVar[str] = (
        "Bertinetto, Henriques, Torr, Vedaldi (2019), Meta-learning with Differentiable Closed-form Solvers, ICLR"
    )

    ridge: PositiveFloat = Field(default=50.0, description="lambda, or what it is before meta-training")
    learn_ridge: bool = Field(default=False, description="whether lambda is meta-learned, by its logarithm")
    per_example: bool = Field(
        default=True, description="whether lambda counts once for every support example, or once in all"
    )
    intercept: bool = Field(default=True, description="whether features have a column of ones")
    scale: PositiveFloat = Field(
        default=10.0, description="scale before meta-training; the authors' has 0.0001 on mini-ImageNet"
    )

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network, scale and bias, and log lambda where that is learned."""
        start = {"scale": self.scale, "bias": 0.0} | ({"log_lambda": math.log(self.ridge)} if self.learn_ridge else {})
        meta = super().init(network, class_count, generator)
        return {**meta, **{f"ridge/{name}": torch.tensor(value) for name, value in start.items()}}

    def embed(self, meta: Params, z: Tensor, y: Tensor) -> Params:
        """The weights of the task (width, ways), or (width + 1, ways) with an intercept, the last row."""
        x = self._with_ones(z)
        ridge = meta["ridge/log_lambda"].exp() if self.learn_ridge else self.ridge
        ridge = ridge * len(x) if self.per_example else ridge
        gram = x @ x.T + ridge * torch.eye(len(x), dtype=x.dtype, device=x.device)
        return {"ridge/weight": x.T @ torch.linalg.solve_ex(gram, self.one_hot(y, x.dtype)).result}

    def logits(self, fast: Params, z: Tensor) -> Tensor:
        """The calibrated regression (n, ways)."""
        return fast["ridge/scale"] * (self._with_ones(z) @ fast["ridge/weight"]) + fast["ridge/bias"]

    def _with_ones(self, z: Tensor) -> Tensor:
        return torch.cat([z, z.new_ones(len(z), 1)], 1) if self.intercept else z
