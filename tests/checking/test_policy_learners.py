"""Learners of policies that are broken are caught, by the name of the fault; what is sound passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import Field

from metagap.algorithms.policies.bandits import Thompson
from metagap.algorithms.policies.controls import PolicyScratch
from metagap.algorithms.policies.e_maml import EMAML
from metagap.algorithms.policies.maml import FOMAMLTRPO, MAMLTRPO
from metagap.algorithms.policies.promp import ProMP
from metagap.algorithms.policies.reptile import PolicyReptile
from metagap.algorithms.policies.rl2 import RL2
from metagap.checking import paths
from metagap.checking.cases import Subject
from metagap.checking.examine import EXAMINATIONS, examine
from metagap.checking.findings import Finding, finding

QUICK = [name for name in EXAMINATIONS if name not in ("learning", "contract", "documentation")]


@pytest.fixture(autouse=True)
def fewer_plans(monkeypatch):
    monkeypatch.setitem(paths.PLANS, "control", ["loop", "vmap"])


def only(algorithm: Any, examination: str) -> Finding:
    return finding(examination, EXAMINATIONS[examination], Subject(type(algorithm), algorithm))


class LooksAtReferences(MAMLTRPO):
    def meta_gradient(self, meta, episode):
        gradient, metrics = super().meta_gradient(meta, episode)
        return {name: value * episode.query_y.mean() for name, value in gradient.items()}, metrics


class StepsAway(MAMLTRPO):
    def inner_loss(self, fast, stage):
        return -super().inner_loss(fast, stage)


class FirstOrderUnsaid(MAMLTRPO):
    def inner_step(self, fast, stage, step):
        moved = super().inner_step(fast, stage, step)
        return {name: value + (moved[name] - value).detach() for name, value in fast.items()}


class SecondOrderUnsaid(FOMAMLTRPO):
    def inner_step(self, fast, stage, step):
        return self.model_copy(update={"first_order": False}).bind(self.network, self.spec).inner(fast, stage, step)

    def inner(self, fast, stage, step):
        return MAMLTRPO.inner_step(self, fast, stage, step)


class WrongSurrogateGradient(MAMLTRPO):
    def surrogate_gradient(self, meta, trials):
        gradient, found = super().surrogate_gradient(meta, trials)
        return {name: -value for name, value in gradient.items()}, found


class DrawsActions(MAMLTRPO):
    def act(self, fast, seen):
        policy, memory = super().act(fast, seen)
        return policy + 0.1 * torch.randn_like(policy), memory


SEEN: list[torch.Tensor] = []


class RemembersOtherTasks(MAMLTRPO):
    def collect(self, fast, x):
        found = super().collect(fast, x)
        SEEN.append(found.reward.mean())
        return found._replace(advantage=found.advantage * len(SEEN))


class ChangesInPlace(MAMLTRPO):
    def inner_step(self, fast, stage, step):
        moved = super().inner_step(fast, stage, step)
        for name, value in fast.items():
            value.data.copy_(moved[name])
        return fast


class Forgets(MAMLTRPO):
    spare: float = Field(default=1.0, description="of no use")

    def init(self, network, class_count, generator):
        return {**super().init(network, class_count, generator), "policy/spare": torch.ones(2)}


BROKEN = [
    (LooksAtReferences(), "query labels", "the returns of random and of the best actions leak into meta_gradient"),
    (StepsAway(), "inner steps", "climbs the support loss"),
    (FirstOrderUnsaid(), "derivative", "the meta-gradient is first order, and nothing says so"),
    (SecondOrderUnsaid(), "derivative", "claims to be first order, but"),
    (WrongSurrogateGradient(), "derivative", "surrogate_gradient is not the derivative of the surrogate"),
    (RemembersOtherTasks(), "other tasks", "depends on the tasks that were computed before it"),
    (ChangesInPlace(), "inputs", "in place; make new ones"),
    (Forgets(), "gradients", "the meta-parameter 'policy/spare' is forgotten"),
]


@pytest.mark.parametrize(("algorithm", "examination", "text"), BROKEN, ids=lambda v: type(v).__name__)
def test_what_is_broken_is_caught_by_name(algorithm, examination, text):
    SEEN.clear()
    finding = only(algorithm, examination)
    assert finding.outcome == "failed", finding
    assert text in finding.text


def test_a_policy_that_draws_for_itself_is_noted():
    finding = only(DrawsActions(), "seeds")
    assert finding.outcome == "noted"
    assert "draws random numbers while it computes" in finding.text


@pytest.mark.parametrize(
    ("algorithm", "examination", "text"),
    [
        (FOMAMLTRPO(), "derivative", "as it says, first order"),
        (MAMLTRPO(estimator="dice"), "derivative", "another derivative than their values have, as DiCE's do"),
        (PolicyReptile(), "derivative", "its meta_gradient is of its own"),
        (PolicyScratch(), "derivative", "it is not trained"),
        (ProMP(), "normalisation", "it has no setting `adapt_norm`"),
        (ProMP(), "support labels", "it acts, and learns from rewards"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_makes_no_sense_or_is_meant_is_noted_with_a_reason(algorithm, examination, text):
    finding = only(algorithm, examination)
    assert finding.outcome == "noted", finding
    assert text in finding.text


@pytest.mark.parametrize("algorithm", [ProMP(), pytest.param(EMAML(), marks=pytest.mark.slow)], ids=["ProMP", "EMAML"])
def test_what_is_sound_passes(algorithm):
    found = [only(algorithm, name) for name in QUICK]
    assert [str(finding) for finding in found if finding.outcome == "failed"] == []
    assert {finding.examination for finding in found if finding.outcome == "noted"} == {
        "normalisation",
        "support labels",
    }


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [ProMP, PolicyReptile, RL2])
def test_all_examinations_of_one(algorithm):
    found = {finding.examination: finding for finding in examine(algorithm)}
    assert list(found) == list(EXAMINATIONS)
    assert found["learning"].outcome == "passed", found["learning"]


def test_a_memory_may_depend_on_the_order_of_rollouts():
    subject = Subject(Thompson, Thompson())  # for bandits, as its shapes show
    outcomes = [finding(name, EXAMINATIONS[name], subject) for name in ("shapes", "support order")]
    assert [one.outcome for one in outcomes] == ["passed", "noted"]
    assert "order of the support rollouts, as memories do" in outcomes[1].text
