"""BOIL."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, PositiveFloat

from metagap.algorithms.base import GradientLearner, Params
from metagap.tasks.episode import Support


class BOIL(GradientLearner):
    """MAML whose inner loop changes the body only: features move to a head that is the same for all tasks.

    The opposite of ANIL; the outer loop learns both, as in MAML (Oh et al. 2021, section 3).
    """

    paper: ClassVar[str] = "Oh, Yoo, Kim, Yun (2021), BOIL: Towards Representation Change for Few-shot Learning, ICLR"

    inner_lr: PositiveFloat = Field(default=0.5, description="step size of the inner loop")

    def check_network(self) -> None:
        """Raises UserError where there is no body to adapt alone."""
        super().check_network()
        self.part("head")
        names = [name for name, _ in self.network.named_parameters()]
        self.check_adapts("body", [name for name in names if not name.startswith("head.")])

    def inner_step(self, fast: Params, support: Support, step: int) -> Params:
        """One step of gradient descent on the support loss, with the head left as it is."""
        gradient = self.support_gradient(fast, support)
        return {
            name: value if name.startswith("head.") else value - self.inner_lr * gradient[name]
            for name, value in fast.items()
        }
