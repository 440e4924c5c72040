"""Outer optimizers: found by name or by file, held to what they take, and a part of what a cell is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metagap import optimizers
from metagap.algorithms.maml import MAML
from metagap.engine.outer import OuterLoop
from metagap.engine.strategy import AS_WRITTEN
from metagap.errors import UserError
from metagap.models.mlp import MLP
from metagap.suite import Training, expand, load_suite
from metagap.tasks.episode import Episode, TaskSpec

PLUGIN = Path(__file__).parents[2] / "benchmark" / "examples" / "outer_optimizer.py"


def loop(**training):
    """An outer loop on sinusoids, and a meta-batch."""
    network, x = MLP((1,), 1, [8]), torch.linspace(-2, 2, 21).view(3, 7, 1)
    episodes = Episode(x[:, :4], x[:, :4].sin(), x[:, 4:], x[:, 4:].sin(), torch.empty(3, 0, dtype=torch.long))
    bound = MAML(inner_lr=0.1).bind(network, TaskSpec("regression", 1, 4, 3))
    meta = bound.init(network, 0, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    for value in meta.values():
        torch.nn.init.normal_(value)
    return OuterLoop(bound, meta, Training(**{"iterations": 4, "lr": 0.1, **training}), AS_WRITTEN), episodes


def test_one_from_a_file_moves_as_it_says():
    outer, episodes = loop(optimizer=f"{PLUGIN}:ADAMW", eps=1e-3)
    before = {name: value.clone() for name, value in outer.meta.items()}
    gradient, _ = outer.gradient(episodes)
    outer.step(episodes)
    for name, g in gradient.items():  # the first step of Adam, whose corrected moments are g and g ** 2
        expected = before[name] * (1 - 0.1 * 0.01) - 0.1 * g / (g.abs() + 1e-3)
        torch.testing.assert_close(outer.meta[name], expected)


def test_its_state_is_resumed():
    name = f"{PLUGIN}:ADAMW"
    whole, episodes = loop(optimizer=name, schedule="linear")
    first, rest = loop(optimizer=name, schedule="linear")[0], loop(optimizer=name, schedule="linear")[0]
    for _ in range(4):
        whole.step(episodes)
    for _ in range(2):
        first.step(episodes)
    rest.load_state_dict(first.state_dict())
    for _ in range(2):
        rest.step(episodes)
    assert all(torch.equal(whole.meta[name], rest.meta[name]) for name in whole.meta)


def test_the_schedule_sets_every_group_of_parameters(tmp_path):
    path = tmp_path / "apart.py"
    path.write_text(
        "import torch\nfrom metagap.optimizers import OuterOptimizer\n"
        "APART = OuterOptimizer(name='apart', about='A group for each.', "
        "make=lambda parameters, lr: torch.optim.SGD([{'params': [p]} for p in parameters], lr=lr))\n"
    )
    outer, _ = loop(optimizer=f"{path}:APART", schedule="linear")
    outer.iteration = 2
    outer.schedule()
    assert [group["lr"] for group in outer._optimizer.param_groups] == [0.05] * 4


def test_built_in_ones_have_the_names_they_are_registered_by():
    for name in ("adam", "sgd"):
        assert optimizers.find(name).name == name


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (
            {"optimizer": "adan"},
            r"tiny\.toml: training: key 'optimizer': unknown optimizer 'adan'; did you mean 'adam'\?.*sgd",
        ),
        ({"optimizer": "gone.py:ADAN"}, r"training: key 'optimizer': no file 'gone\.py' to take an optimizer from"),
        ({"optimizer": f"{PLUGIN}:make"}, r"'make' is not a|optimizer '.*:make' is no OuterOptimizer but function"),
        ({"optimizer": "sgd", "eps": 0.1}, r"training: eps is not for optimizer = 'sgd'; allowed: adam"),
    ],
)
def test_what_a_suite_cannot_have_is_one_message(tiny_suite, training, message):
    with pytest.raises(UserError, match=message):
        load_suite(str(tiny_suite(training=training)))


def test_an_algorithm_may_have_one_of_its_own(tiny_suite):
    mine, wrong = {"optimizer": f"{PLUGIN}:ADAMW", "eps": 0.1}, {"optimizer": "sgd", "eps": 0.1}
    cells = expand(load_suite(str(tiny_suite(algorithms={"maml": {"training": mine}}))))
    assert {cell.training.optimizer for cell in cells} == {"adam", mine["optimizer"]}
    with pytest.raises(UserError, match=r"algorithms\.maml\.training: eps is not for"):
        load_suite(str(tiny_suite(algorithms={"maml": {"training": wrong}})))


def test_a_cell_is_known_by_the_file_of_its_optimizer(tiny_suite, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(PLUGIN.read_text(encoding="utf-8"), encoding="utf-8")
    first, second = (
        expand(load_suite(str(tiny_suite(training={"optimizer": name}))))[0] for name in ("adam", f"{mine}:ADAMW")
    )
    assert "optimizer_file" not in first.stated
    assert second.stated["optimizer_file"]
    assert first.hash != second.hash
