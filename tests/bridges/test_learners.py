"""learn2learn's learners, run through the bridge and by hand, and a user's own: they agree with our algorithms."""

from __future__ import annotations

import copy
import logging
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metagap import registry
from metagap.algorithms.anil import ANIL
from metagap.algorithms.maml import FOMAML, MAML
from metagap.algorithms.meta_sgd import MetaSGD
from metagap.bridges import learners
from metagap.engine.choice import choose
from metagap.engine.evaluate import evaluate
from metagap.engine.mapping import TaskMap
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import Strategy, parse
from metagap.errors import UserError
from metagap.models.mlp import MLP
from metagap.suite import Training
from metagap.tasks.episode import Episode, TaskSpec

LOOP = Strategy("loop")
SPEC = TaskSpec("classification", 3, 2, 2)
MINE = '''"""What a user of learn2learn may have."""

from learn2learn.algorithms import GBML, MAML
from learn2learn.algorithms.base_learner import BaseLearner
from learn2learn.optim import ModuleTransform
from learn2learn.utils import clone_module
from torch import nn


class HeadLearner(BaseLearner):
    """Adapts the head."""

    def __init__(self, module, lr=0.5, device=nn.Identity()):
        super().__init__(module)
        self.lr = lr
        self.head = MAML(module.head, lr)

    def forward(self, x):
        return self.head(self.module.features(x))

    def clone(self):
        return HeadLearner(clone_module(self.module), self.lr)

    def adapt(self, loss):
        self.head.adapt(loss)


def through_linear_maps(network, lr: float = 0.1):
    """A transform of its own."""
    return GBML(network, ModuleTransform(nn.Linear), lr=lr)


def nothing(network):
    return network


def clashing(network, inner_steps=3):
    return MAML(network, 0.1)


def for_tasks(ways, examples):
    """A function, but not of a network alone."""


class OtherClone(HeadLearner):
    def clone(self):
        return nn.Sequential(self.module)


class Neither:
    """No learner."""
'''


class Conv2(nn.Module):
    def __init__(self):
        super().__init__()
        modules = [
            layer
            for channels in (2, 4)
            for layer in (
                nn.Conv2d(channels, 4, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(4, track_running_stats=False),
                nn.ReLU(),
            )
        ]
        self.features = nn.Sequential(*modules, nn.Flatten())
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.features(x))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    pytest.importorskip("learn2learn")
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def images() -> tuple[nn.Module, Episode]:
    torch.manual_seed(0)
    network = Conv2().double()
    x, y = torch.randn(3, 12, 2, 8, 8, dtype=torch.float64), torch.arange(3).repeat(3, 2)
    return network, Episode(x[:, :6], y, x[:, 6:], y, torch.arange(3).repeat(3, 1))


def start(algorithm, network):
    bound = algorithm.bind(network, SPEC)
    return bound, bound.init(network, 3, torch.Generator().manual_seed(0))


def doubled(meta):
    """In float64, with the step sizes of Meta-SGD exactly there."""
    return {name: value.double().fill_(0.3) if "rate/" in name else value.double() for name, value in meta.items()}


def gradient_of(bound, meta, episodes):
    return TaskMap(bound.meta_gradient, LOOP, mean=True)(meta, episodes)


def by_hand(learner, episodes, steps):
    """The loop of learn2learn's examples; gives the mean query loss and leaves the gradients in the parameters."""
    total = 0.0
    for task in map(Episode._make, zip(*episodes, strict=True)):
        clone = learner.clone()
        for _ in range(steps):
            clone.adapt(F.cross_entropy(clone(task.support_x), task.support_y))
        total = total + F.cross_entropy(clone(task.query_x), task.query_y) / len(episodes.support_x)
    total.backward()
    return total.detach()


def assert_agree(ours, theirs):
    assert ours.keys() == theirs.keys()
    ours, theirs = (torch.cat([params[name].flatten() for name in sorted(theirs)]) for params in (ours, theirs))
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-9


def case(name: str, steps: int, mine: Path):
    """Our algorithm, the one of the bridge, and learn2learn's own class around a network."""
    import learn2learn as l2l

    settings = {"inner_steps": steps, "inner_lr": 0.3}
    if name in ("maml", "fomaml"):
        first_order = name == "fomaml"
        theirs = learners.MAML(**settings, first_order=first_order)
        return (FOMAML if first_order else MAML)(**settings), theirs, lambda n: l2l.algorithms.MAML(n, 0.3, first_order)
    if name == "anil":
        learner = registry._import_file(mine, "algorithm").HeadLearner
        theirs = registry.load("algorithm", f"{mine}:HeadLearner")(inner_steps=steps, lr=0.3)
        return ANIL(**settings), theirs, lambda n: learner(n, 0.3)
    ours = MetaSGD(inner_steps=steps, inner_lr=(0.3, 0.3))
    return ours, learners.MetaSGD(**settings), lambda n: l2l.algorithms.MetaSGD(n, 0.3)


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("name", ["maml", "fomaml", "anil", "meta-sgd"])
def test_ours_agrees_with_learn2learn_by_hand_and_through_the_bridge(name, steps, mine):
    network, episodes = images()
    ours, theirs, learner = case(name, steps, mine)
    bound, meta = start(ours, network)
    expected, metrics = gradient_of(bound, doubled(meta), episodes)
    names = {f"rate/{name}": f"lrs.{i}" for i, (name, _) in enumerate(network.named_parameters())}
    expected = {names.get(name, name): value for name, value in expected.items()}

    found, found_metrics = gradient_of(*start(theirs, network), episodes)
    assert_agree(found, expected)
    torch.testing.assert_close(found_metrics, metrics, rtol=1e-9, atol=0)

    copied = copy.deepcopy(network)
    made = learner(copied)
    torch.testing.assert_close(by_hand(made, episodes, steps), metrics["loss"], rtol=1e-9, atol=0)
    gradients = {name: parameter.grad for name, parameter in copied.named_parameters()}
    if name == "meta-sgd":
        gradients |= {f"lrs.{i}": value.grad for i, value in enumerate(made.lrs)}
    assert_agree(gradients, expected)


@pytest.mark.parametrize("name", ["maml", "anil", "meta-sgd"])
def test_scores_agree_at_every_inner_step(name, mine):
    network, episodes = images()
    ours, theirs, _ = case(name, 2, mine)
    bound, meta = start(ours, network)
    for inductive in (False, True):
        a, b = (
            evaluate(algorithm, params, episodes, SPEC, 3, LOOP, inductive=inductive)
            for algorithm, params in ((bound, doubled(meta)), start(theirs, network))
        )
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
        assert a["query_loss"].shape == (3, 4)
        assert len(set(a["query_loss"][0].tolist())) == 4


def test_every_plan_gives_way_to_one_task_at_a_time(caplog, mine):
    network, episodes = images()
    bound, meta = start(learners.MAML(inner_lr=0.3), network)
    with caplog.at_level(logging.INFO, "metagap"):
        assert choose(bound, meta, episodes, engine="vmap gemm") == LOOP
    assert "engine: loop plain eager, since MAML is not mappable" in caplog.text
    outer = OuterLoop(bound, meta, Training(iterations=1), parse("vmap channels-last traced", Strategy()))
    assert outer.strategy == LOOP
    expected, _ = gradient_of(bound, meta, episodes)
    assert_agree(outer.gradient(episodes)[0], expected)


def test_a_transform_of_the_gradients_is_meta_learned(mine):
    _, episodes = images()
    for theirs in (
        learners.GBML(inner_steps=2, adapt_transform=True),
        learners.GBML(transform="meta-curvature"),
        registry.load("algorithm", f"{mine}:through_linear_maps")(lr=0.2),
    ):
        small = MLP((2, 8, 8), 3, [2]).double()
        bound, meta = start(theirs, small)
        meta = {name: value.double() for name, value in meta.items()}
        gradient, _ = gradient_of(bound, meta, episodes)
        transforms = [name for name in meta if "transform" in name]
        assert len(transforms) >= len(list(small.parameters()))
        assert all(gradient[name].shape == meta[name].shape for name in meta)
        assert any(gradient[name].any() for name in transforms)


def test_what_a_learner_draws_comes_from_the_generator(mine):
    theirs = registry.load("algorithm", f"{mine}:through_linear_maps")().bind(MLP((2,), 3, [2]), SPEC)
    before = torch.get_rng_state()
    one, same, other = (theirs.init(theirs.network, 3, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_keyword_arguments_are_hyperparameters(mine):
    found = registry.load("algorithm", f"{mine}:HeadLearner")
    assert registry.summary(found) == "Adapts the head."
    assert {name: field.annotation for name, field in found.model_fields.items()} == {"inner_steps": int, "lr": float}
    assert registry.fingerprint("algorithm", f"{mine}:HeadLearner")
    with pytest.raises(UserError, match=r"2 classes of kind algorithm in .*: HeadLearner, OtherClone; say which one"):
        registry.only_class("algorithm", str(mine))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "algorithm nothing: its learner is Conv2, which is no module with clone() and adapt(loss)"),
        ("OtherClone", "clone() gives a module with '0.features.0.weight', which the learner that was cloned does not"),
        ("clashing", "'clashing' has an argument 'inner_steps', which means something else for an algorithm"),
        ("for_tasks", "algorithm '{mine}:for_tasks' is not a class but function"),
        ("Neither", "does not derive from metagap.algorithms.base.Algorithm"),
    ],
)
def test_what_is_no_learner_is_said(mine, name, said):
    network, episodes = images()
    with pytest.raises(UserError) as error:
        bound, meta = start(registry.load("algorithm", f"{mine}:{name}")(), network)
        bound.adapt(meta, Episode(*(field[0] for field in episodes)).support, 1)
    assert said.format(mine=mine) in str(error.value)


def test_mixed_precision_is_refused():
    pytest.importorskip("learn2learn")
    with pytest.raises(UserError, match=r"MAML: training\.precision = 'bfloat16' is nothing for .* allowed: float32"):
        learners.MAML().bind(Conv2(), SPEC, torch.bfloat16)


def test_without_learn2learn_a_message_says_so(monkeypatch, tmp_path):
    for module in [name for name in sys.modules if name.startswith("learn2learn.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "learn2learn", None)
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    for make in (learners.MAML, lambda: registry.load("algorithm", f"{path}:HeadLearner")):
        with pytest.raises(UserError, match=r"learn2learn.*install the extra: pip install 'metagap\[learn2learn\]'"):
            make()
