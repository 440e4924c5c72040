"""Linear models of the inputs, fitted to each task by itself."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.algorithms.metric import Classifier
from metagap.algorithms.reference import Standardising
from metagap.algorithms.ridge import shrunk
from metagap.tasks.episode import Support

WEIGHT, BIAS = "reference/weight", "reference/bias"


class LinearModel(Standardising):
    """A linear function of the inputs with an intercept, that is fitted to each task by itself."""

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """Logits (n, ways), or targets (n, targets)."""
        return self.scaled(fast, query_x) @ fast[WEIGHT] + fast[BIAS]


class RidgeRegression(LinearModel):
    """Ridge regression on the inputs, in closed form: a linear reference that meta-learns nothing.

    It minimises |y - X W - b|^2 + lambda |W|^2. In classification y are one-hot labels, and predictions times a scale
    are the logits, as in `r2d2`. `ridge` is the algorithm that meta-learns what weights are shrunk to.
    """

    paper: ClassVar[str] = "Hoerl, Kennard (1970), Ridge Regression: Biased Estimation for Nonorthogonal Problems"

    ridge: PositiveFloat = Field(default=1.0, description="lambda")
    scale: PositiveFloat = Field(default=10.0, description="factor of logits in classification; of no effect otherwise")

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """Weights (features, outputs) and intercept (outputs,)."""
        scaling, y = self.scaling(support.x.flatten(1)), self.targets(support)
        x, scale = self.scaled(scaling, support.x), self.scale if self.spec.kind.has_ways else 1.0
        weight = scale * shrunk(x - x.mean(0), y - y.mean(0), self.ridge)
        return {**meta, **scaling, WEIGHT: weight, BIAS: scale * y.mean(0) - x.mean(0) @ weight}


class LogisticRegression(Classifier, LinearModel):
    """Multinomial logistic regression on the inputs: a linear reference that meta-learns nothing.

    It minimises the summed cross-entropy + lambda / 2 |W|^2 by Newton's method from zero, a fixed number of steps. Of
    each it goes the whole, or else the half, the quarter, ..., so that none leads up. The weights that are best lie in
    the span of the inputs, in which they are looked for: it has no more dimensions than there are examples.
    """

    paper: ClassVar[str] = "Cox (1958), The Regression Analysis of Binary Sequences, J. R. Stat. Soc. B"

    ridge: PositiveFloat = Field(default=1.0, description="lambda: the inverse of scikit-learn's C")
    newton_steps: PositiveInt = Field(default=15, description="steps of Newton's method")

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """Weights (features, ways) and intercept (ways,)."""
        scaling, y = self.scaling(support.x.flatten(1)), self.targets(support)
        x = self.scaled(scaling, support.x)
        span = torch.linalg.qr(x.T).Q  # (features, rank)
        inputs = torch.cat([x @ span, x.new_ones(len(x), 1)], 1)
        penalty = torch.cat([x.new_full((span.shape[1],), self.ridge), x.new_zeros(1)])[:, None]
        weight = inputs.new_zeros(inputs.shape[1], y.shape[1])
        for _ in range(self.newton_steps):
            weight = _newton_step(weight, inputs, y, penalty)
        return {**meta, **scaling, WEIGHT: span @ weight[:-1], BIAS: weight[-1]}


SHARES = tuple(0.5**n for n in range(8))
"""Of a Newton step, that are tried."""


def _newton_step(weight: Tensor, x: Tensor, y: Tensor, penalty: Tensor) -> Tensor:
    """Weights (features, ways) after one more step; the last row is that of the intercept, which is not penalised.

    x (K, features), y (K, ways) one-hot, penalty (features, 1).
    """
    width, ways = weight.shape
    p = (x @ weight).softmax(-1)
    gradient = x.T @ (p - y) + penalty * weight
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None]  # (K, ways, ways)
    hessian = torch.einsum("ij,ik,icd->jckd", x, x, curvature)
    hessian = hessian.reshape(width * ways, width * ways) + torch.diag(penalty.expand(width, ways).flatten())
    # Adding a number to all intercepts changes nothing: here that has a curvature, and the gradient has none of it.
    last = torch.cat([x.new_zeros((width - 1) * ways), x.new_ones(ways)])
    step = torch.linalg.solve_ex(hessian + torch.outer(last, last), gradient.flatten()).result.view_as(weight)
    shares = x.new_tensor([0.0, *SHARES])
    tried = weight - shares[:, None, None] * step
    loss = -(y * (x @ tried).log_softmax(-1)).sum((1, 2)) + (penalty * tried.square()).sum((1, 2)) / 2
    no_worse = loss <= loss[0] * (1 + 8 * torch.finfo(x.dtype).eps)  # the last steps change it by its rounding errors
    return weight - (no_worse * shares).amax() * step
