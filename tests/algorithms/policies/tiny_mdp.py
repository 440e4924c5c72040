"""A world of two states and two actions, in which every expectation is exact: by recursion, or over all rollouts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from metagap.algorithms.base import Params
from metagap.algorithms.policies.advantages import to_go
from metagap.algorithms.policies.learner import Experience, PolicyLearner
from metagap.tasks.actions import Actions, Categorical
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.world import Step, World

TWO = Categorical(2)
TASK = {
    "chance": torch.tensor([0.2, 0.9, 0.3, 0.7], dtype=torch.float64),
    "reward": torch.tensor([1.0, -0.5, 0.3, 2.0], dtype=torch.float64),
}
POLICY: Params = {"weight": torch.tensor([[0.3, -0.4], [0.1, 0.5]], dtype=torch.float64)}
"""Of the linear network: the logits of both actions (rows) in both states (columns)."""


@dataclass(frozen=True)
class TinyWorld(World):
    """State 1 follows with the `chance` of state and action, which also have a `reward` (4,); it starts in either."""

    horizon: int = 2
    actions: Actions = TWO
    observed: int = 2
    noises: int = 1
    parameters: dict[str, int] = field(default_factory=lambda: {"chance": 4, "reward": 4}, hash=False)

    def reset(self, task: dict[str, Tensor], noise: Tensor) -> Tensor:
        return (noise > 0).to(noise)

    def observe(self, task: dict[str, Tensor], state: Tensor) -> Tensor:
        return torch.cat([1 - state, state], -1)

    def step(self, task: dict[str, Tensor], state: Tensor, action: Tensor, noise: Tensor) -> Step:
        here = (self.observe(task, state)[:, :, None] * action[:, None]).flatten(1)
        after = torch.special.ndtr(noise) < (task["chance"] * here).sum(-1, keepdim=True)
        reward = (task["reward"] * here).sum(-1)
        return Step(after.to(noise), reward, torch.zeros_like(reward))


def raw(learner: PolicyLearner, fast: Params, x: Tensor) -> Experience:
    """`collect` with the plain rewards to come as advantages: no baseline, no unit."""
    found = learner.run(fast, x)
    return Experience(*found, to_go(found.reward, 1.0))


def bound(algorithm: PolicyLearner, horizon: int, shots: int, queries: int) -> Any:
    """The learner in the tiny world, with a table of logits as its network."""
    spec = TaskSpec("control", 1, shots, queries, max(1, algorithm.inner_steps), TinyWorld(horizon))
    return algorithm.bind(nn.Linear(2, 2, bias=False, dtype=torch.float64), spec)


def episodes(learner: PolicyLearner, count: int, seed: int) -> Episode:
    """This many times the same task, each with its own noise."""
    spec, world = learner.spec, learner.world
    generator = torch.Generator().manual_seed(seed)
    n = spec.shots * spec.stages + spec.queries
    rows, each = world.noise_shape
    noise = torch.randn(count, n, rows * each, generator=generator, dtype=torch.float64)
    x = world.packed({name: value.expand(count, 4) for name, value in TASK.items()}, noise)
    y, cut = torch.zeros(count, n, 2, dtype=torch.float64), spec.queries
    return Episode(x[:, cut:], y[:, cut:], x[:, :cut], y[:, :cut], torch.zeros(count, 0))


def expected_return(policy: Params, horizon: int) -> Tensor:
    """By recursion from the last step, ()."""
    chance, reward = TASK["chance"].view(2, 2), TASK["reward"].view(2, 2)
    act = policy["weight"].T.softmax(-1)
    value = torch.zeros(2, dtype=torch.float64)
    for _ in range(horizon):
        value = (act * (reward + (1 - chance) * value[0] + chance * value[1])).sum(-1)
    return value.mean()


def every_rollout(horizon: int) -> tuple[Experience, Tensor]:
    """All rollouts that there are (H, n, ...), and how likely the world makes each, whatever is done (n,)."""
    steps = itertools.product((0, 1), repeat=2 * horizon)
    state, action = torch.tensor([[path[::2], path[1::2]] for path in steps]).unbind(1)
    chance, reward = TASK["chance"].view(2, 2)[state, action], TASK["reward"].view(2, 2)[state, action]
    follows = torch.where(state[:, 1:] == 1, chance[:, :-1], 1 - chance[:, :-1]).prod(-1) / 2
    one_hot = nn.functional.one_hot
    seen, acts = one_hot(state.T, 2).double(), one_hot(action.T, 2).double()
    policy = nn.functional.linear(seen, POLICY["weight"])
    return Experience(seen, acts, policy, reward.T, torch.ones_like(reward.T), to_go(reward.T, 1.0)), follows


def chances(policy: Params, rollouts: Experience, follows: Tensor) -> Tensor:
    """How likely each of all rollouts is with a policy (n,)."""
    logits = nn.functional.linear(rollouts.observation, policy["weight"])
    return follows * (logits.log_softmax(-1) * rollouts.action).sum((0, -1)).exp()


def alone(rollouts: Experience) -> Experience:
    """The same with a leading dimension over rollouts, each a stage of its own (n, H, 1, ...)."""
    return Experience(*(value.movedim(1, 0).unsqueeze(2) for value in rollouts))
