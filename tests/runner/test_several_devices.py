"""A cell that several devices train: the numbers of one, resumption by another number, and what stays on one."""

from __future__ import annotations

import dataclasses
import io
import logging
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from metagap import results
from metagap.errors import KilledError
from metagap.machine import Machine
from metagap.runner.cell import is_done, run_cell
from metagap.runner.context import TrainingContext
from metagap.runner.several import count_devices
from metagap.suite import Cell, expand, load_suite

ONE = Machine(cores=2, engine="vmap plain traced", checkpoint_seconds=0)
TWO = dataclasses.replace(ONE, devices_per_cell=2)
TRAINING = {"precision": "float64", "iterations": 12, "meta_batch": 5, "validations": 3, "validation_episodes": 5}
TRAINING |= {"optimizer": "sgd", "lr": 0.05}  # steps that show how gradients were rounded
VALIDATED = [
    {"name": "old", "role": "meta-train"},
    {"name": "val", "role": "meta-val"},
    {"name": "square", "role": "cross-domain", "source": {"name": "sinusoid", "waveform": "square"}},
]

DROPS = """
from torch import nn
class Drops(nn.Sequential):
    def __init__(self, x_shape, ways):
        super().__init__(nn.Linear(1, 4), nn.Dropout(), nn.Linear(4, ways))
"""


class Stop(KeyboardInterrupt): ...


def cell_of(path: Path) -> Cell:
    return expand(load_suite(str(path)))[0]


def waves(tiny_suite: Any, **more: Any) -> Cell:
    return cell_of(tiny_suite(training=TRAINING, splits=VALIDATED, algorithms={"maml": {}}, **more))


def stop_at(iteration: int) -> Any:
    def report(phase: str, done: int, total: int) -> None:
        if phase == "training" and done == iteration:
            raise Stop

    return report


def trained(cell: Cell, store: Path) -> dict[str, Any]:
    return torch.load(io.BytesIO(results.read_sealed(cell.folder(store) / "checkpoint.pt")))


def assert_same(cell: Cell, store: Path, other: Path) -> None:
    """The same to rounding: weights, curve, the choice by validation, and the scores of all episodes."""
    found, expected = trained(cell, store), trained(cell, other)
    for name, value in expected["selected"].items():
        torch.testing.assert_close(found["selected"][name], value, rtol=1e-10, atol=1e-12)
    assert found["record"]["selected_iteration"] == expected["record"]["selected_iteration"]
    for point, like in zip(found["curve"], expected["curve"], strict=True):
        assert point | {"seconds": 0} == pytest.approx(like | {"seconds": 0}, rel=1e-10)
    for file in (cell.folder(other) / "evaluation").glob("*.parquet"):
        scores = results.read_frame(cell.folder(store) / "evaluation" / file.name)
        numbers = results.read_frame(file).select_dtypes("number")
        assert scores[numbers.columns].to_numpy() == pytest.approx(numbers.to_numpy(), rel=1e-8, nan_ok=True)


@pytest.mark.slow
def test_two_devices_train_what_one_does_and_one_goes_on_where_two_were_stopped(tiny_suite, tmp_path):
    cell, alone, both, first_two, first_one = waves(tiny_suite), *(tmp_path / name for name in "abcd")
    run_cell(cell, alone, ONE)
    run_cell(cell, both, TWO)
    for store, before, after in ((first_two, TWO, ONE), (first_one, ONE, TWO)):
        with pytest.raises(Stop):
            run_cell(cell, store, before, stop_at(5))
        assert 4 <= trained(cell, store)["outer"]["iteration"] < 12  # it was saved before it ended
        run_cell(cell, store, after)
    for store, devices in ((both, 2), (first_two, 1), (first_one, 2)):
        assert is_done(cell, store)
        assert results.read_json(cell.folder(store) / "environment.json")["devices"] == devices
        assert_same(cell, store, alone)
    with_two, then_one = trained(cell, both), trained(cell, first_two)  # in the same pieces, and so with the same bits
    assert with_two["record"]["engine"] == then_one["record"]["engine"] == "vmap plain traced chunk=3"
    assert all(torch.equal(then_one["selected"][name], value) for name, value in with_two["selected"].items())


@pytest.mark.slow
def test_a_device_that_dies_fails_the_cell_and_the_next_run_goes_on(tiny_suite, tmp_path):
    cell = waves(tiny_suite)

    def report(phase: str, done: int, total: int) -> None:
        if phase == "training" and done == 5:
            multiprocessing.active_children()[-1].kill()

    with pytest.raises(KilledError, match=r"device \d of 2: its process was killed by SIGKILL"):
        run_cell(cell, tmp_path, TWO, report)
    assert not multiprocessing.active_children()
    run_cell(cell, tmp_path, TWO)
    assert is_done(cell, tmp_path)


@pytest.mark.parametrize(
    ("changes", "count", "said"),
    [
        ({}, 2, ""),
        (
            {"algorithms": {"maml": None, "scratch": None, "pretrain": {}}},
            1,
            "pretrain is trained by one device instead of 2: it is given the examples",
        ),
        ({"model": {"name": "Drops"}}, 1, "maml is trained by one device instead of 2: it draws random numbers"),
        ({"training": {"meta_batch": 1}}, 1, "maml is trained by one device instead of 2: one for each task"),
    ],
)
def test_what_cannot_be_divided_is_said(changes, count, said, tiny_suite, tmp_path, caplog):
    if "model" in changes:
        (tmp_path / "drops.py").write_text(DROPS)
        changes = {"model": {"name": f"{tmp_path / 'drops.py'}:Drops", "hidden": None}}
    cell = cell_of(tiny_suite(**changes))
    with caplog.at_level(logging.WARNING):
        context = TrainingContext(cell, TWO)
        before = torch.get_rng_state()
        assert count_devices(context) == count
    assert torch.equal(before, torch.get_rng_state())
    assert said in caplog.text if said else not caplog.records
