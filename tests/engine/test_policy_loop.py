"""The outer rules for policies: trust region, its curvature and line search, PPO, and what is handed on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.func import hessian

from metagap.algorithms.policies.e_maml import EMAML, MEAN, SPREAD
from metagap.algorithms.policies.learner import Surrogate
from metagap.algorithms.policies.maml import MAMLPPO, MAMLTRPO
from metagap.algorithms.policies.promp import KL_WEIGHT, ProMP
from metagap.engine import policy
from metagap.engine.policy import DAMPING, PolicyLoop, thinned
from metagap.engine.strategy import Strategy
from metagap.suite import Training
from metagap.tasks.episode import TaskSpec
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.worlds.navigation import Navigation

TASKS = 3


def made(algorithm: Any, batching: Any = "vmap", horizon: int = 8) -> tuple[Any, Any]:
    """A loop in float64 with a small network, and a meta-batch."""
    tasks = Navigation(horizon=horizon).tasks(Part("train"), "cpu")
    spec = tasks.formed(TaskSpec("control", 1, 5, 6), algorithm.inner_steps)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    learner = algorithm.bind(network, spec)
    meta = {name: value.double() for name, value in learner.init(network, 0, torch.Generator()).items()}
    loop = PolicyLoop(learner, meta, Training(iterations=9, lr=0.01), Strategy(batching))
    return loop, Sampler(tasks, spec, 0).episodes(TASKS).to("cpu", torch.float64)


def task_of(trials: Any, i: int) -> Any:
    return [type(stage)(*(value[i] for value in stage)) for stage in trials]


@pytest.mark.parametrize("algorithm", [MAMLTRPO(inner_lr=0.5), EMAML(inner_lr=0.5), MAMLTRPO(inner_steps=0)], ids=repr)
def test_the_curvature_is_the_second_derivative_of_the_mean_divergence(algorithm):
    loop, episodes = made(algorithm)
    trials, _ = loop._collect(loop.meta, episodes)
    learned = {name: value.clone() for name, value in loop._learned.items()}

    def divergence(learned: Any) -> torch.Tensor:
        meta = {**loop.meta, **learned}
        return torch.stack([loop._learner.surrogate(meta, task_of(trials, i)).kl for i in range(TASKS)]).mean()

    bent = hessian(divergence)(learned)
    v = {name: torch.randn_like(value) for name, value in learned.items()}
    found = loop._product(v, trials)
    for name, value in learned.items():
        pairs = ((bent[name][other].flatten(0, value.ndim - 1).flatten(1), v[other].flatten()) for other in v)
        expected = torch.stack([block @ part for block, part in pairs]).sum(0).view_as(value)
        torch.testing.assert_close(found[name], expected + DAMPING * v[name], rtol=1e-8, atol=1e-10)


def test_conjugate_gradients_solve_for_the_direction(monkeypatch):
    monkeypatch.setattr(policy, "CONJUGATE_STEPS", 80)
    monkeypatch.setattr(policy, "DAMPING", 0.1)
    loop, episodes = made(MAMLTRPO())
    trials, _ = loop._collect(loop.meta, episodes)
    b = {name: torch.randn_like(value) for name, value in loop._learned.items()}
    back = loop._product(loop._conjugate(b, trials), trials)
    for name, value in b.items():
        torch.testing.assert_close(back[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("max_kl", [pytest.param(0.001, marks=pytest.mark.slow), 0.05])
@pytest.mark.parametrize("horizon", [8, 60])  # the curvature of long rollouts is estimated from some of their steps
def test_a_step_stays_within_the_trust_region_and_goes_down(max_kl, horizon):
    loop, episodes = made(MAMLTRPO(max_kl=max_kl), horizon=horizon)
    for _ in range(2):
        trials, _ = loop._collect(loop.meta, episodes)
        before = loop._look(loop.meta, trials)
        assert abs(float(before.kl)) < 1e-12
        old = {name: value.clone() for name, value in loop.meta.items()}
        metrics = loop.step(episodes)
        after = loop._look(loop.meta, trials)
        assert float(after.loss) < float(before.loss)
        assert max_kl / 4 < float(after.kl) <= max_kl
        assert float(metrics["kl"]) == pytest.approx(float(after.kl))
        assert any((old[name] != value).any() for name, value in loop.meta.items())


def test_the_line_search_shortens_a_step_and_gives_up_in_the_end(monkeypatch):
    loop, episodes = made(MAMLTRPO())
    start = {name: value.clone() for name, value in loop.meta.items()}
    lengths, good = [], len(start)

    def look(meta: Any, trials: Any) -> Surrogate:
        lengths.append(sum(float((meta[name] - start[name]).square().sum()) for name in start) ** 0.5)
        loss, kl = (-1e9, 0.0) if len(lengths) == good else (-1e9, 1.0) if len(lengths) % 2 else (1e9, 0.0)
        return Surrogate(torch.tensor(loss), torch.tensor(kl), torch.zeros(1))

    monkeypatch.setattr(loop, "_look", look)
    good = 3
    loop.step(episodes)
    assert len(lengths) == 3
    assert lengths[1:] == pytest.approx([lengths[0] * policy.SHRINK, lengths[0] * policy.SHRINK**2])

    start, good, lengths[:] = {name: value.clone() for name, value in loop.meta.items()}, 0, []
    metrics = loop.step(episodes)
    assert len(lengths) == policy.SHRINKS
    assert all(torch.equal(loop.meta[name], value) for name, value in start.items())
    assert abs(float(metrics["kl"])) < 1e-12


def test_thinning_takes_steps_at_even_distances():
    loop, episodes = made(MAMLTRPO(), horizon=60)
    trials, _ = loop._collect(loop.meta, episodes)
    assert torch.equal(thinned(trials[0]).reward, trials[0].reward[:, ::3])


def test_ppo_takes_its_steps_on_the_same_rollouts():
    loop, episodes = made(MAMLPPO(outer_steps=3))
    other, _ = made(MAMLPPO(outer_steps=3))
    loop.step(episodes)
    trials, _ = other._collect(other.meta, episodes)
    optimizer = torch.optim.Adam(list(other._learned.values()), lr=0.01)
    for _ in range(3):
        gradients = [other._learner.surrogate_gradient(other.meta, task_of(trials, i))[0] for i in range(TASKS)]
        for name, value in other._learned.items():
            value.grad = torch.stack([gradient[name] for gradient in gradients]).mean(0)
        optimizer.step()
    for name, value in loop.meta.items():
        torch.testing.assert_close(value, other.meta[name], rtol=1e-9, atol=1e-9)


def test_ppo_has_no_gain_beyond_the_clip():
    """Against the definition, action by action: min(r A, clip(r) A)."""
    loop, episodes = made(MAMLPPO(inner_steps=0, clip=0.2))
    trials = task_of(loop._collect(loop.meta, episodes)[0], 0)
    moved = {name: value + 0.15 for name, value in loop.meta.items()}
    learner, last = loop._learner, trials[-1]
    gains = []
    for ratio, gain, alive in zip(
        learner.ratio(moved, last).flatten(), last.advantage.flatten(), last.alive.flatten(), strict=True
    ):
        if alive:
            cut = min(max(float(ratio), 0.8), 1.2)
            gains.append(min(float(ratio * gain), cut * float(gain)))
    assert float(learner.surrogate(moved, trials).loss) == pytest.approx(-sum(gains) / len(gains))
    assert min(gains) < -0.1  # some are cut, and some not
    plain = loop._learner.model_copy(update={"outer": "trpo"}).bind(learner.network, learner.spec)
    assert float(plain.surrogate(moved, trials).loss) < float(learner.surrogate(moved, trials).loss)


@pytest.mark.parametrize(
    ("divergence", "weight"), [(0.0151, 0.02), (0.0149, 0.01), (0.0067, 0.01), (0.0066, 0.005), (0.0, 0.005)]
)
def test_the_weight_of_the_penalty_follows_the_divergence(divergence, weight):
    loop, _ = made(ProMP(inner_steps=2))
    found = Surrogate(torch.tensor(0.0), torch.tensor(0.0), torch.tensor([divergence, 0.01]))
    carried = loop._learner.carried(loop.meta, found, {})
    assert carried[KL_WEIGHT].tolist() == pytest.approx([weight, 0.01])
    fixed = ProMP(inner_steps=2, adaptive_kl=False).bind(loop._learner.network, loop._learner.spec)
    assert fixed.carried(loop.meta, found, {}) == {}


def test_the_penalty_is_weight_times_divergence_and_only_it_moves_the_weight():
    loop, episodes = made(ProMP(kl_weight=0.5, kl_target=1e-9))
    trials, _ = loop._collect(loop.meta, episodes)
    moved = {name: value + 0.1 * (name != KL_WEIGHT) for name, value in loop.meta.items()}
    task = task_of(trials, 0)
    found = loop._learner.surrogate(moved, task)
    without = loop._learner.surrogate({**moved, KL_WEIGHT: torch.zeros(1)}, task)
    assert float(found.inner_kl[0]) > 0.001
    assert float(found.loss - without.loss) == pytest.approx(0.5 * float(found.inner_kl[0]))
    assert float(loop._learner.surrogate_gradient(moved, task)[0][KL_WEIGHT]) == 0
    loop.step(episodes)
    assert loop.meta[KL_WEIGHT].tolist() == [1.0]  # doubled


def test_e_maml_compares_returns_with_those_of_the_meta_batch_before():
    loop, episodes = made(EMAML())
    _, metrics = loop._collect(loop.meta, episodes)
    last = task_of(loop._collect(loop.meta, episodes)[0], 0)[-1]
    assert float(loop._learner.credit(loop.meta, last)) == 0
    loop.step(episodes)
    after = metrics["score"]
    assert float(loop.meta[MEAN]) == pytest.approx(float(after.mean()))
    assert float(loop.meta[SPREAD]) == pytest.approx(float(after.std(correction=0)))
    expected = (after[0] - after.mean()) / after.std(correction=0)
    assert float(loop._learner.credit(loop.meta, last)) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    "algorithm",
    [ProMP(inner_steps=2), MAMLTRPO(), pytest.param(EMAML(), marks=pytest.mark.slow)],
    ids=["ProMP", "MAMLTRPO", "EMAML"],
)
def test_tasks_one_by_one_and_together_give_the_same(algorithm):
    (mapped, episodes), (looped, _) = made(algorithm), made(algorithm, "loop")
    mapped.step(episodes)
    looped.step(episodes)
    together, alone = mapped.step(episodes), looped.step(episodes)
    for name, value in mapped.meta.items():
        torch.testing.assert_close(value, looped.meta[name], rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(together, alone, rtol=1e-7, atol=1e-9)


class Looking(MAMLTRPO):
    """Its surrogate looks at a value, which vmap cannot."""

    def surrogate(self, meta: Any, trials: Any) -> Surrogate:
        found = super().surrogate(meta, trials)
        assert found.kl >= -1
        return found


def test_the_record_names_the_parts_that_could_not_follow_the_strategy():
    for algorithm, said in (
        (MAMLTRPO(), "vmap plain eager"),
        (Looking(), "vmap plain eager; gradient: loop plain eager; surrogate: loop plain eager"),
    ):
        loop, episodes = made(algorithm)
        loop.step(episodes)
        assert loop.engine == said and loop.strategy == Strategy()
