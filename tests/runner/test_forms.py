"""Tasks of several forms in one meta-training, and splits of several forms and of imbalanced support sets."""

from __future__ import annotations

import io

import pytest
import torch

from metagap import results
from metagap.analysis.gaps import gap_table
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.runner.cell import run_cell
from metagap.runner.context import TrainingContext, training_specs
from metagap.suite import expand, load_suite

CPU = Machine("cpu", engine="vmap plain eager")
TASK = {"ways": 3, "shots": 2, "queries": 1}
TRAINING = {"iterations": 8, "meta_batch": 2, "ways": [2, 3, 4], "shots": [1, 2], "imbalance": "none"}
SPLITS = [
    {"name": "val", "role": "meta-val", "classes": "val", "ways": 2},
    {"name": "new", "role": "in-distribution", "classes": "test"},
    {"name": "uneven", "role": "in-distribution", "classes": "test", "imbalance": "step"},
    {"name": "forms", "role": "in-distribution", "classes": "test", "ways": [2, 3], "shots": [1, 3]},
]


@pytest.fixture
def suite(tiny_suite):
    def suite(task=TASK, training=TRAINING, splits=SPLITS, algorithms=("maml",), **more):
        labels = {label: {} for label in algorithms}
        return load_suite(
            str(tiny_suite("images", task=task, training=training, splits=splits, algorithms=labels, **more))
        )

    return suite


def test_a_split_of_several_forms_is_one_for_each(suite):
    made = suite().splits[3:]
    assert [(split.name, split.ways, split.shots) for split in made] == [
        ("forms 2-way 1-shot", 2, 1),
        ("forms 2-way 3-shot", 2, 3),
        ("forms 3-way 1-shot", 3, 1),
        ("forms 3-way 3-shot", 3, 3),
    ]
    assert suite().split_label("forms 2-way 1-shot") == "forms 2-way 1-shot"
    assert suite().split_label("uneven") == "uneven (3-way 2-shot, step imbalance)"


def test_the_largest_form_of_training_comes_first(suite):
    context = TrainingContext(expand(suite())[0], CPU)
    forms = [(spec.ways, spec.shots) for spec in context.training_specs]
    assert forms == [(4, 2), (3, 2), (4, 1), (2, 2), (3, 1), (2, 1)]
    assert context.training_spec is context.training_specs[0]
    assert context.learner.meta["head.weight"].shape[0] == 4  # as many outputs as the largest has ways


def test_an_algorithm_has_forms_of_its_own(suite):
    own = suite(training={"iterations": 1, "meta_batch": 1}, algorithms=("maml", "protonet"))
    table = own.algorithms["protonet"].model_copy(update={"training": {"ways": 4, "imbalance": "linear"}})
    cells = expand(own.model_copy(update={"algorithms": {**own.algorithms, "protonet": table}}))
    specs = {cell.label: training_specs(cell, None) for cell in cells}
    assert [(one.ways, one.shots, one.imbalance) for one in specs["maml"]] == [(3, 2, "none")]
    assert [(one.ways, one.shots, one.imbalance) for one in specs["protonet"]] == [(4, 2, "linear")]


def test_suites_without_forms_are_the_cells_that_they_were(suite):
    plain = expand(suite(training={"iterations": 1, "meta_batch": 1}, splits=SPLITS[:2]))[0]
    assert "imbalance" not in plain.stated["task"]
    assert not {"imbalance", "ways"} & {*plain.stated["training"]}
    same = expand(
        suite(task=TASK | {"imbalance": "none"}, training={"iterations": 1, "meta_batch": 1}, splits=SPLITS[:2])
    )
    assert same[0].hash == plain.hash


@pytest.mark.parametrize("algorithm", ["maml", "protonet", "pretrain", "reptile"])
def test_an_interrupted_training_of_several_forms_ends_with_the_same_bits(suite, tmp_path, algorithm):
    cell = expand(suite(algorithms=(algorithm,)))[0]

    class Stop(KeyboardInterrupt): ...

    def stop(phase, done, total):
        if phase == "training" and done == 5:
            raise Stop

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_cell(cell, whole, CPU)
    with pytest.raises(Stop):
        run_cell(cell, parts, Machine("cpu", engine="vmap plain eager", checkpoint_seconds=0), stop)
    run_cell(cell, parts, CPU)
    states = [
        torch.load(io.BytesIO(results.read_sealed(cell.folder(store) / "checkpoint.pt"))) for store in (whole, parts)
    ]
    for name, value in states[0]["selected"].items():
        assert torch.equal(value, states[1]["selected"][name])
    for file in (cell.folder(whole) / "evaluation").glob("*.parquet"):
        assert file.read_bytes() == (cell.folder(parts) / "evaluation" / file.name).read_bytes()


def test_gaps_say_what_imbalance_and_other_forms_cost(suite, tmp_path):
    made = suite()
    for cell in expand(made):
        run_cell(cell, tmp_path / "store", CPU)
    table = gap_table(results.read(tmp_path / "store", made.name))
    found = {
        gap: sorted(set(table.loc[table["gap"].str.startswith(gap), "split"])) for gap in ("imbalance", "shot", "way")
    }
    assert found == {
        "imbalance": ["uneven"],
        "shot": ["forms 3-way 1-shot", "forms 3-way 3-shot"],
        "way": ["forms 2-way 1-shot", "forms 2-way 3-shot"],
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"task": {**TASK, "shots": 1, "imbalance": "step"}},
            "imbalance = 'step' needs shots of 2 or more, and shots = 1",
        ),
        (
            {"task": {**TASK, "imbalance": "skewed"}},
            "key 'task.imbalance' = 'skewed': input should be 'none', 'linear'",
        ),
        ({"training": {**TRAINING, "imbalance": "step"}}, "training: imbalance = 'step' needs shots of 2 or more"),
        ({"training": {**TRAINING, "ways": [1, 2]}}, "training: classification needs ways of 2 or more"),
        ({"training": {**TRAINING, "ways": [2, 2]}}, "2 is listed twice"),
        ({"training": {**TRAINING, "ways": []}}, "training.ways"),
        ({"training": {**TRAINING, "shots": [*range(1, 13)]}}, "make 36 forms of tasks; allowed: at most 32"),
        (
            {"splits": [{**SPLITS[1], "shots": 1, "imbalance": "step"}]},
            "split 'new': imbalance = 'step' needs shots of 2",
        ),
        ({"splits": [{**SPLITS[1], "ways": [2, 9]}]}, "split 'new 9-way' has ways = 9"),
        ({"splits": [{**SPLITS[1], "ways": []}]}, "ways"),
        ({"splits": [{**SPLITS[1], "ways": ["two"]}]}, "ways"),
    ],
)
def test_bad_forms_are_refused(suite, changes, said):
    with pytest.raises(UserError) as raised:
        suite(**changes)
    assert said in str(raised.value)


def test_forms_are_for_tasks_of_classes(tiny_suite):
    path = tiny_suite("waves", task={"kind": "regression", "shots": 5, "queries": 4, "imbalance": "linear"})
    with pytest.raises(UserError, match="imbalance = 'linear', but regression has no classes"):
        load_suite(str(path))
    path = tiny_suite("navigation", training={"iterations": 4, "meta_batch": 2, "shots": [2, 3]})
    with pytest.raises(UserError, match="tasks of kind control have one form in meta-training"):
        load_suite(str(path))
