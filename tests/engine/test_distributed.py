"""Several processes compute what one does: every outer rule, uneven portions, and going on with another number."""

from __future__ import annotations

import copy
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from metagap.algorithms.maml import MAML
from metagap.algorithms.policies.e_maml import EMAML
from metagap.algorithms.policies.maml import MAMLTRPO
from metagap.algorithms.policies.promp import ProMP
from metagap.algorithms.reptile import Reptile
from metagap.engine.distributed import Group, Portion
from metagap.engine.evaluate import Evaluator
from metagap.engine.policy import outer_loop
from metagap.engine.strategy import Strategy
from metagap.engine.together import run_together
from metagap.errors import KilledError
from metagap.speed.timing import relative_error
from metagap.speed.workloads import flat
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec
from metagap.tasks.sampling import Sampler
from metagap.tasks.source import Part
from metagap.tasks.worlds.navigation import Navigation

PAIR = ["cpu", "cpu"]
TASKS, STEPS, HALF = 5, 4, 2
IMAGES = TaskSpec("classification", 3, 1, 2)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}
IN_PORTIONS = Strategy(chunk=3)
"""As many tasks at once as the larger of two portions of five has."""


class Unmapped(MAML):
    """One that the engine runs as it is written."""

    mappable = False


class Case(NamedTuple):
    algorithm: Any
    strategy: Strategy = Strategy()
    training: dict[str, Any] = {}
    dtype: torch.dtype = torch.float64

    @property
    def tolerance(self) -> float:
        """Of relative errors: that of the numbers; none where one process computes the pieces of two."""
        return 0 if self.strategy == IN_PORTIONS else TOLERANCE[self.dtype]

    def loop(self, portion: Portion | None) -> tuple[Any, list[Episode]]:
        """The outer loop of a process, and its part of the meta-batches of all steps."""
        torch.manual_seed(0)
        if self.algorithm.acts:
            tasks = Navigation(horizon=8).tasks(Part("train"), "cpu")
            spec = tasks.formed(TaskSpec("control", 1, 5, 6), self.algorithm.inner_steps)
            network = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
            sampler = Sampler(tasks, spec, 0)
            batches = [sampler.episodes(TASKS) for _ in range(STEPS)]
        else:
            spec = IMAGES
            norm, flat = nn.BatchNorm2d(3, track_running_stats=False), (nn.ReLU(), nn.Flatten())
            network = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), norm, *flat, nn.Linear(48, 3))
            batches = [images() for _ in range(STEPS)]
        learner = self.algorithm.bind(network.to(self.dtype), spec)
        meta = {name: value.to(self.dtype) for name, value in learner.init(network, 0, torch.Generator()).items()}
        settings: dict[str, Any] = {"lr": 0.01, **self.training}
        training = Training(iterations=9, meta_batch=TASKS, **settings)
        loop = outer_loop(learner, meta, training, self.strategy, portion=portion)
        batches = [batch.to("cpu", self.dtype) for batch in batches]
        return loop, [batch if portion is None else Episode(*map(portion.of, batch)) for batch in batches]

    def steps(self, portion: Portion | None, start: int, stop: int, state: Any = None) -> tuple[Any, list[Any]]:
        """The state after some steps, and what each has told."""
        loop, batches = self.loop(portion)
        if state is not None:
            loop.load_state_dict(copy.deepcopy(state))  # an optimizer goes on in the tensors that it is given
        told = [loop.step(batch) for batch in batches[start:stop]]
        return loop.state_dict(), told


def images() -> Episode:
    x, y = torch.randn(TASKS, 9, 2, 6, 6, dtype=torch.float64), torch.arange(3).repeat(TASKS, 1)
    return Episode(x[:, :3], y, x[:, 3:], y.repeat(1, 2), torch.zeros(TASKS, 3, dtype=torch.long))


CASES = {
    "maml": Case(MAML(inner_lr=0.3)),
    "maml, float32": Case(MAML(inner_lr=0.3), dtype=torch.float32),
    "not mapped, clipped": Case(Unmapped(inner_lr=0.3), training={"clip_norm": 0.1}),
    "reptile, which carries on": Case(Reptile(inner_steps=3), training={"optimizer": "sgd", "lr": 0.5}),
    "trpo": Case(MAMLTRPO(inner_lr=0.5)),
    "trpo, float32, in portions": Case(MAMLTRPO(inner_lr=0.5), IN_PORTIONS, dtype=torch.float32),
    "ppo, which carries on": Case(ProMP(inner_lr=0.5)),
    "e-maml, which carries on": Case(EMAML(inner_lr=0.5)),
}


def scored(portion: Portion | None) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    loop, batches = CASES["maml"].loop(portion)
    evaluator = Evaluator(loop._algorithm, IMAGES, 2, Strategy(), portion=portion)
    return evaluator(loop.meta, batches[0])


def work(group: Group, tell: Callable[[Any], None], states: dict[str, Any]) -> None:
    portion = group.portion(TASKS)
    for name, case in CASES.items():
        half = case.steps(portion, 0, HALF)
        resumed = case.steps(portion, HALF, STEPS, states[name])
        group.check_equal(resumed[0]["meta"].values())
        if group.leads:
            tell((name, half, resumed))
    scores = scored(portion)
    if group.leads:
        tell(("scores", scores, None))
    with pytest.raises(RuntimeError, match="no longer have the same weights"):
        group.check_equal([torch.tensor(1.0 + 1e-7 * group.rank)])
    assert group.portion(1) is None  # too small a batch is computed by all
    if not group.leads:
        os.kill(os.getpid(), signal.SIGKILL)
    group.check_equal([torch.tensor(1.0)])


@pytest.fixture(scope="module")
def computed() -> dict[str, Any]:
    """What two processes, started once for all cases, made of each: the first half, and the second one after one
    process has done the first; with what one process makes of the first half. In the end the second one is killed."""
    alone = {name: case.steps(None, 0, HALF) for name, case in CASES.items()}
    found: dict[str, Any] = {}
    states = {name: state for name, (state, _) in alone.items()}
    with pytest.raises(KilledError) as lost:
        run_together(work, [states], PAIR, lambda told: found.update({told[0]: (*told[1:], alone.get(told[0]))}))
    return found | {"lost": str(lost.value)}


def assert_same(found: Any, expected: Any, tolerance: float) -> None:
    """Relative to each number, or to one that small ones are differences of."""
    for name, value in expected.items():
        atol = tolerance * max(float(value.abs().max()), 0.05)
        torch.testing.assert_close(found[name], value, rtol=0, atol=atol, msg=partial("{}: {}".format, name))


@pytest.mark.parametrize("name", CASES)
def test_two_processes_compute_what_one_does_and_either_goes_on_from_the_other(name, computed):
    case, (half, resumed, alone) = CASES[name], computed[name]
    whole = case.steps(None, HALF, STEPS, alone[0])
    back = case.steps(None, HALF, STEPS, half[0])
    for (state, told), (expected, said) in ((half, alone), (resumed, whole), (back, whole)):
        assert state["iteration"] == expected["iteration"]
        assert list(state["meta"]) == list(expected["meta"])
        assert relative_error(flat(state["meta"]), flat(expected["meta"])) <= case.tolerance
        for one, other in zip(told, said, strict=True):
            assert_same(one, other, case.tolerance)
    moved = case.loop(None)[0].meta
    assert any(not torch.equal(moved[name], value) for name, value in whole[0]["meta"].items())


def test_scores_of_all_episodes_are_joined_in_their_order(computed):
    expected = scored(None)
    assert expected["query_loss"].shape == (TASKS, 3)
    assert_same(computed["scores"][0], expected, 1e-12)


@pytest.mark.parametrize(("size", "tasks"), [(2, 5), (3, 3), (4, 10)])
def test_portions_are_all_tasks_once_and_differ_by_one_at_most(size, tasks):
    parts = [Portion(rank, size, tasks).of(range(tasks)) for rank in range(size)]
    assert [task for part in parts for task in part] == list(range(tasks))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_process_that_is_killed_is_one_clear_failure_of_all(computed):
    assert computed["lost"] == "device 2 of 2: its process was killed by SIGKILL, as when memory runs out"


def lose_one(group: Group, tell: Callable[[Any], None], how: str) -> None:
    tell(group.rank)
    group.check_equal([torch.ones(3)])
    if not group.leads and how == "fails":
        raise ZeroDivisionError("a fault of a plugin")
    if not group.leads:
        time.sleep(60)
    group.check_equal([torch.ones(3)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "error", "match"),
    [
        ("fails", ZeroDivisionError, "a fault of a plugin"),
        ("hangs", KilledError, "device 2 of 2 did not answer for 3 s"),
    ],
)
def test_a_process_that_fails_or_hangs_ends_all(how, error, match):
    told = []
    with pytest.raises(error, match=match):
        run_together(lose_one, [how], PAIR, told.append, wait_for=3 if how == "hangs" else 60)
    assert sorted(told) == [0, 1]
