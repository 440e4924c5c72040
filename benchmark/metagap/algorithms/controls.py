"""Controls: what the same adaptation reaches without meta-learning."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field, NonNegativeInt
from torch import Generator, Tensor, nn
from torch.func import grad_and_value

from metagap.algorithms.base import GradientLearner, Params
from metagap.tasks.episode import Episode, Support

AT_TEST = "of no effect: there are none in training, and at test `evaluation.steps` counts them"


class Scratch(GradientLearner):
    """No training at all: the same adaptation from a random initialisation.

    What remains of a score when nothing was learned beforehand; one initialisation per seed.
    """

    paper: ClassVar[str] = "none: a control, to tell what was learned from what adaptation alone is worth"
    trains: ClassVar[bool] = False

    inner_steps: NonNegativeInt = Field(default=1, description=AT_TEST)


class Pretrain(GradientLearner):
    """Ordinary training on the pooled training tasks, then the same adaptation.

    Classification: one classifier of all meta-training classes is trained on the examples of every episode, support
    and query alike; a task then starts from its features with a head of zeros. Regression: one function is fitted to
    all tasks at once (the "pretrained on all tasks" of Finn et al. 2017, section 5.1).
    """

    paper: ClassVar[str] = "Finn, Abbeel, Levine (2017), section 5.1, baseline 'pretrained on all tasks'"
    pooled: ClassVar[bool] = True

    inner_steps: NonNegativeInt = Field(default=1, description=AT_TEST)

    def check_network(self) -> None:
        """Raises UserError where classification finds no linear head to put another in its place."""
        super().check_network()
        if self.spec.kind.has_ways:
            self.linear_head(replaced=True)

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network; for classification the head's give way to those of the pooled classifier."""
        meta = super().init(network, class_count, generator)
        if class_count:
            width = meta["head.weight"].shape[1]
            bound = 1 / math.sqrt(width)
            meta["head.weight"] = (torch.rand(class_count, width, generator=generator) * 2 - 1) * bound
            if "head.bias" in meta:
                meta["head.bias"] = torch.zeros(class_count)
        return meta

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Gradient descent from the pooled weights; classification starts with a head of zeros for the task's ways."""
        if self.spec.kind.has_ways:
            ways = self.spec.ways
            head = {
                name: torch.zeros_like(meta[name][:1]).expand(ways, *meta[name].shape[1:])
                for name in ("head.weight", "head.bias")
                if name in meta
            }
            meta = {**meta, **head}
        return super().adapt_path(meta, support, steps)

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The gradient of the loss on the pooled examples."""
        x, y = episode.support

        def objective(meta: Params) -> tuple[Tensor, Tensor]:
            output = self.forward(meta, x)
            return self.loss(output, y), output

        gradient, (loss, output) = grad_and_value(objective, has_aux=True)(meta)
        return gradient, {"loss": loss, "score": self.score(output, y)}
