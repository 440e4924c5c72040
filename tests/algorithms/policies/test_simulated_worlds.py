"""A world that is no pure function of tensors is run one task at a time, and what comes of it is the same."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from metagap.algorithms.policies.maml import MAMLTRPO
from metagap.engine.choice import choose
from metagap.engine.evaluate import evaluate
from metagap.engine.policy import outer_loop
from metagap.engine.strategy import AS_WRITTEN, Strategy
from metagap.models.mlp import MLP
from metagap.suite import Training
from metagap.tasks.episode import TaskSpec, formed
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.world import Step
from metagap.tasks.worlds.navigation import Navigation, NavigationWorld


@dataclass(frozen=True)
class ByNumbers(NavigationWorld):
    """Point navigation through numpy, which vmap cannot map."""

    mappable: ClassVar[bool] = False

    def step(self, task, state, action, noise):
        assert type(action.numpy()).__name__ == "ndarray"
        return Step(*(torch.from_numpy(value.numpy()) for value in super().step(task, state, action, noise)))


class Numbered(Navigation):
    def world(self):
        return ByNumbers(horizon=self.horizon)


def learner(source):
    tasks = source.tasks(Part("train"), "cpu")
    spec = formed(tasks, TaskSpec("control", 1, 3, 3), 1)
    torch.manual_seed(0)
    network = MLP((2,), 2, hidden=[8]).double()
    bound = MAMLTRPO().bind(network, spec)
    meta = bound.init(network, 0, torch.Generator().manual_seed(0))
    return bound, {name: value.double() for name, value in meta.items()}, Sampler(tasks, spec, 0)


def test_gradients_and_scores_are_those_of_a_world_that_can_be_mapped():
    found = []
    for source in (Navigation(horizon=8), Numbered(horizon=8)):
        bound, meta, sampler = learner(source)
        episodes = sampler.episodes(2).to("cpu", torch.float64)
        strategy = choose(bound, meta, episodes)
        outer = outer_loop(bound, meta, Training(iterations=2, meta_batch=2), Strategy(), 1)
        assert bound.mappable is not isinstance(source, Numbered)
        assert (strategy == outer.strategy == AS_WRITTEN) is isinstance(source, Numbered)
        found.append((*outer.gradient(episodes), evaluate(bound, meta, episodes, sampler.spec, 1, Strategy())))
        assert all(bool(value.isfinite()) for value in outer.step(episodes).values())  # and it trains
    for mapped, simulated in zip(*found, strict=True):
        assert mapped.keys() == simulated.keys()
        for name, value in mapped.items():
            assert torch.allclose(value, simulated[name], atol=1e-10), name


def test_an_algorithm_that_is_bound_again_forgets_the_world():
    bound = learner(Numbered(horizon=8))[0]
    assert bound.bind(bound.network, bound.spec._replace(world=Navigation().world())).mappable
    with pytest.raises(AttributeError):
        _ = MAMLTRPO().network
