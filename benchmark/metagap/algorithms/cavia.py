"""CAVIA."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn
from torch.func import grad

from metagap.algorithms.base import GradientLearner, Params
from metagap.errors import UserError
from metagap.tasks.episode import Support

CONTEXT, MAP, BIAS = "context", "context map", "context map bias"


class CAVIA(GradientLearner):
    """Adapts nothing but a few context parameters, an additional input of a network that all tasks share.

    The context starts at zero on every task; the outer loop learns the network, and how the context enters it, through
    the inner gradients (Zintgraf et al. 2019, algorithm 1). In a network with batch norm it scales and shifts the
    channels after the third one, by FiLM: h becomes (1 + gamma) * h + beta, with (gamma, beta) = map @ context. In one
    without, it is a further input of the first linear layer, whose bias becomes bias + map @ context.

    In the authors' code h becomes gamma * h + beta, and the map has a bias, as here with film = "plain"; but theirs
    follows the max-pooling, which is the same where gamma is positive.
    """

    paper: ClassVar[str] = "Zintgraf, Shiarlis, Kurin, Hofmann, Whiteson (2019), Fast Context Adaptation, ICML"

    inner_lr: PositiveFloat = Field(default=1.0, description="step size of the inner loop")
    inner_steps: NonNegativeInt = Field(
        default=2, description="inner steps in meta-training; the paper takes 1 in regression"
    )
    context_size: PositiveInt | None = Field(
        default=None, description="default: 100 in classification, 5 in regression"
    )
    film: Literal["residual", "plain"] = Field(
        default="residual",
        description="residual: channels are scaled by 1 + gamma; plain: by gamma, and the map has a bias",
    )

    def check_network(self) -> None:
        """Raises UserError where no layer is there for the context to enter."""
        super().check_network()
        modulated_layer(self.network)

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network, the map (2 * channels or width, context_size), and its bias where it has one.

        A plain map starts as in the authors' code: He et al. (2015) for a linear layer, and the bias as torch has it.
        """
        meta = super().init(network, class_count, generator)
        layer, is_norm = modulated_layer(network)
        rows = network.get_parameter(f"{layer}.bias").numel() * (2 if is_norm else 1)
        size = self.context_size or (100 if class_count else 5)
        draw = torch.rand(rows, size, generator=generator)
        if not (is_norm and self.film == "plain"):
            return {**meta, MAP: (2 * draw - 1) / math.sqrt(size)}
        bias = (2 * torch.rand(rows, generator=generator) - 1) / math.sqrt(size)
        return {**meta, MAP: (2 * draw - 1) * math.sqrt(3 / size), BIAS: bias}

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Gradient descent on the context, from zero."""
        return super().adapt_path({**meta, CONTEXT: torch.zeros_like(meta[MAP][0])}, support, steps)

    def inner_step(self, fast: Params, support: Support, step: int) -> Params:
        """One step of gradient descent on the support loss with respect to the context (context_size,)."""
        gradient = grad(lambda context: self.support_loss({**fast, CONTEXT: context}, support))(fast[CONTEXT])
        return {**fast, CONTEXT: fast[CONTEXT] - self.inner_lr * gradient}

    def forward(self, params: Params, x: Tensor) -> Tensor:
        """The network at x, with one of its layers modulated by the context."""
        layer, is_norm = modulated_layer(self.network)
        weight, bias = (
            params[name] if name in params else self.network.get_parameter(name).detach()  # frozen
            for name in (f"{layer}.weight", f"{layer}.bias")
        )
        change = params[MAP] @ params[CONTEXT]
        if is_norm:
            scale, change = (change + params[BIAS]).chunk(2) if self.film == "plain" else change.chunk(2)
            scale = scale if self.film == "plain" else 1 + scale
            weight, bias = weight * scale, bias * scale
        return super().forward({**params, f"{layer}.weight": weight, f"{layer}.bias": bias + change}, x)


def modulated_layer(network: nn.Module) -> tuple[str, bool]:
    """The third batch norm, or the last of fewer, and True; without batch norm the first linear layer and False.

    Raises UserError where there is nothing to modulate: batch norm without a scale, or neither of the two.
    """
    norms = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    if norms:
        name, module = norms[:3][-1]
        if not _scales_and_shifts(module):
            raise UserError(
                f"algorithm CAVIA scales and shifts what batch norm '{name}' gives, which has no scale of its own; "
                "allowed: batch norm with scale and shift (conv4: norm_scale = true), or none at all"
            )
        return name, True
    linear = (name for name, module in network.named_modules() if isinstance(module, nn.Linear))
    found = next((name for name in linear if _scales_and_shifts(network.get_submodule(name))), None)
    if found is None:
        raise UserError(
            "algorithm CAVIA needs a network with batch norm of images or a linear layer with a bias; model "
            f"{type(network).__name__} has neither"
        )
    return found, False


def _scales_and_shifts(module: nn.Module) -> bool:
    """Whether it has a weight and a bias that are plain parameters."""
    return {"weight", "bias"} <= {name for name, _ in module.named_parameters(recurse=False)}
