"""R2-D2: ridge regression on learned features."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field, PositiveFloat
from torch import Generator, Tensor, nn

from benchmark.algorithms.base import Params
from benchmark.algorithms.metric import MetricLearner


class R2D2(MetricLearner):
    """Learns features on which ridge regression, solved in closed form, classifies.

    With support features X (K, width) and one-hot labels Y (K, ways), the weights of a task are
    W = X' (X X' + lambda I)^-1 Y, which by the Woodbury identity is (X' X + lambda I)^-1 X' Y, but needs the inverse of
    a K by K matrix only. The logits of queries Z are scale * Z W + bias; lambda (by its logarithm), scale and bias are
    learned along with the features (Bertinetto et al. 2019, section 3.2).
    """

    paper: ClassVar[str] = (
        "Bertinetto, Henriques, Torr, Vedaldi (2019), Meta-learning with Differentiable Closed-form Solvers, ICLR"
    )

    ridge: PositiveFloat = Field(50.0, description="lambda before meta-training; 50 in the authors' code")
    scale: PositiveFloat = Field(10.0, description="scale before meta-training; 10 in the authors' code for Omniglot")

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network, log lambda, scale and bias."""
        start = {"log_lambda": math.log(self.ridge), "scale": self.scale, "bias": 0.0}
        meta = super().init(network, class_count, generator)
        return {**meta, **{f"ridge/{name}": torch.tensor(value) for name, value in start.items()}}

    def embed(self, meta: Params, z: Tensor, y: Tensor) -> Params:
        """The weights of the task (width, ways)."""
        gram = z @ z.T + meta["ridge/log_lambda"].exp() * torch.eye(len(z), dtype=z.dtype, device=z.device)
        return {"ridge/weight": z.T @ torch.linalg.solve_ex(gram, self.one_hot(y, z.dtype)).result}

    def compare(self, fast: Params, z: Tensor) -> Tensor:
        """The calibrated regression (n, ways)."""
        return fast["ridge/scale"] * (z @ fast["ridge/weight"]) + fast["ridge/bias"]
