"""The outer loop."""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler

from metagap.algorithms.maml import MAML
from metagap.algorithms.meta_sgd import MetaSGD
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy
from metagap.models.mlp import MLP
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec


def start(algorithm=None, **training):
    """An outer loop on sinusoids, its meta-parameters before the first step, and a meta-batch."""
    torch.manual_seed(0)
    network, x = MLP((1,), 1, [8]).double(), torch.randn(3, 7, 1, dtype=torch.float64)
    y = 5 * x.sin()
    episodes = Episode(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:], torch.empty(3, 0, dtype=torch.long))
    bound = (algorithm or MAML(inner_lr=0.1)).bind(network, TaskSpec("regression", 1, 4, 3))
    meta = {name: value.double() for name, value in bound.init(network, 0, torch.Generator().manual_seed(0)).items()}
    before = {name: value.clone() for name, value in meta.items()}
    return OuterLoop(bound, meta, Training(**{"iterations": 1, **training}), Strategy("loop")), before, episodes


@pytest.mark.parametrize("clip", [None, 10.0, 0.05])
def test_gradients_are_clipped_element_by_element(clip):
    outer, before, episodes = start(optimizer="sgd", lr=1.0, clip=clip)
    meta = outer.meta
    gradient, _ = outer.gradient(episodes)
    largest = max(float(value.abs().max()) for value in gradient.values())
    assert 0.05 < largest < 10.0
    outer.step(episodes)
    for name, value in gradient.items():
        step = value if clip is None else value.clamp(-clip, clip)
        torch.testing.assert_close(meta[name], before[name] - step)


@pytest.mark.parametrize("clip_norm", [1e3, 0.5])
def test_gradients_are_clipped_to_a_norm_part_by_part(clip_norm):
    outer, before, episodes = start(MetaSGD(), optimizer="sgd", lr=1.0, clip_norm=clip_norm)
    gradient, _ = outer.gradient(episodes)
    outer.step(episodes)
    for rates in (False, True):  # the network is one part, what is learned beside it another
        part = {name: value for name, value in gradient.items() if name.startswith("rate/") == rates}
        norm = torch.cat([value.flatten() for value in part.values()]).norm()
        assert 0.5 < norm < 1e3
        for name, value in part.items():
            torch.testing.assert_close(outer.meta[name], before[name] - value * min(1.0, clip_norm / float(norm)))


@pytest.mark.parametrize("eps", [None, 1e-3])
def test_the_outer_adam_has_the_eps_that_is_asked_for(eps):
    outer, before, episodes = start(lr=0.1, eps=eps)
    gradient, _ = outer.gradient(episodes)
    outer.step(episodes)
    for name, value in gradient.items():  # the first step of Adam, whose corrected moments are g and g ** 2
        step = 0.1 * value / (value.abs() + (eps or 1e-8))
        torch.testing.assert_close(outer.meta[name], before[name] - step)


def rates(**training):
    """The step size of every outer step, as the optimizer has it."""
    outer, _, _ = start(**training)
    found = []
    for outer.iteration in range(training["iterations"]):
        outer.schedule()
        found.append(outer._optimizer.param_groups[0]["lr"])
    return found


SCHEDULES = {
    "step": ({"schedule": "step", "schedule_steps": 4, "decay": 0.5}, lambda o: lr_scheduler.StepLR(o, 3, 0.5)),
    "cosine": ({"schedule": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, 12)),
    "cosine to": (
        {"schedule": "cosine", "final_lr": 0.01},
        lambda o: lr_scheduler.CosineAnnealingLR(o, 12, eta_min=0.01),
    ),
    "linear": ({"schedule": "linear"}, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, 12)),
    "linear to": ({"schedule": "linear", "final_lr": 0.01}, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.1, 12)),
}


@pytest.mark.parametrize(("training", "theirs"), SCHEDULES.values(), ids=SCHEDULES)
def test_schedules_are_those_of_torch(training, theirs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler, expected = theirs(optimizer), []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates(iterations=12, lr=0.1, **training) == pytest.approx(expected)


def test_a_schedule_may_fall_once_per_epoch():
    every, epochs = (rates(iterations=12, schedule="cosine", schedule_steps=steps) for steps in (None, 4))
    assert epochs == pytest.approx([every[3 * (i // 3)] for i in range(12)])
    # iterations that the steps do not divide: as near as whole iterations come
    assert rates(iterations=5, schedule="step", schedule_steps=2, decay=0.1, lr=1.0) == [1.0, 1.0, 1.0, 0.1, 0.1]


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"schedule": "step"}, "needs schedule_steps and decay"),
        ({"schedule": "cosine", "decay": 0.5}, "decay is for schedule = 'step'"),
        ({"schedule_steps": 3}, "schedule_steps is for a schedule that falls"),
        ({"final_lr": 0.1}, "final_lr is for schedule"),
        ({"schedule": "linear", "lr": 0.1, "final_lr": 0.2}, "is more than lr"),
    ],
)
def test_settings_that_would_be_of_no_effect_are_refused(training, said):
    with pytest.raises(ValueError, match=said):
        Training(iterations=1, **training)
