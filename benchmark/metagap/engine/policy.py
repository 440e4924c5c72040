"""Outer rules for policies, which look at the rollouts of a meta-batch more than once: PPO and TRPO."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, jvp, vjp

from metagap.algorithms.base import Algorithm, Params
from metagap.algorithms.policies.learner import Experience, PolicyLearner, Surrogate
from metagap.engine.distributed import Portion
from metagap.engine.mapping import TaskMap
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy
from metagap.suite import Training
from metagap.tasks.episode import Episode

CONJUGATE_STEPS = 10
DAMPING = 1e-5
SHRINKS, SHRINK = 15, 0.8
"""Of the line search: how often a step is shortened at most, and by what factor. All as in the code of Finn et al."""

CURVED = 20
"""Steps of a rollout that the curvature is estimated from, about; the line search looks at all (Schulman et al. 2015
take a tenth of the samples)."""

DIRECTION = "direction/"


class PolicyLoop(OuterLoop):
    """The outer loop of a learner of policies: collect once, then move the meta-parameters by what was collected."""

    def __init__(
        self,
        algorithm: PolicyLearner,
        meta: Params,
        training: Training,
        strategy: Strategy,
        cores: int = 1,
        portion: Portion | None = None,
    ):
        """See `OuterLoop`."""
        super().__init__(algorithm, meta, training, strategy, cores, portion)
        learner: Any = self._algorithm
        self._learner: PolicyLearner = learner

        def mapped(function: Any) -> TaskMap:
            return TaskMap(function, self.strategy, mean=True, cores=cores, network=learner.network, portion=portion)

        collecting = self.strategy._replace(backend="eager")  # a trace of hundreds of steps is not repaid
        self._collect = TaskMap(self._collected, collecting, cores=cores, network=learner.network)
        self._differentiate, self._look = mapped(learner.surrogate_gradient), mapped(learner.surrogate)
        self._fisher = mapped(self._fisher_product)
        with warnings.catch_warnings():  # torch scripts its rules of forward derivatives when they are first used
            warnings.simplefilter("ignore", FutureWarning)
            jvp(torch.square, (torch.ones(()),), (torch.ones(()),))

    @property
    def engine(self) -> str:
        """The strategy; and what could not follow it, with the one that it followed instead."""
        parts = {
            "rollouts": self._collect,
            "gradient": self._differentiate,
            "surrogate": self._look,
            "curvature": self._fisher,
        }
        other = [f"{part}: {one.strategy}" for part, one in parts.items() if one.fell_back]
        return "; ".join([super().engine, *other])

    def update(self, episodes: Episode) -> dict[str, Tensor]:
        """An outer step, by the rule of the algorithm."""
        trials, metrics = self._collect(self.meta, episodes)
        if self._portion is not None:
            metrics = self._portion.joined(metrics)
        if self._learner.outer == "trpo":
            found = self._trust_region(trials)
        else:
            for _ in range(self._learner.outer_steps):
                gradient, _ = self._differentiate(self.meta, trials)
                self._descend(gradient)
            found = self._look(self.meta, trials)
        for name, value in self._learner.carried(self.meta, found, metrics).items():
            self._carried[name].copy_(value)
        means = {name: value.mean(0) for name, value in metrics.items()}
        return {**means, "kl": found.kl, "surrogate": found.loss}

    def _collected(self, meta: Params, task: Episode) -> tuple[list[Experience], dict[str, Tensor]]:
        trials = self._learner.trials(meta, task)
        return trials, self._learner.metrics(trials)

    # TRPO (Schulman et al. 2015, appendix C).

    def _trust_region(self, trials: list[Experience]) -> Surrogate:
        """A natural-gradient step as long as the trust region allows, shortened until the surrogate falls."""
        gradient, before = self._differentiate(self.meta, trials)
        descent = {name: -gradient[name] for name in self._learned}
        some = [thinned(stage) for stage in trials]
        direction = self._conjugate(descent, some)
        curvature = _dot(direction, self._product(direction, some))
        length = (2 * self._learner.max_kl / curvature.clamp(min=1e-12)).sqrt()
        old = {name: value.clone() for name, value in self._learned.items()}
        for shrunk in range(SHRINKS):
            for name, value in self._learned.items():
                value.copy_(old[name] + SHRINK**shrunk * length * direction[name])
            found = self._look(self.meta, trials)
            if bool((found.loss < before.loss) & (found.kl <= self._learner.max_kl)):
                return found
        for name, value in self._learned.items():
            value.copy_(old[name])
        return before

    def _conjugate(self, b: Params, trials: list[Experience]) -> Params:
        """Conjugate gradients for the solution of F x = b."""
        x = {name: torch.zeros_like(value) for name, value in b.items()}
        residual, p, squared = dict(b), dict(b), _dot(b, b)
        for _ in range(CONJUGATE_STEPS):
            product = self._product(p, trials)
            alpha = squared / _dot(p, product).clamp(min=1e-20)
            x = {name: x[name] + alpha * p[name] for name in x}
            residual = {name: residual[name] - alpha * product[name] for name in x}
            squared, last = _dot(residual, residual), squared
            if float(squared) < 1e-10:
                break
            p = {name: residual[name] + squared / last * p[name] for name in x}
        return x

    def _product(self, v: Params, trials: list[Experience]) -> Params:
        """The mean over tasks of the curvature of their divergence, times a direction; damped."""
        found = self._fisher({**self.meta, **{DIRECTION + name: value for name, value in v.items()}}, trials)
        return {name: found[name] + DAMPING * v[name] for name in v}

    def _fisher_product(self, given: Params, trials: list[Experience]) -> Params:
        """Of one task, J' H J v: H is the curvature of the divergence in the distributions of the adapted policy.

        Where the meta-parameters are those that collected, that is all of its second derivative, for the first is zero.
        """
        fixed = {name: value for name, value in given.items() if not name.startswith(DIRECTION)}
        v = {name.removeprefix(DIRECTION): value for name, value in given.items() if name.startswith(DIRECTION)}
        learner, last = self._learner, trials[-1]

        def policy(learned: Params) -> Tensor:
            return learner.distribution(learner.adapted({**fixed, **learned}, trials)[0], last.observation)

        learned = {name: fixed[name] for name in v}
        now, moved = jvp(policy, (learned,), (v,))[:2]
        now = now.detach()
        slope = grad(lambda q: last.mean(learner.world.actions.kl(now, q)))
        bent = jvp(slope, (now,), (moved,))[1]
        return vjp(policy, learned)[1](bent)[0]


def outer_loop(
    algorithm: Algorithm,
    meta: Params,
    training: Training,
    strategy: Strategy,
    cores: int = 1,
    portion: Portion | None = None,
) -> OuterLoop:
    """The outer loop that an algorithm asks for; see `OuterLoop`."""
    if isinstance(algorithm, PolicyLearner) and algorithm.outer != "gradient":
        return PolicyLoop(algorithm, meta, training, strategy, cores, portion)
    return OuterLoop(algorithm, meta, training, strategy, cores, portion)


def thinned(stages: Experience) -> Experience:
    """Evenly spread steps of the rollouts (T, H, ...), about `CURVED` of each."""
    every = max(1, stages.reward.shape[1] // CURVED)
    return Experience(*(field[:, ::every] for field in stages))


def _dot(a: Params, b: Params) -> Tensor:
    return torch.stack([(a[name] * b[name]).sum() for name in a]).sum()
