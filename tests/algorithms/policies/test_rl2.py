"""RL2: its gradient against a GRU of torch's that is differentiated step by step, its memory, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from metagap.algorithms.policies.actor import MEMORY
from metagap.algorithms.policies.bandits import Gittins
from metagap.algorithms.policies.rl2 import RL2
from metagap.engine.evaluate import evaluate
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy
from metagap.models.mlp import MLP
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec, formed
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.world import World, remembered
from metagap.tasks.worlds.bandits import Bandits
from metagap.tasks.worlds.mdp import TabularMDP
from metagap.tasks.worlds.navigation import Navigation

MDP = TabularMDP(states=3, actions=2, horizon=4)


def bound(source, shots: int = 2, queries: int = 3, seed: int = 0, **options):
    tasks = source.tasks(Part("train"), "cpu")
    spec = formed(tasks, TaskSpec("control", 1, shots, queries), options.get("inner_steps", 0))
    network = MLP(tasks.input_shape, 1, [2])
    learner = RL2(**options).bind(network, spec)
    return learner, learner.init(network, 0, torch.Generator().manual_seed(seed)), Sampler(tasks, spec, seed)


def one(sampler: Sampler, dtype=torch.float64) -> Episode:
    return Episode(*(field[0] for field in sampler.episodes(1).to("cpu", dtype)))


class Theirs:
    """The same network, of torch's modules."""

    def __init__(self, world: World, meta, hidden: int):
        self.world = world
        self.cell = nn.GRUCell(meta["rl2/input"].shape[1], hidden).double()
        self.policy = nn.Linear(hidden, world.actions.parameters).double()
        self.value = nn.Linear(hidden, 1).double()
        self.memory = meta[MEMORY].clone().requires_grad_()
        with torch.no_grad():
            for name, parameter in self.parameters().items():
                parameter.copy_(meta[name])

    def parameters(self):
        cell = self.cell
        return {
            "rl2/input": cell.weight_ih, "rl2/recurrent": cell.weight_hh, "rl2/bias": cell.bias_ih,
            "rl2/recurrent_bias": cell.bias_hh, "rl2/policy": self.policy.weight, "rl2/policy_bias": self.policy.bias,
            "rl2/value": self.value.weight, "rl2/value_bias": self.value.bias, MEMORY: self.memory,
        }  # fmt: skip

    def seen(self, state, observation, action, reward, alive):
        return self.cell(torch.cat([observation, action, reward[:, None], alive[:, None]], -1), state)

    def trial(self, xs):
        """Rewards, log probabilities, entropies, values and whether steps were taken, of rollouts in sequence."""
        runs, actions, steps = len(xs[-1]), self.world.actions, []
        state = self.memory.expand(runs, -1)
        for x in xs:
            control = self.world.control(x)
            own, noise = actions.size, control.noise
            place = self.world.reset(control.task, noise[0, :, own:])
            action, reward, alive = (
                torch.zeros(runs, own).double(),
                torch.zeros(runs).double(),
                torch.ones(runs).double(),
            )
            for row in noise[1:]:
                state = self.seen(state, self.world.observe(control.task, place), action, reward, alive)
                policy = self.policy(state)
                action = actions.sample(policy, row[:, :own]).detach()
                place, reward, done = self.world.step(control.task, place, action, row[:, own:])
                reward = reward * alive
                log_prob, entropy = actions.log_prob(policy, action), actions.entropy(policy)
                steps.append((reward, log_prob, entropy, self.value(state)[:, 0], alive))
                alive = alive * (1 - done.to(alive))
            state = self.seen(state, self.world.observe(control.task, place), action, reward, alive)
        return [torch.stack(one) for one in zip(*steps, strict=True)]


@pytest.mark.parametrize(
    ("source", "inner_steps", "queries"),
    [(Bandits(arms=3, horizon=4), 0, 3), (MDP, 2, 3), (Navigation(horizon=3), 1, 3), (MDP, 1, 1)],
)
def test_the_gradient_is_that_of_the_loss_of_torchs_gru(source, inner_steps, queries):
    options = {"discount": 0.9, "gae_lambda": 0.7, "value_weight": 0.3, "entropy_weight": 0.1}
    learner, meta, sampler = bound(source, queries=queries, inner_steps=inner_steps, hidden=5, **options)
    meta = {name: value.double() for name, value in meta.items()}
    meta[MEMORY] += 0.3
    episode = one(sampler)
    theirs = Theirs(learner.world, meta, 5)
    reward, log_prob, entropy, value, alive = theirs.trial(
        [*episode.support_x[: 2 * inner_steps, None].expand(-1, queries, -1), episode.query_x]
    )
    gain, later, target, ahead = [], torch.zeros(queries).double(), [], torch.zeros(queries).double()
    for step in reversed(range(len(reward))):
        after = value[step + 1].detach() if step + 1 < len(reward) else torch.zeros(queries).double()
        later = reward[step] + 0.9 * after - value[step].detach() + 0.9 * 0.7 * later
        ahead = reward[step] + 0.9 * ahead
        alone = step < len(reward) - learner.world.horizon or queries == 1
        gain.insert(0, later if alone else later - later.mean())
        target.insert(0, ahead)
    loss = 0.3 * (torch.stack(target) - value).square() - log_prob * torch.stack(gain) - 0.1 * entropy
    ((loss * alive).sum() / alive.sum()).backward()
    found, metrics = learner.meta_gradient(meta, episode)
    for name, parameter in theirs.parameters().items():
        torch.testing.assert_close(found[name], parameter.grad, msg=lambda text, name=name: f"{name}: {text}")
        assert found[name].any(), name
    horizon = learner.world.horizon
    assert float(metrics["score"]) == pytest.approx(float(reward[-horizon:].sum(0).mean()))


def test_memory_goes_on_from_rollout_to_rollout_and_weights_stay():
    learner, meta, sampler = bound(MDP, inner_steps=2, hidden=5)
    episode = one(sampler, torch.float32)
    path = learner.adapt_path(meta, episode.support, 2)
    memory = meta[MEMORY][None]
    for step in range(2):
        for x in episode.support_x[2 * step : 2 * step + 2]:
            control = learner.world.control(x[None])
            _, last = remembered(learner.world, control, lambda seen: learner.act(meta, seen), memory)
            memory = learner.act(meta, last)[1]
        torch.testing.assert_close(path[step + 1][MEMORY], memory[0])
    assert not torch.equal(path[1][MEMORY], path[2][MEMORY])
    assert all(path[2][name] is value for name, value in meta.items() if name != MEMORY)


def trained(source, iterations: int, meta_batch: int, seed: int = 0, **options):
    learner, meta, sampler = bound(source, queries=10, seed=seed, **options)
    training = Training(iterations=iterations, meta_batch=meta_batch, lr=0.02, schedule="linear")
    outer = OuterLoop(learner, meta, training, Strategy(backend="traced"))
    for _ in range(iterations):
        outer.step(sampler.episodes(meta_batch))
    tests = Sampler(sampler.tasks, sampler.spec, 1000).episodes(1000)
    scores = evaluate(learner, outer.meta, tests, sampler.spec, 0, Strategy())["query_score"]
    return scores, tests.query_y[0, 0], tests, sampler.spec


def test_it_learns_to_find_the_better_of_two_sure_arms():
    """Of 4 pulls the optimum earns 2.64, and no policy without memory more than 2."""
    scores, (random, best), _, _ = trained(Bandits(arms=2, horizon=4, alpha=0.1, beta=0.1), 120, 20, hidden=16)
    assert float(scores.mean()) > random + 0.35 * (best - random)


@pytest.mark.slow
def test_it_comes_near_the_optimum_of_five_arms_and_ten_pulls():
    """On the same tasks and noise; four seeds reached 96.8 to 99.7 percent of it, this is the worst of them."""
    scores, _, tests, spec = trained(Bandits(), 1500, 40)
    index = Gittins().bind(MLP((1,), 5), spec)
    best = evaluate(index, index.init(index.network, 0, torch.Generator()), tests, spec, 0, Strategy())["query_score"]
    assert float(scores.mean()) > 0.96 * float(best.mean())
