"""The log of a cell: what was done in all attempts, with times, and never too long."""

from __future__ import annotations

import re
import warnings

import pytest

from metagap.machine import Machine
from metagap.runner import log as cell_log
from metagap.runner.cell import is_done, run_cell
from metagap.runner.context import log
from metagap.runner.log import logged
from metagap.suite import expand, load_suite

EAGER = Machine("cpu", engine="loop plain eager")


def nothing(phase: str, done: int, total: int) -> None: ...


def test_all_attempts_are_in_it(tiny_suite, tmp_path):
    cell = expand(load_suite(str(tiny_suite())))[0]

    def fail(phase: str, done: int, total: int) -> None:
        if (phase, done) == ("training", 2):
            raise ValueError("a fault of a plugin")

    with pytest.raises(ValueError, match="a fault"):
        run_cell(cell, tmp_path, EAGER, fail)
    run_cell(cell, tmp_path, EAGER)
    path = cell.folder(tmp_path) / "log.txt"
    text = path.read_text()
    first, _, second = text.partition("ValueError: a fault of a plugin\n")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d maml seed 0, by process \d+ on ", first)
    assert "training: 1 of 4" in first and "ended by ValueError('a fault of a plugin')" in first
    assert "Traceback (most recent call last)" in first and "in fail" in first
    assert "training: over after " in second and re.search(r"done in \d+\.\d s\n$", second)
    run_cell(cell, tmp_path, EAGER)
    assert is_done(cell, tmp_path) and path.read_text() == text


def test_remarks_and_warnings_are_in_it_and_shown_as_ever(tmp_path, caplog):
    level = log.level
    with pytest.warns(UserWarning, match="old"), logged(tmp_path, "a cell", nothing):
        log.info("vmap is chosen")
        log.warning("no data")
        warnings.warn("old", stacklevel=1)
    text = (tmp_path / "log.txt").read_text()
    assert "vmap is chosen" in text and "no data" in text and "UserWarning: old (" in text
    assert log.level == level and not any(isinstance(one, cell_log._File) for one in log.handlers)
    log.warning("later")
    assert "later" not in (tmp_path / "log.txt").read_text()


def test_it_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(cell_log, "BYTES", 5000)
    monkeypatch.setattr(cell_log, "LONGEST", 1000)
    for attempt in range(20):
        with logged(tmp_path, f"attempt {attempt}", nothing):
            log.warning("x" * 10**5)
            log.warning("word " * 100)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"log.txt", "log.txt.1"} and all(size <= 5000 for size in sizes.values())
    assert "attempt 19" in (tmp_path / "log.txt").read_text()


def test_one_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    (tmp_path / "log.txt").mkdir()
    with logged(tmp_path, "a cell", nothing) as report:
        report("training", 1, 2)
    assert capsys.readouterr() == ("", "")
