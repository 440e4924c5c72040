"""ANIL."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, NonNegativeInt
from torch import Tensor
from torch.func import grad

from metagap.algorithms.base import GradientLearner, Params
from metagap.tasks.episode import Support


class ANIL(GradientLearner):
    """MAML with almost no inner loop: only the head adapts, to features that are the same for all tasks.

    The outer loop learns features and head as MAML does, through the inner gradients (Raghu et al. 2020, section 4).
    Features of the support set do not change in the inner loop, so that a step costs next to nothing.
    """

    paper: ClassVar[str] = "Raghu, Raghu, Bengio, Vinyals (2020), Rapid Learning or Feature Reuse?, ICLR"

    takes_apart: ClassVar[bool] = True

    inner_steps: NonNegativeInt = Field(default=5, description="inner steps on each task during meta-training")

    def check_network(self) -> None:
        """Raises UserError where there is no head to adapt alone."""
        super().check_network()
        self.part("features")
        self.check_adapts("head", [f"head.{name}" for name, _ in self.part("head").named_parameters()])

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Gradient descent on the head, with the features of the support set (n, width) computed once."""
        features = self.features(meta, support.x)

        def head_loss(head: Params) -> Tensor:
            return self.reduced(self.loss(self.head(head, features), support.y), support)

        head = {name: value for name, value in meta.items() if name.startswith("head.")}
        path = [meta]
        for _ in range(steps):
            gradient = grad(head_loss)(head)
            head = {name: value - self.inner_lr * gradient[name] for name, value in head.items()}
            path.append({**meta, **head})
        return path

    def predict_path(self, path: list[Params], query_x: Tensor) -> list[Tensor]:
        """Predictions of every head, from the features that all of them share."""
        features = self.features(path[0], query_x)
        return [self.head(fast, features) for fast in path]
