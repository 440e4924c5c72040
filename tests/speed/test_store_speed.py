"""The made-up store of `metagap speed --store-cells`."""

from __future__ import annotations

import pytest

from metagap import results
from metagap.errors import CellError
from metagap.runner.cell import unfinished
from metagap.speed import store
from metagap.suite import expand, load_suite


def test_its_cells_are_finished_and_whole(tmp_path):
    name = store.write(tmp_path, "few", 2)
    cells = expand(load_suite(str(tmp_path / f"{name}.toml")))
    assert len(cells) == 2 * len(store.ALGORITHMS)
    assert unfinished(cells, tmp_path / "results") == []
    (row,) = results.status(tmp_path / "results")
    assert (row["done"], row["waiting"], row["damaged"]) == (len(cells), 0, 0)
    found = results.read(tmp_path / "results", name)
    assert len(found.cells) == len(cells) and not found.notes


def test_a_command_is_timed_and_one_that_fails_is_told(tmp_path):
    (tmp_path / "results").mkdir()
    took = store._timed(tmp_path, ["status"])
    assert took.command == "status" and took.seconds >= took.cpu_seconds / 8 > 0 and took.page_bytes == 0
    with pytest.raises(CellError, match=r"metagap status none failed: .*nothing of suite 'none'"):
        store._timed(tmp_path, ["status", "none"])
