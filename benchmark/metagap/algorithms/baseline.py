"""Baseline and Baseline++: ordinary training on all classes, then a new head on frozen features."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt
from torch import Tensor
from torch.func import grad
from torch.nn import functional as F

from metagap.algorithms.base import Params
from metagap.algorithms.controls import Pretrain
from metagap.algorithms.metric import Classifier
from metagap.tasks.episode import Support


class Baseline(Classifier, Pretrain):
    """Features of a classifier of all training classes, and a linear head for each task.

    One classifier of all meta-training classes is trained on the examples of every episode. On a task the features stay
    as they are, and a head for its classes is trained on those of the support set by gradient descent with momentum
    (Chen et al. 2019, section 3.2 and its training details): these are the inner steps. The paper's are on batches of
    4; here each is on the whole support set, and the head starts from zeros, so that nothing is left to chance.
    """

    paper: ClassVar[str] = "Chen, Liu, Kira, Wang, Huang (2019), A Closer Look at Few-shot Classification, ICLR"

    takes_apart: ClassVar[bool] = True

    inner_steps: NonNegativeInt = Field(
        default=100, description="steps of a new head; at test `evaluation.steps` counts them"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="share of the last step's direction in the next one")
    dampening: float = Field(
        default=0.9, ge=0, le=1, description="1 minus the share of the gradient in a step's direction"
    )
    weight_decay: NonNegativeFloat = Field(
        default=0.001, description="times the head's weights is added to their gradient"
    )

    def check_network(self) -> None:
        """Raises UserError where the network is not in two parts with a linear head."""
        super().check_network()
        self.part("features")

    def classify(self, head: Params, z: Tensor) -> Tensor:
        """Logits (n, classes) of features z (n, width)."""
        return F.linear(z, head["head.weight"], head.get("head.bias"))

    def new_head(self, meta: Params, z: Tensor) -> Params:
        """The head that a task with support features z (K, width) starts from: zeros."""
        ways, width = self.spec.ways, z.shape[1]
        head = {"head.weight": z.new_zeros(ways, width), "head.bias": z.new_zeros(ways)}
        return {name: value for name, value in head.items() if name in meta}

    def forward(self, params: Params, x: Tensor) -> Tensor:
        """Logits (n, classes) at x (n, ...)."""
        return self.classify(params, self.features(params, x))

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Every step of the head, as torch.optim.SGD makes it: the first direction is the gradient itself."""
        z = self.features(meta, support.x)
        head = self.new_head(meta, z)

        def head_loss(head: Params) -> Tensor:
            return self.reduced(self.loss(self.classify(head, z), support.y), support)

        direction = {name: torch.zeros_like(value) for name, value in head.items()}
        path = [{**meta, **head}]
        for step in range(steps):
            gradient = grad(head_loss)(head)
            gradient = {name: gradient[name] + self.weight_decay * head[name] for name in head}
            share = 1 - self.dampening if step else 1.0
            direction = {name: self.momentum * direction[name] + share * gradient[name] for name in head}
            head = {name: value - self.inner_lr * direction[name] for name, value in head.items()}
            path.append({**meta, **head})
        return path

    def predict_path(self, path: list[Params], query_x: Tensor) -> list[Tensor]:
        """Predictions of every head, from the features that all of them share."""
        z = self.features(path[0], query_x)
        return [self.classify(fast, z) for fast in path]


class BaselinePlusPlus(Baseline):
    """Baseline with a classifier of cosines, in training and on a task.

    Logits are `scale` times the cosines between the features and a direction for every class (Chen et al. 2019, section
    3.2), without the learned norms of the classes in the authors' code; the head's bias is not used. The directions of
    a task all start from the mean of its support features, where no class is preferred.
    """

    scale: float = Field(
        default=2.0, gt=0, description="factor of the cosines; the authors' code has 10 from 200 classes on"
    )

    def classify(self, head: Params, z: Tensor) -> Tensor:
        """Scaled cosines (n, classes) of features z (n, width)."""
        return self.scale * F.normalize(z, dim=-1) @ F.normalize(head["head.weight"], dim=-1).T

    def new_head(self, meta: Params, z: Tensor) -> Params:
        """The mean of the features for every class, at length one."""
        return {"head.weight": F.normalize(z.mean(0), dim=0).expand(self.spec.ways, -1)}
