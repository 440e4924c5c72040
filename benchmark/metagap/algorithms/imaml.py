"""iMAML."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor
from torch.func import grad_and_value, vjp

from metagap.algorithms.base import GradientLearner, Params
from metagap.tasks.episode import Episode, Support


class IMAML(GradientLearner):
    """MAML with an implicit gradient: it depends on where the inner loop ends, not on its way there.

    The inner loop descends L_support(phi) + lambda / 2 |phi - theta|^2. Where it has converged, the derivative of the
    query loss with respect to theta is (I + H / lambda)^-1 grad L_query(phi), with H the second derivative of L_support
    at phi (Rajeswaran et al. 2019, lemma 1), which a few steps of conjugate gradient solve for (algorithm 2). Far from
    a minimum H has negative curvature that blows the solution up; as in the authors' code it is damped:
    (1 + cg_damping) I + H / (lambda + damping). The defaults are for Omniglot, 5 ways, where that code has
    2 I + H / (lambda + 10), which is twice what is solved here. There the inner loop descends L_support alone, and is
    pulled back once at its end.
    """

    paper: ClassVar[str] = "Rajeswaran, Finn, Kakade, Levine (2019), Meta-Learning with Implicit Gradients, NeurIPS"
    derivative: ClassVar[Literal["exact", "first-order", "other"]] = "other"

    inner_lr: PositiveFloat = Field(default=0.1, description="step size of the inner loop")
    inner_steps: NonNegativeInt = Field(default=16, description="inner steps on each task during meta-training")
    proximity: PositiveFloat = Field(default=2.0, description="lambda, the pull back to the meta-parameters")
    cg_steps: PositiveInt = Field(default=5, description="steps of conjugate gradient")
    damping: NonNegativeFloat = Field(
        default=22.0, description="added to lambda in the implicit gradient; 0: the exact one"
    )
    cg_damping: NonNegativeFloat = Field(default=0.0, description="added to the identity in the implicit gradient")
    pull: Literal["every-step", "once"] = Field(
        default="every-step",
        description="when the inner loop is pulled back: in every step, as in the paper, or after the last",
    )

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Gradient descent on the support loss and the squared distance to the meta-parameters."""
        path = [meta]
        for _ in range(steps):
            gradient = self.support_gradient(path[-1], support)
            moved = {name: value - self.inner_lr * gradient[name] for name, value in path[-1].items()}
            path.append(self._pulled(moved, path[-1], meta) if self.pull == "every-step" else moved)
        return path if self.pull == "every-step" else [self._pulled(fast, fast, meta) for fast in path]

    def _pulled(self, fast: Params, place: Params, meta: Params) -> Params:
        """The weights `fast` after a step down the squared distance to `meta`, whose slope is that at `place`."""
        rate = self.inner_lr * self.proximity
        return {name: value - rate * (place[name] - meta[name]) for name, value in fast.items()}

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The implicit gradient; memory does not grow with the number of inner steps."""

        def objective(fast: Params) -> tuple[Tensor, Tensor]:
            output = self.predict(fast, episode.query_x)
            return self.loss(output, episode.query_y), output

        fast = self.adapt(meta, episode.support, self.inner_steps)
        gradient, (loss, output) = grad_and_value(objective, has_aux=True)(fast)
        _, times_hessian = vjp(lambda fast: self.support_gradient(fast, episode.support), fast)[:2]

        fixed, zeros = self.fixed(), {name: torch.zeros_like(value) for name, value in gradient.items()}

        def bend(vector: Params) -> Params:
            (curved,) = times_hessian({name: vector.get(name, zero) for name, zero in zeros.items()})
            return {name: value / (self.proximity + self.damping) for name, value in curved.items()}

        def product(vector: Params) -> Params:
            bent = bend(vector)
            return {name: (1 + self.cg_damping) * value + bent[name] for name, value in vector.items()}

        adapted = {name: value for name, value in gradient.items() if name not in fixed}
        solution = conjugate_gradient(product, adapted, self.cg_steps)
        if fixed:  # there is no equation to solve for these, but where the inner loop ends depends on them
            bent = bend(solution)
            solution |= {name: gradient[name] - bent[name] for name in fixed}
        return solution, {"loss": loss, "score": self.score(output, episode.query_y)}


def conjugate_gradient(product: Callable[[Params], Params], target: Params, steps: int) -> Params:
    """x, for which product(x) is nearly `target`, after `steps` steps from zero; product: linear and symmetric."""
    x = {name: torch.zeros_like(value) for name, value in target.items()}
    residual = direction = target
    square = _dot(residual, residual)
    for _ in range(steps):
        image = product(direction)
        length = _ratio(square, _dot(direction, image))
        x = {name: value + length * direction[name] for name, value in x.items()}
        residual = {name: value - length * image[name] for name, value in residual.items()}
        before, square = square, _dot(residual, residual)
        direction = {name: value + _ratio(square, before) * direction[name] for name, value in residual.items()}
    return x


def _dot(a: Params, b: Params) -> Tensor:
    return reduce(torch.add, [(a[name] * b[name]).sum() for name in a])


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b == 0, 0, a / b)  # nothing is left to do once the residual is zero
