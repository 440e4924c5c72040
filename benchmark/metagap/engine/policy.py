"""Outer rules for policies, which look at the rollouts of a meta-batch more than once: PPO and TRPO."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
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
RESIDUAL = 1e-10
"""Conjugate gradients end where the square of the residual is this share of what it was at first."""

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

    def update(self, episodes: Episode, form: int = 0) -> dict[str, Tensor]:
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
        curvature = _flat(direction) @ _flat(self._product(direction, some))
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
        """Conjugate gradients for the solution of F x = b.

        In exact arithmetic the residuals are orthogonal. The eigenvalues of F spread so far that rounding errors grow
        up to a thousandfold with each step from the seventh on, unless each residual is made orthogonal to the others.
        """
        residual = p = _flat(b)
        x, squared = torch.zeros_like(p), p @ p
        smallest, seen = RESIDUAL * squared, p.new_zeros(0, len(p))
        for _ in range(CONJUGATE_STEPS):
            seen = torch.cat([seen, (residual / squared.sqrt().clamp(min=1e-20))[None]])
            product = _flat(self._product(_filled(b, p), trials))
            alpha = squared / (p @ product).clamp(min=1e-20)
            x, residual = x + alpha * p, residual - alpha * product
            residual = residual - (seen @ residual) @ seen
            squared, last = residual @ residual, squared
            if bool(squared <= smallest):
                break
            p = residual + squared / last * p
        return _filled(b, x)

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
    others: Sequence[Algorithm] = (),
) -> OuterLoop:
    """The outer loop that an algorithm asks for; see `OuterLoop`."""
    if isinstance(algorithm, PolicyLearner) and algorithm.outer != "gradient":
        return PolicyLoop(algorithm, meta, training, strategy, cores, portion)
    return OuterLoop(algorithm, meta, training, strategy, cores, portion, others)


def thinned(stages: Experience) -> Experience:
    """Evenly spread steps of the rollouts (T, H, ...), about `CURVED` of each."""
    every = max(1, stages.reward.shape[1] // CURVED)
    return Experience(*(field[:, ::every] for field in stages))


def _flat(params: Params) -> Tensor:
    return torch.cat([value.flatten() for value in params.values()])


def _filled(params: Params, vector: Tensor) -> Params:
    """What `_flat` makes a vector of."""
    parts = vector.split([value.numel() for value in params.values()])
    return {name: part.view_as(value) for (name, value), part in zip(params.items(), parts, strict=True)}
