"""RL²: a recurrent policy that learns a task by remembering what happened in it."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Generator, Tensor, nn
from torch.func import grad_and_value

from metagap.algorithms.base import Params
from metagap.algorithms.policies.actor import MEMORY, Remembering, Share
from metagap.algorithms.policies.advantages import to_go
from metagap.models.gru import gru_cell
from metagap.tasks.episode import Episode
from metagap.tasks.world import Rollouts, Seen


class RL2(Remembering):
    """A recurrent network is given what it did and what came of it, and is trained by ordinary policy gradients.

    All that it learns of a task is in the state of the network, which goes on from rollout to rollout: weights change
    in meta-training alone. A trial is `inner_steps` stages of rollouts, one after another, and the scored rollouts;
    each of these goes on from there by itself. The network is a GRU of its own, with a linear policy and a linear value
    function, trained by an actor-critic through the whole trial; the suite's model has no part in it.
    """

    paper: ClassVar[str] = (
        "Duan, Schulman, Chen, Bartlett, Sutskever, Abbeel (2016), RL2: Fast Reinforcement Learning via Slow "
        "Reinforcement Learning; with the actor-critic of Wang et al. (2016), Learning to reinforcement learn"
    )

    inner_steps: NonNegativeInt = Field(
        default=0, description="stages of `shots` rollouts that come before the scored ones in meta-training"
    )
    hidden: PositiveInt = Field(default=32, description="width of the recurrent state")
    discount: Share = Field(default=0.99, description="of rewards to come, within a trial")
    gae_lambda: Share = Field(default=0.9, description="of generalized advantage estimation over a trial")
    value_weight: NonNegativeFloat = Field(default=0.25, description="of the squared errors of the value function")
    entropy_weight: NonNegativeFloat = Field(default=0.01, description="of the bonus for the entropy of the policy")

    def init(self, network: nn.Module, class_count: int, generator: Generator) -> Params:
        """The weights of the GRU, uniform as torch has them, of policy and value function, and the first state."""
        actions, hidden = self.world.actions, self.hidden
        inputs = self.world.observed + actions.size + 2

        def uniform(*shape: int, scale: float = 1.0) -> Tensor:
            return (torch.rand(*shape, generator=generator) * 2 - 1) * scale / math.sqrt(hidden)

        return {
            "rl2/input": uniform(3 * hidden, inputs),
            "rl2/recurrent": uniform(3 * hidden, hidden),
            "rl2/bias": uniform(3 * hidden),
            "rl2/recurrent_bias": uniform(3 * hidden),
            "rl2/policy": uniform(actions.parameters, hidden, scale=0.1),  # nearly random actions at first
            "rl2/policy_bias": torch.zeros(actions.parameters),
            "rl2/value": uniform(1, hidden),
            "rl2/value_bias": torch.zeros(1),
            MEMORY: torch.zeros(hidden),
        }

    def act(self, fast: Params, seen: Seen) -> tuple[Tensor, Tensor]:
        """The distribution of the next action, and the state of the network (R, hidden)."""
        memory = self._next(fast, self._projected(fast, _inputs(*seen[:-1])), seen.memory)
        return self._policy(fast, memory), memory

    def meta_gradient(self, meta: Params, episode: Episode) -> tuple[Params, dict[str, Tensor]]:
        """The gradient of the actor-critic's loss of the trials of a task, through all their time."""
        trial, inputs = self._trial(meta, episode)
        rollouts = inputs.shape[0]

        def objective(meta: Params) -> tuple[Tensor, Tensor]:
            states, memory = [], self.start(meta, inputs.shape[2])
            for given in self._projected(meta, inputs.flatten(0, 1)).unbind(0):
                memory = self._next(meta, given, memory)
                states.append(memory)
            # In the last state of a rollout nothing is done any more.
            state = torch.stack(states).unflatten(0, (rollouts, -1))[:, :-1].flatten(0, 1)
            policy, value = self._policy(meta, state), self._value(meta, state)
            actions, alive = self.world.actions, trial.alive
            gain = self._advantages(trial.reward, value.detach())
            entropy = actions.entropy(policy)
            error = (to_go(trial.reward, self.discount) - value).square()
            ascent = actions.log_prob(policy, trial.action) * gain + self.entropy_weight * entropy
            loss = self.value_weight * error - ascent
            return (loss * alive).sum() / alive.sum(), (entropy * alive).sum() / alive.sum()

        gradient, (_, entropy) = grad_and_value(objective, has_aux=True)(meta)
        score = trial.reward[-self.world.horizon :].sum(0).mean()
        return gradient, {"loss": -score, "score": score, "entropy": entropy}

    def _trial(self, meta: Params, episode: Episode) -> tuple[Rollouts, Tensor]:
        """Trials of one task, as one long rollout (T, R, ...) of every query, and what the network was given in each
        rollout (rollouts, horizon + 1, R, inputs)."""
        before = episode.support_x[: self.inner_steps * self.spec.shots]
        memory, found, inputs = self.start(meta, len(episode.query_x)), [], []
        for x in [*before[:, None].unbind(0), episode.query_x]:
            rollouts, last, memory = self.continued(meta, x.expand(len(episode.query_x), -1), memory)
            found.append(rollouts)
            inputs.append(_given(rollouts, last))
        return Rollouts(*(torch.cat(fields) for fields in zip(*found, strict=True))), torch.stack(inputs)

    def _advantages(self, reward: Tensor, value: Tensor) -> Tensor:
        """Generalized advantage estimates (T, R), with nothing to come after a trial.

        The scored rollouts of a task begin alike and go on by themselves, so that they know of each other how good the
        task is, which the value function has to find out: their mean at a time is taken off. What came before they
        share, and its gain must stay.
        """
        after = torch.cat([value[1:], torch.zeros_like(value[:1])])
        found = to_go(reward + self.discount * after - value, self.discount * self.gae_lambda)
        if reward.shape[1] == 1:
            return found
        before, scored = found[: -self.world.horizon], found[-self.world.horizon :]
        return torch.cat([before, scored - scored.mean(1, keepdim=True)])

    # The network.

    def _projected(self, params: Params, inputs: Tensor) -> Tensor:
        """What the gates are given of inputs (..., inputs): (..., 3 * hidden)."""
        return inputs @ params["rl2/input"].T + params["rl2/bias"]

    def _next(self, params: Params, given: Tensor, state: Tensor) -> Tensor:
        """The state (R, hidden) after one more step."""
        return gru_cell(given, state @ params["rl2/recurrent"].T + params["rl2/recurrent_bias"], state)

    def _policy(self, params: Params, state: Tensor) -> Tensor:
        return state @ params["rl2/policy"].T + params["rl2/policy_bias"]

    def _value(self, params: Params, state: Tensor) -> Tensor:
        return (state @ params["rl2/value"].T + params["rl2/value_bias"]).squeeze(-1)


def _inputs(observation: Tensor, action: Tensor, reward: Tensor, alive: Tensor) -> Tensor:
    """What the network is given (..., inputs). Where nothing was done before, the action is zero."""
    return torch.cat([observation, action, reward[..., None], alive[..., None]], -1)


def _given(rollouts: Rollouts, last: Seen) -> Tensor:
    """What the network was given at every step of rollouts, and in the end (H + 1, R, inputs)."""
    observation = torch.cat([rollouts.observation, last.observation[None]])
    action, reward = (torch.cat([torch.zeros_like(field[:1]), field]) for field in (rollouts.action, rollouts.reward))
    return _inputs(observation, action, reward, torch.cat([rollouts.alive, last.alive[None]]))
