"""Cells whose tasks answer back: from start to end, resumed to the last bit, on the same test episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metagap import results
from metagap.machine import Machine
from metagap.runner.cell import run_cell
from metagap.runner.context import TrainingContext
from metagap.suite import Cell, expand, load_suite

EAGER = Machine(engine="loop plain eager")


@pytest.fixture
def cells(tiny_suite: Callable[..., Path]) -> dict[str, Cell]:
    """Of a tiny suite of navigation, by algorithm."""
    algorithms = {"promp": {}, "maml-trpo": {}, "e-maml": {}}
    suite = load_suite(str(tiny_suite("navigation", seeds=[0], evaluation={"episodes": 2}, algorithms=algorithms)))
    return {cell.label: cell for cell in expand(suite)}


@pytest.mark.parametrize("name", ["promp", "maml-trpo", pytest.param("e-maml", marks=pytest.mark.slow)])
def test_an_interrupted_cell_ends_with_the_same_bits(cells, tmp_path, name):
    def interrupt(phase: str, done: int, total: int) -> None:
        if phase == "training" and done == 2:
            raise KeyboardInterrupt

    often = dataclasses.replace(EAGER, checkpoint_seconds=0)
    run_cell(cells[name], tmp_path / "whole", often)
    with pytest.raises(KeyboardInterrupt):
        run_cell(cells[name], tmp_path / "parts", often, interrupt)
    state = torch.load(cells[name].folder(tmp_path / "parts") / "checkpoint.pt", weights_only=True)
    assert not state["finished"]
    assert state["outer"]["iteration"] == 1
    run_cell(cells[name], tmp_path / "parts", often)
    whole, parts = (results.read(tmp_path / folder, "tiny") for folder in ("whole", "parts"))
    assert whole.episodes.equals(parts.episodes)
    assert len(whole.episodes)


def test_every_algorithm_meets_the_same_goals_and_the_same_noise(cells):
    met = []
    for cell in cells.values():
        context = TrainingContext(cell, EAGER)
        sampler = context.sampler(cell.suite.splits[1], "test")
        met.append(sampler.episodes(5))
    for other in met[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, met[0], strict=True))
