"""MAML++."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Generator, Tensor, nn
from torch.func import grad_and_value

from metagap.algorithms.base import PROGRESS, GradientLearner, Params, norm_parameters
from metagap.errors import UserError
from metagap.tasks.episode import Episode, Support


class MAMLPlusPlus(GradientLearner):
    """MAML with learned step sizes, a loss after every inner step, and first-order gradients to begin with.

    From Antoniou et al. (2019), section 4: a step size for every layer and inner step (LSLR), learned with the weights;
    the multi-step loss (MSL), whose weight moves from all steps to the last one; derivative-order annealing (DA); with
    `per_step_norm`, scale and shift of batch norm for every inner step (BNWB), learned by the outer loop alone; and
    with `schedule = "cosine"` in the suite's training, the cosine annealing of the outer step size (CA). Batch norm
    uses the statistics of its batch, as in the authors' code, which computes running ones for every step (BNRS) and
    never uses them. The defaults are for mini-ImageNet.
    """

    paper: ClassVar[str] = "Antoniou, Edwards, Storkey (2019), How to train your MAML, ICLR"
    derivative: ClassVar[Literal["exact", "first-order", "other"]] = "other"

    inner_lr: float = Field(default=0.01, gt=0, description="what the step sizes start from")
    inner_steps: PositiveInt = Field(default=5, description="inner steps on each task during meta-training")
    multi_step_share: float = Field(
        default=0.15, ge=0, le=1, description="share of meta-training with losses after every step"
    )
    multi_step_floor: float = Field(
        default=0.0, ge=0, le=1, description="least weight of an inner step in that share, times the number of steps"
    )
    first_order_share: float = Field(
        default=1 / 3, ge=0, le=1, description="share of meta-training without second derivatives"
    )
    epochs: PositiveInt | None = Field(
        default=None, description="in how many steps, evenly spread, both shares pass; default: at every outer step"
    )
    per_step_norm: bool = Field(
        default=False,
        description="whether every inner step has a scale and shift of normalisation of its own, not adapted",
    )

    def check_network(self) -> None:
        """Raises UserError where normalisation is to differ from step to step, and the network has none."""
        super().check_network()
        if self.per_step_norm and not norm_parameters(self.network):
            raise UserError(
                f"algorithm {type(self).__name__}: per_step_norm = true needs normalisation with a trained scale or "
                f"shift, and model {type(self.network).__name__} has none; leave it out, or take another model"
            )

    def fixed(self) -> set[str]:
        """The names of the network's weights that the inner loop is not to adapt."""
        return norm_parameters(self.network) if self.per_step_norm else super().fixed()

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network, the progress, and `rate/name` (inner_steps,) for each one that adapts.

        With `per_step_norm` also `step/name` (inner_steps, channels) for those of normalisation.
        """
        meta, fixed = super().init(network, class_count, generator), self.fixed()
        rates = {
            f"rate/{name}": value.new_full((self.inner_steps,), self.inner_lr)
            for name, value in meta.items()
            if name not in fixed
        }
        own = sorted(fixed) if self.per_step_norm else []
        norms = {f"step/{name}": torch.stack([meta[name]] * self.inner_steps) for name in own}
        return {**meta, **rates, **norms, PROGRESS: torch.zeros(())}

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Every point of the inner loop; with `per_step_norm` the first one has the normalisation of the first step."""
        return super().adapt_path(self._with_norm(meta, 0), support, steps)

    def inner_step(self, fast: Params, support: Support, step: int) -> Params:
        """One step of gradient descent on the support loss; beyond the trained steps as in the last one."""
        fast = self._with_norm(fast, step)
        gradient, progress = self.support_gradient(fast, support), self._passed(fast[PROGRESS])
        second_order = (progress >= self.first_order_share).to(progress.dtype)  # 0 or 1, in the same graph
        rate = min(step, self.inner_steps - 1)

        def moved(name: str, value: Tensor) -> Tensor:
            constant = gradient[name].detach()
            return value - fast[f"rate/{name}"][rate] * (constant + second_order * (gradient[name] - constant))

        return {name: moved(name, value) if f"rate/{name}" in fast else value for name, value in fast.items()}

    def step_weights(self, progress: Tensor) -> Tensor:
        """The weights (inner_steps,) of the losses after each step: all equal at first, (0, ..., 0, 1) in the end."""
        share, progress = self.multi_step_share, self._passed(progress)
        each = ((share - progress) / (share or 1)).clamp(min=self.multi_step_floor) * (progress < share)
        last = torch.arange(1, self.inner_steps + 1, device=progress.device) == self.inner_steps
        return each / self.inner_steps + (1 - each) * last

    def _passed(self, progress: Tensor) -> Tensor:
        """The share of meta-training that is done, in whole epochs."""
        if self.epochs is None:
            return progress
        return (progress * self.epochs + 1e-3).floor() / self.epochs  # what is a whole number may be less by rounding

    def _with_norm(self, fast: Params, step: int) -> Params:
        """With the normalisation of this inner step, or of the last one that is trained."""
        if not self.per_step_norm:
            return fast
        index = min(step, self.inner_steps - 1)
        return {**fast, **{name: fast[f"step/{name}"][index] for name in self.fixed()}}

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The derivative of the weighted query losses after each inner step; the metrics are those after the last."""

        def objective(meta: Params) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            path = self.adapt_path(meta, episode.support, self.inner_steps)
            outputs = [self.predict(fast, episode.query_x) for fast in path[1:]]
            losses = torch.stack([self.loss(output, episode.query_y) for output in outputs])
            return losses @ self.step_weights(meta[PROGRESS]), (losses[-1], outputs[-1])

        gradient, (_, (loss, output)) = grad_and_value(objective, has_aux=True)(meta)
        return gradient, {"loss": loss, "score": self.score(output, episode.query_y)}
