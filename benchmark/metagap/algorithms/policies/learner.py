"""The contract of a meta-learner of policies: what `Algorithm` is for tasks that answer back."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Literal, NamedTuple

import torch
from annotated_types import Gt
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn
from torch.func import grad_and_value

from metagap.algorithms.base import Params
from metagap.algorithms.policies.actor import Actor, Share
from metagap.algorithms.policies.advantages import advantages
from metagap.tasks.actions import Gaussian
from metagap.tasks.episode import Episode, Support
from metagap.tasks.world import Seen

LOG_STD = "policy/log_std"
LEAST_STD = 1e-6


class Experience(NamedTuple):
    """A stage of rollouts (H, R, ...), as `Rollouts` has them, with the advantages (H, R) of their actions."""

    observation: Tensor
    action: Tensor
    policy: Tensor
    reward: Tensor
    alive: Tensor
    advantage: Tensor

    @property
    def returns(self) -> Tensor:
        """The undiscounted sums of rewards (R,)."""
        return self.reward.sum(0)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over the steps (H, R) that were taken."""
        return (value * self.alive).sum() / self.alive.sum()


class Surrogate(NamedTuple):
    """What one task gives the outer rule, at meta-parameters that may have moved since its rollouts were collected.

    loss (): to be descended. kl (): mean divergence of the adapted policy from the one that collected the last stage.
    inner_kl (stages - 1,): the same of every earlier stage.
    """

    loss: Tensor
    kl: Tensor
    inner_kl: Tensor


def outer_rule(default: str) -> Any:
    """The option `outer`, with another default."""
    return Field(
        default=default,
        description="outer rule: one step of the suite's optimizer; several, of the clipped surrogate, on the same "
        "rollouts; or a step within a trust region, with a line search",
    )


class PolicyLearner(Actor):
    """A meta-learner of policies by policy gradients.

    `adapt_path` collects a stage of rollouts, makes a step, collects the next stage with the policy so far, and so on.
    A subclass implements `inner_step`, and where it needs to `act` and `surrogate`. The outer rule is the engine's: see
    `outer`.
    """

    inner_lr: PositiveFloat = Field(default=0.1, description="step size of the inner loop")
    later_inner_lr: PositiveFloat | None = Field(
        default=None, description="step size after the first inner step; default: the same"
    )
    discount: Share = Field(default=0.99, description="of rewards to come, in advantages")
    gae_lambda: Share = Field(default=1.0, description="of generalized advantage estimation; 1: no bootstrapping")
    init_std: PositiveFloat = Field(default=1.0, description="standard deviation of actions before training")
    outer: Literal["gradient", "ppo", "trpo"] = outer_rule("gradient")
    outer_steps: PositiveInt = Field(default=5, description="of ppo: optimizer steps on the same rollouts")
    clip: PositiveFloat = Field(default=0.3, description="of ppo: likelihood ratios are cut to 1 plus and minus this")
    max_kl: Annotated[float, Gt(0)] = Field(
        default=0.01, description="of trpo: the mean divergence over tasks that a step may make"
    )

    @property
    def passes(self) -> int:
        """As many as the outer rule asks for."""
        return {"gradient": 1, "ppo": self.outer_steps, "trpo": 12}[self.outer]

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the network, and where actions are real their logarithmic standard deviations (size,)."""
        meta = super().init(network, class_count, generator)
        actions = self.world.actions
        if isinstance(actions, Gaussian):
            meta[LOG_STD] = torch.full((actions.size,), self.init_std).log()
        return meta

    # Acting.

    def distribution(self, params: Params, observation: Tensor) -> Tensor:
        """The policy at observations (..., observed): (..., parameters)."""
        lead = observation.shape[:-1]
        output = self.forward(params, observation.flatten(0, -2)).unflatten(0, lead)
        if LOG_STD not in params:
            return output
        log_std = params[LOG_STD].clamp(min=torch.tensor(LEAST_STD).log())
        return torch.cat([output, log_std.expand_as(output)], -1)

    def act(self, fast: Params, seen: Seen) -> tuple[Tensor, Any]:
        """The distribution of the next action (R, parameters), and what the policy remembers."""
        return self.distribution(fast, seen.observation), None

    def collect(self, fast: Params, x: Tensor) -> Experience:
        """The rollouts of `run`, with advantages."""
        found = self.run(fast, x)
        return Experience(*found, advantages(found, self.discount, self.gae_lambda))

    # Adapting.

    @abstractmethod
    def inner_step(self, fast: Params, stage: Experience, step: int) -> Params:
        """The parameters after one more inner step, on what they collected; `step` counts from 0."""

    def adapt_path(self, meta: Params, support: Support, steps: int) -> list[Params]:
        """Every point of the inner loop, the meta-parameters first."""
        path = [meta]
        for step in range(steps):
            path.append(self.inner_step(path[-1], self.collect(path[-1], self.stage(support, step)), step))
        return path

    def step_size(self, step: int) -> float:
        """Of an inner step."""
        return self.inner_lr if step == 0 or self.later_inner_lr is None else self.later_inner_lr

    # Meta-training.

    def trials(self, meta: Params, episode: Episode) -> list[Experience]:
        """The rollouts of all stages of training: before each inner step, and after the last."""
        path, found = meta, []
        for step in range(self.inner_steps):
            found.append(self.collect(path, self.stage(episode.support, step)))
            path = {name: value.detach() for name, value in self.inner_step(path, found[-1], step).items()}
        return [*found, self.collect(path, episode.query_x)]

    def surrogate(self, meta: Params, trials: list[Experience]) -> Surrogate:
        """What one task gives the outer rule: the importance-weighted advantage after adaptation, for its descent."""
        (fast, inner_kl), last = self.adapted(meta, trials), trials[-1]
        ratio, gain = self.ratio(fast, last), last.advantage
        if self.outer == "ppo":
            gain = torch.minimum(ratio * gain, ratio.clamp(1 - self.clip, 1 + self.clip) * gain)
        else:
            gain = ratio * gain
        return Surrogate(-last.mean(gain), self.divergence(fast, last), inner_kl)

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The derivative of the surrogate where the rollouts are collected."""
        trials = self.trials(meta, episode)
        return self.surrogate_gradient(meta, trials)[0], self.metrics(trials)

    def adapted(self, meta: Params, trials: list[Experience]) -> tuple[Params, Tensor]:
        """The parameters after the inner steps on these stages, differentiable; and the `inner_kl` of each stage."""
        fast, inner_kl = meta, []
        for step, stage in enumerate(trials[:-1]):
            inner_kl.append(self.divergence(fast, stage))
            fast = self.inner_step(fast, stage, step)
        return fast, torch.stack(inner_kl) if inner_kl else trials[-1].reward.new_zeros(0)

    def carried(self, meta: Params, found: Surrogate, metrics: dict[str, Tensor]) -> Params:
        """What meta-parameters that are handed on (see `CARRIED`) become after an outer step; by default as they are.

        found: the mean over tasks of what they give after it. metrics: those of each task (T,).
        """
        return {}

    def surrogate_gradient(self, meta: Params, trials: list[Experience]) -> tuple[Params, Surrogate]:
        """The derivative of the surrogate loss, and the surrogate."""

        def objective(meta: Params) -> tuple[Tensor, Surrogate]:
            found = self.surrogate(meta, trials)
            return found.loss, found

        gradient, (_, found) = grad_and_value(objective, has_aux=True)(meta)
        return gradient, found

    def metrics(self, trials: list[Experience]) -> dict[str, Tensor]:
        """What is recorded of training: the return after adaptation, and that before it."""
        before, after = trials[0].returns.mean(), trials[-1].returns.mean()
        return {"loss": -after, "score": after, "score_before": before}

    # Helpers for subclasses.

    def log_prob(self, params: Params, stage: Experience) -> Tensor:
        """The logarithmic probabilities (H, R) of the actions that were taken."""
        return self.world.actions.log_prob(self.distribution(params, stage.observation), stage.action)

    def ratio(self, params: Params, stage: Experience) -> Tensor:
        """How much more likely the actions are than they were when they were taken (H, R)."""
        return (self.log_prob(params, stage) - self.world.actions.log_prob(stage.policy, stage.action)).exp()

    def divergence(self, params: Params, stage: Experience) -> Tensor:
        """The mean over steps of KL(the policy that collected || this one), ()."""
        return stage.mean(self.world.actions.kl(stage.policy, self.distribution(params, stage.observation)))
