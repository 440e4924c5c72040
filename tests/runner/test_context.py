"""What a cell is made of."""

from __future__ import annotations

import pytest

from metagap.machine import Machine
from metagap.runner.context import TrainingContext
from metagap.suite import expand, load_suite

SEEDS = {
    "quickstart": {
        "training characters": 6232582771776663,
        "unseen characters": 39542713270186014,
        "real digits": 15688072930851134,
    },
    "sinusoid": {
        "training waves": 19045616711692678,
        "new waves, 5 points": 34101969180357342,
        "square waves": 29627298674799276,
    },
}
"""Of test episodes, by split. Another one means other episodes, to which no old result can be compared."""


@pytest.mark.parametrize("name", SEEDS)
def test_test_episodes_keep_their_seeds(name):
    """They are made from all of `[task]`: a key that is new there must leave the seeds of suites without it alone."""
    context = TrainingContext(expand(load_suite(name))[0], Machine("cpu"))
    splits = {split.name: split for split in context.cell.suite.splits}
    assert {split: context.seed(splits[split], "test") for split in SEEDS[name]} == SEEDS[name]
