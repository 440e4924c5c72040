"""Many cells side by side."""

from __future__ import annotations

import io

import pytest
from filelock import FileLock
from rich.console import Console

from benchmark.errors import UserError
from benchmark.launch import run_cells
from benchmark.runner.cell import is_done
from benchmark.suite import expand, load_suite

SUITE = """
title = "Tiny waves"
seeds = [0]
[task]
kind = "regression"
shots = 5
queries = 4
[model]
name = "mlp"
hidden = [8]
[source]
name = "sinusoid"
[training]
iterations = 2
[evaluation]
episodes = 3
steps = 1
[algorithms.maml]
[algorithms.fomaml]
[algorithms.scratch]
[algorithms.pretrain]
[[splits]]
name = "old"
role = "meta-train"
"""


def test_a_cell_that_cannot_be_run_keeps_no_other_from_being_run(tmp_path):
    path = tmp_path / "waves.toml"
    path.write_text(SUITE)
    first, *others = expand(load_suite(str(path)))
    folder = first.folder(tmp_path)
    folder.mkdir(parents=True)
    console = Console(file=io.StringIO(), width=400)
    with FileLock(folder / ".lock"), pytest.raises(UserError, match="another process is running maml seed 0"):
        run_cells([first, *others], tmp_path, ["cpu"], {}, console)
    assert len(others) == 3 and all(is_done(cell, tmp_path) for cell in others)
    assert not is_done(first, tmp_path)
    said = console.file.getvalue()
    assert "✗ maml seed 0: another process is running maml seed 0" in said and said.count("✓") == 3
