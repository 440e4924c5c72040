"""Ridge regression towards a learned head."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat
from torch import Generator, Tensor, nn

from metagap.algorithms.base import Algorithm, Params
from metagap.errors import UserError
from metagap.tasks.episode import Support, TaskSpec


class Regressor(Algorithm):
    """An algorithm for regression alone, that solves a task at one go: after one inner step, and after any number."""

    inner_steps: NonNegativeInt = Field(default=1, description="0: no adaptation; otherwise of no effect")

    def bind(self, network: nn.Module, spec: TaskSpec, precision: torch.dtype | None = None) -> Self:
        """This algorithm for a network and a form of task; raises UserError where that is not regression."""
        if spec.kind.has_ways:
            raise UserError(f"algorithm {type(self).__name__}: task.kind = '{spec.kind}'; allowed: 'regression'")
        return super().bind(network, spec, precision)

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """What there is before, and the one result for every number of steps."""
        return [self.adapt(meta, support, 0), *[self.adapt(meta, support, 1)] * steps]


class Ridge(Regressor):
    """Ridge regression of the head, not towards zero but towards a head that is meta-learned.

    With support features Z (K, width) and targets y, the head of a task is the w that minimises
    |y - Z w|^2 + lambda |w - w0|^2, which is w0 + Z' (Z Z' + lambda I)^-1 (y - Z w0). The outer loop learns w0, the
    features, and lambda by its logarithm. On linear tasks with independent weights of one variance it has the form of
    the posterior mean, with the variance of the noise divided by that of the weights for lambda. A head's bias is the
    weight of a feature that is always one.
    """

    paper: ClassVar[str] = (
        "Denevi, Ciliberto, Stamos, Pontil (2018), Learning To Learn Around A Common Mean, NeurIPS; lambda is learned "
        "as in Bertinetto, Henriques, Torr, Vedaldi (2019)"
    )
    takes_apart: ClassVar[bool] = True

    ridge: PositiveFloat = Field(default=1.0, description="lambda, or what it is before meta-training")
    learn_ridge: bool = Field(default=True, description="whether lambda is meta-learned, by its logarithm")
    towards: Literal["learned", "zero"] = Field(
        default="learned", description="the head that it shrinks to: w0, or zero as in ordinary ridge regression"
    )

    def check_network(self) -> None:
        """Raises UserError where there is no linear head to put another in its place."""
        super().check_network()
        self.part("features")
        self.linear_head(replaced=True)

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network, and log lambda where that is learned."""
        meta = super().init(network, class_count, generator)
        return {**meta, LOG_LAMBDA: torch.tensor(math.log(self.ridge))} if self.learn_ridge else meta

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """The head that a task starts from, or the solution."""
        names = [name for name in ("head.weight", "head.bias") if name in meta]
        head = torch.cat([meta[name].reshape(len(meta["head.weight"]), -1) for name in names], 1)  # (outputs, width)
        if self.towards == "zero":
            head = torch.zeros_like(head)
        if steps:
            z = self.features(meta, support.x)
            z = torch.cat([z, z.new_ones(len(z), 1)], 1) if "head.bias" in meta else z
            strength = meta[LOG_LAMBDA].exp() if self.learn_ridge else self.ridge
            head = head + shrunk(z, support.y - z @ head.T, strength).T
        width = meta["head.weight"].shape[1]
        return {**meta, "head.weight": head[:, :width]} | ({"head.bias": head[:, width]} if "head.bias" in meta else {})


LOG_LAMBDA = "ridge/log_lambda"


def shrunk(z: Tensor, y: Tensor, strength: Tensor | float) -> Tensor:
    """The w (width, outputs) of least |y - z w|^2 + strength |w|^2, for z (K, width) and y (K, outputs)."""
    gram = z @ z.T + strength * torch.eye(len(z), dtype=z.dtype, device=z.device)
    return z.T @ torch.linalg.solve_ex(gram, y).result
