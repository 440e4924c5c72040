"""Conditions that mean nothing for tasks that answer back."""

from __future__ import annotations

import pytest

from metagap.conditions import STANDARD
from metagap.errors import UserError
from metagap.machine import Machine
from metagap.runner.context import TrainingContext
from metagap.runner.score import conditions
from metagap.suite import expand, load_suite


def test_by_default_they_are_left_out(tiny_suite):
    (cell,) = expand(load_suite(str(tiny_suite("plane", algorithms={"policy-random": None}, seeds=[0]))))
    context = TrainingContext(cell, Machine("cpu"))
    assert all(list(conditions(context, split)) == [STANDARD] for split in cell.suite.test_splits)


def test_who_asks_for_one_is_told(tiny_suite):
    path = tiny_suite("plane", evaluation={"diagnostics": ["shuffled"]})
    with pytest.raises(UserError) as error:
        load_suite(str(path))
    said = "evaluation.diagnostics: 'shuffled' means nothing for tasks of kind control; allowed: an empty list"
    assert str(path) in str(error.value) and said in str(error.value)
    assert load_suite(str(tiny_suite("waves", evaluation={"diagnostics": ["shuffled"]}))).evaluation.diagnostics
