"""Predictions that look at the support set alone, or at the query alone."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.algorithms.reference import Reference
from metagap.algorithms.ridge import Regressor
from metagap.errors import UserError
from metagap.tasks.episode import Support

ANSWER = "reference/answer"


class MeanValue(Reference):
    """The same answer to all queries of a task: the mean of the support targets, or how frequent classes are there.

    Classification: the logit of a class is the logarithm of one more than its support examples. Where classes have
    equally many, that is guessing.
    """

    paper: ClassVar[str] = "none: what is known of a task without looking at inputs"

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """The answer (outputs,)."""
        y = self.targets(support)
        return {**meta, ANSWER: (y.sum(0) + 1).log() if self.spec.kind.has_ways else y.mean(0)}

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """The answer to each query: (n, outputs)."""
        return fast[ANSWER].expand(len(query_x), -1)


class LastValue(Regressor, Reference):
    """Forecasts that nothing changes: every step ahead is the last value of the input.

    Of inputs (channels, steps) it is that of one channel, which has to be the target's; of inputs (features,) it is the
    last feature. Inputs and targets have to be in one unit, and where they are known not to be, that is refused.
    They are in forecasts of a channel of the input.
    """

    paper: ClassVar[str] = "none: the persistence forecast"

    channel: int = Field(default=-1, description="which channel of the input is the target's; -1: the last")

    @classmethod
    def input_shape(cls, tasks: Any) -> tuple[int, ...]:
        """That of the tasks. Raises UserError where their inputs and targets are known to be in different units."""
        if getattr(tasks, "units_differ", False):
            raise UserError(
                "algorithm last-value: inputs and targets are scaled apart, so that no value is a forecast; allowed: "
                "source.scaling = 'none', or a source of series in which the target is a channel, too"
            )
        return super().input_shape(tasks)

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """What is added to the last value for each step ahead (targets,): nothing."""
        return {**meta, ANSWER: support.y[0] * 0}

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """The last value, for each step ahead: (n, targets)."""
        x = query_x[:, None] if query_x.ndim == 2 else query_x.flatten(2)
        if not -x.shape[1] <= self.channel < x.shape[1]:
            raise UserError(
                f"algorithm LastValue: channel = {self.channel}: inputs have {x.shape[1]}; allowed: "
                f"{-x.shape[1]} to {x.shape[1] - 1}"
            )
        return x[:, self.channel, -1:] + fast[ANSWER]
