"""A store with two finished cells."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_store import CPU, load

from metagap.runner.cell import run_cell
from metagap.suite import Cell


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Cell]]:
    """A store with two finished cells."""
    folder = tmp_path_factory.mktemp("pristine")
    cells = load(folder)
    for cell in cells:
        run_cell(cell, folder, CPU)
    return folder, cells


@pytest.fixture
def store(pristine, tmp_path) -> tuple[Path, list[Cell]]:
    """A copy of it."""
    shutil.copytree(pristine[0], tmp_path, dirs_exist_ok=True)
    return tmp_path, pristine[1]
