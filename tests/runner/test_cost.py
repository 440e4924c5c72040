"""The cost estimate of a cell: what is counted, and that timing leaves nothing behind."""

from __future__ import annotations

import pytest

from metagap.errors import UserError
from metagap.machine import Machine
from metagap.runner.cost import BYTES_A_ROW, CostEstimate, estimate
from metagap.suite import expand, load_suite

CPU = Machine("cpu", engine="loop eager")


@pytest.fixture
def cells(tiny_suite):
    def cells(evaluation=None, **changes):
        path = tiny_suite(
            "images",
            training={"iterations": 1000, "schedule": "linear", "validations": 4, "validation_episodes": 5},
            evaluation={"episodes": 9, "steps": 2, "curve_steps": 3, "diagnostic_episodes": 4, **(evaluation or {})},
            splits=[
                {"name": "old", "role": "meta-train", "classes": "train"},
                {"name": "val", "role": "meta-val", "classes": "val"},
                {"name": "new", "role": "in-distribution", "classes": "test"},
                {
                    "name": "gone",
                    "role": "cross-domain",
                    "source": {"name": "path:gone.npz", "image_size": 16},
                    "optional": True,
                },
            ],
            **changes,
        )
        return {cell.label: cell for cell in expand(load_suite(str(path)))}

    return cells


def test_everything_is_counted(cells, tmp_path):
    found = estimate(cells()["maml"], CPU)
    assert found.iterations == 1000 and 0 < found.iteration < 1 and 0 < found.episode < 1
    # Nine episodes of both splits that are here; of four further conditions four episodes each; twenty of validations.
    tested = 2 * 9 + 4 * 4
    assert found.episodes == tested + 4 * 5
    rows = tested * (3 + 1)
    assert found.bytes - BYTES_A_ROW * rows == 4 * parameters(cells()["maml"])
    assert found.seconds == pytest.approx(1000 * found.iteration + found.episodes * found.episode)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def parameters(cell):
    from metagap.runner.context import TrainingContext

    return sum(value.numel() for value in TrainingContext(cell, CPU).network.parameters())


def test_what_is_not_trained_takes_no_training(cells):
    found = estimate(cells()["scratch"], CPU)
    assert (found.iteration, found.iterations, found.episodes) == (0, 0, 34)


def test_what_is_recorded_along_training_is_counted(cells):
    def of(**evaluation):
        return estimate(cells(**evaluation)["maml"], CPU)

    plain, along = of(), of(evaluation={"checkpoints": 2, "checkpoint_episodes": 4, "quantities": ["adaptation-norm"]})
    assert along.episodes - plain.episodes == 3 * 4 * 3  # three points of three splits, that of validation among them
    assert along.bytes - plain.bytes == 2 * 4 * parameters(cells()["maml"]) + BYTES_A_ROW * 3 * 4 * 3
    assert plain.quantities == 0 < along.quantities < 60


def test_a_pace_is_what_it_multiplies_to():
    assert CostEstimate(0.5, 10, 0.25, 4, 0).seconds == 6


def test_missing_data_are_refused(cells):
    missing = {"name": "path:none.npz", "alphabets": None, "characters": None, "instances": None}
    with pytest.raises(UserError, match=r"path:none\.npz"):
        estimate(cells(source=missing)["maml"], CPU)
