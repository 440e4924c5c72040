"""The Bayes predictor of linear tasks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from pydantic import Field, PositiveFloat
from torch import Tensor

from metagap.algorithms.base import Params
from metagap.algorithms.ridge import Regressor, shrunk
from metagap.errors import UserError
from metagap.tasks.episode import Support

Scale = Annotated[float, Ge(0)]


class Bayes(Regressor):
    """The posterior mean of linear tasks under a prior that it is told: nothing is learned.

    For tasks of the source `linear` whose `mean`, `prior_scale` and `noise` are those here, nothing predicts better. It
    takes the inputs as they are and has no use for the network. On other domains it still holds the prior that it was
    told, as a learner holds what it learned.
    """

    paper: ClassVar[str] = "none: Bayesian linear regression, a bound for what meta-learning can reach on linear tasks"
    trains: ClassVar[bool] = False

    mean: float | list[float] = Field(default=1.0, description="mean of the weights of the tasks, as in the source")
    prior_scale: Scale | list[Scale] = Field(
        default=1.0, description="standard deviation of the weights of the tasks, as in the source"
    )
    noise: PositiveFloat = Field(default=0.5, description="standard deviation of the noise, as in the source")

    @classmethod
    def outputs(cls, tasks: Any, ways: int) -> int:
        """One; raises UserError where tasks have several targets."""
        if (count := getattr(tasks, "outputs", None) or 1) > 1:  # the ways of classes are refused as their kind is
            raise UserError(f"algorithm Bayes predicts one target, and the tasks have {count}")
        return super().outputs(tasks, ways)

    def adapt(self, meta: Params, support: Support, steps: int) -> Params:
        """The posterior mean (inputs, 1), or the mean of the prior."""
        x = support.x.flatten(1)
        mean, scale = (self._column(option, x) for option in ("mean", "prior_scale"))
        if steps:  # ridge regression on inputs that are scaled by the prior
            mean = mean + scale * shrunk(x * scale.T, support.y - x @ mean, self.noise**2)
        return {**meta, WEIGHT: mean}

    def predict(self, fast: Params, query_x: Tensor) -> Tensor:
        """The mean prediction (n, 1)."""
        return query_x.flatten(1) @ fast[WEIGHT]

    def _column(self, option: str, x: Tensor) -> Tensor:
        """An option of the coordinates as (inputs, 1); raises UserError where its length is not theirs."""
        value = x.new_tensor(getattr(self, option)).reshape(-1, 1)
        if len(value) not in (1, x.shape[1]):
            raise UserError(
                f"algorithm Bayes: {option} has {len(value)} numbers for examples of {x.shape[1]} inputs; allowed: one "
                "for each, or one for all"
            )
        return value.expand(x.shape[1], 1)


WEIGHT = "bayes/weight"
