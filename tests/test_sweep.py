"""Sweeps: what a `[sweep]` is expanded into, and what is refused."""

from __future__ import annotations

import pytest

import tiny_suites
from metagap.errors import UserError
from metagap.suite import Cell, expand, load_suite, load_sweep, waves

CLASSES = {"key": "source.train_classes", "values": [9, 4, 12], "scale": "log"}


@pytest.fixture
def sweep(tmp_path):
    """The sweep of the tiny suite of images with these tables [sweep]."""

    def load(*axes, changes=(), **more):
        return load_sweep(str(tiny_suites.write(tmp_path, "images", sweep=list(axes), **more)), changes)

    return load


def test_each_value_makes_a_suite_and_splits_follow_the_source(sweep):
    found = sweep(CLASSES)
    assert [member.values for member in found.members] == [(4,), (9,), (12,)]  # the least first
    for (value,), suite in found.members:
        assert suite.name == "tiny" and suite.source["train_classes"] == value
        assert [split.source.get("train_classes") for split in suite.splits] == [value, value, None]
    assert len({cells[0].variant for cells in found.cells}) == 3
    assert (found.axes[0].name, found.axes[0].unit) == ("train classes", "doubling")


def test_a_member_is_what_the_same_change_makes(sweep, tmp_path):
    found = sweep(CLASSES)
    changed = load_suite(str(tmp_path / "tiny.toml"), ["sweep=[]", "source.train_classes=9"])
    assert [cell.hash for cell in expand(changed)] == [cell.hash for cell in found.cells[1]]


def test_two_keys_are_a_grid(sweep):
    found = sweep(CLASSES, {"key": "training.lr", "values": [0.1, 0.01]})
    assert [member.values for member in found.members] == [(c, lr) for c in (4, 9, 12) for lr in (0.01, 0.1)]
    assert found.said(found.members[0]) == "source.train_classes = 4, training.lr = 0.01"


def test_keys_of_algorithms_are_of_one_or_of_all_that_have_it(sweep):
    one = sweep({"key": "algorithms.maml.inner_lr", "values": [0.1, 0.2]})
    assert [member.suite.algorithms["maml"].hyperparameters["inner_lr"] for member in one.members] == [0.1, 0.2]
    assert "inner_lr" not in one.members[1].suite.algorithms["scratch"].hyperparameters
    every = sweep({"key": "algorithms.*.inner_lr", "values": [0.1, 0.2]}, algorithms={"protonet": {}})
    second = every.members[1].suite.algorithms
    assert {label: entry.hyperparameters.get("inner_lr") for label, entry in second.items()} == {
        "maml": 0.2,
        "scratch": 0.2,
        "protonet": None,
    }
    own = sweep({"key": "algorithms.*.training.lr", "values": [0.1, 0.2]})
    assert {cell.training.lr for cell in own.cells[1]} == {0.2}


def test_equal_cells_are_run_once_and_those_of_one_folder_after_each_other(sweep):
    def sizes(found) -> list[int]:
        return [len(wave) for wave in waves([cell for cells in found.cells for cell in cells])]

    assert sizes(sweep(CLASSES)) == [6]
    assert sizes(sweep({"key": "algorithms.maml.inner_lr", "values": [0.1, 0.2]})) == [3]
    assert sizes(sweep({"key": "evaluation.episodes", "values": [5, 6, 7]})) == [2, 2, 2]
    folders = [{(cell.label, cell.hash) for cell in wave} for wave in waves(_cells(sweep, "evaluation.episodes"))]
    assert folders[0] == folders[1]


def _cells(sweep, key: str) -> list[Cell]:
    return [cell for cells in sweep({"key": key, "values": [5, 6]}).cells for cell in cells]


def test_a_choice_of_algorithms_and_seeds_is_no_variation_but_other_values_are(sweep, tmp_path):
    written = sweep(CLASSES)
    assert written.with_choices(["maml"], [3]).variation(written) == ""
    assert {cell.seed for cells in written.with_choices(["maml"], [3]).cells for cell in cells} == {3}
    fewer = load_sweep(str(tmp_path / "tiny.toml"), ["sweep.0.values=[4, 9]"])
    shorter, share = written.with_choices(iterations=1), written.with_choices(budget=0.5)
    names = {found.variation(written) for found in (fewer, shorter, share)} | {written.variation(None)}
    assert len(names) == 4 and "" not in names
    assert [cell.training.iterations for cell in share.cells[0]] == [
        round(cell.training.iterations / 2) for cell in written.cells[0]
    ]


def test_any_suite_can_be_swept_and_a_sweep_left_out(tmp_path):
    path = str(tiny_suites.write(tmp_path, "images"))
    assert load_sweep(path) is None
    found = load_sweep(path, ["sweep.key=training.lr", "sweep.values=[0.1, 0.2]"])
    assert [member.suite.training.lr for member in found.members] == [0.1, 0.2]


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        (
            {"key": "source.train_clases"},
            r"tiny\.toml: source: unknown key 'train_clases'; did you mean 'train_cl",
        ),
        ({"values": [4, 5.5]}, r"sweep: source\.train_classes = 5\.5: source: key 'train_classes' = 5\.5: .*integer"),
        (
            {"values": [-1, 4], "scale": "linear"},
            r"^[^\n]*: source\.train_classes = -1: source: .*greater than 0$",
        ),
        ({"values": [4]}, r"key 'values' = \[4\]: a sweep is over two values or more"),
        ({"values": [4, 4.0]}, r"key 'values' = \[4, 4\.0\]: 4\.0 is listed twice"),
        ({"values": [4, "many"]}, r"key 'values\.1' = 'many': input should be a valid integer"),
        ({"values": [0, 4]}, r"values has 0, and scale = 'log' is for values above 0"),
        ({"step": 1}, r"sweep: unknown key 'step'"),
        ({"key": "seeds"}, r"sweep: key 'seeds': may not be swept; allowed: keys below task, model, source"),
        ({"key": "splits.new.shots"}, r"key 'splits\.new\.shots': may not be swept"),
        ({"key": "training"}, r"key 'training': is a table; name a key in it"),
        ({"key": "training.lr.x"}, r"key 'training\.lr\.x': 'lr' is a value and has no keys"),
        ({"key": "algorithms.mamml.inner_lr"}, r"no algorithm 'mamml'; did you mean 'maml'\?"),
        ({"key": "algorithms.*.inner_rate"}, r"no algorithm of this suite has the key 'inner_rate'"),
    ],
)
def test_what_is_refused(sweep, axis, message):
    with pytest.raises(UserError, match=message):
        sweep(CLASSES | axis, training={"lr": 0.1})


def test_a_swept_key_cannot_be_set_as_well(sweep):
    with pytest.raises(UserError, match=r"--set 'source\.train_classes=5': the sweep is over this key"):
        sweep(CLASSES, changes=["source.train_classes=5"])
    with pytest.raises(UserError, match=r"--iterations 5: the sweep is over training\.iterations"):
        sweep({"key": "training.iterations", "values": [1, 2]}).with_choices(iterations=5)
    with pytest.raises(UserError, match=r"--budget: the sweep is over training\.iterations"):
        sweep({"key": "training.iterations", "values": [1, 2]}).with_choices(budget=0.5)
    with pytest.raises(UserError, match=r"3 tables \[\[sweep\]\]; allowed: one key, or two"):
        sweep(*[CLASSES] * 3)
    with pytest.raises(UserError, match="is swept twice"):
        sweep(CLASSES, CLASSES)


def test_what_is_about_one_suite_says_that_a_sweep_is_several(tmp_path):
    path = str(tiny_suites.write(tmp_path, "images", sweep=CLASSES))
    with pytest.raises(UserError, match=r"tiny\.toml: this suite is a sweep"):
        load_suite(path)
    assert load_suite(path, ["sweep=[]"]).source.get("train_classes") is None
