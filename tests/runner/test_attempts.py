"""The cost of a cell over all attempts to run it, and the environments of all of them."""

from __future__ import annotations

import pytest
import torch

from metagap import results
from metagap.machine import Machine
from metagap.report.frames import Frames
from metagap.report.tables.provenance import environments, provenance
from metagap.runner import attempts
from metagap.runner import cell as cells
from metagap.runner.cell import run_cell
from metagap.suite import expand, load_suite
from tiny_suites import write

CPU = Machine("cpu", engine="loop plain eager", checkpoint_seconds=0)


class Killed(BaseException):
    pass


def marker_of(cell, store):
    return results.read_marker(next(cell.folder(store).glob("done-*.json")))


def test_a_resumed_cell_adds_up_its_attempts_and_lists_their_environments(tmp_path, monkeypatch):
    cell, other = expand(load_suite(str(write(tmp_path))))

    def report(phase: str, done: int, total: int) -> None:
        if phase == "training" and done == 3:
            raise Killed

    with pytest.raises(Killed):
        run_cell(cell, tmp_path, CPU, report)
    (first,) = results.read_signed(cell.folder(tmp_path) / "attempts.json")["attempts"]
    assert first["cpu_seconds"] > 0
    here = cells.environment
    monkeypatch.setattr(cells, "environment", lambda device: here(device) | {"torch": "1.0", "host": "elsewhere"})
    run_cell(cell, tmp_path, CPU)
    marker = marker_of(cell, tmp_path)
    _, second = results.read_signed(cell.folder(tmp_path) / "attempts.json")["attempts"]
    assert marker["record"]["attempts"] == 2
    for key in ("wall_seconds", "cpu_seconds"):
        assert marker["record"][key] == pytest.approx(first[key] + second[key], abs=0.05)
    assert marker["record"]["peak_bytes"] == pytest.approx(max(first["peak_bytes"], second["peak_bytes"]), rel=0.05)
    assert [one["torch"] for one in marker["environments"]] == [first["environment"]["torch"], "1.0"]

    monkeypatch.setattr(cells, "environment", lambda device: here(device) | {"host": "a third"})
    run_cell(other, tmp_path, CPU)
    found = results.read(tmp_path, "tiny")
    assert found.cells.set_index("algorithm")["environment"].to_dict() == {"maml": "A, B", "scratch": "A"}
    assert found.environments["torch"].tolist() == [first["environment"]["torch"], "1.0"]
    assert found.environments["host"].tolist() == [f"{first['environment']['host']}, a third", "elsewhere"]
    frames = Frames.of(found)
    table = environments(frames)
    assert "2 different environments" in table.caption and "2 different environments" in provenance(frames).caption
    assert "torch 1.0" in table.frame["packages"][1]
    assert provenance(frames).frame["attempts"].tolist() == ["2", "1"]


def test_what_an_attempt_does_not_know_is_not_known_of_the_sum(tmp_path):
    results.write_signed(tmp_path / "attempts.json", {"attempts": [{"environment": {}, "wall_seconds": 5.0}]})
    attempt = attempts.Attempt(tmp_path, {}, torch.device("cpu"), 30)
    total = attempt.total()
    assert total["attempts"] == 2 and total["wall_seconds"] > 5 and "cpu_seconds" not in total


def test_a_damaged_file_is_set_aside(tmp_path, caplog):
    (tmp_path / "attempts.json").write_text("{")
    attempt = attempts.Attempt(tmp_path, {}, torch.device("cpu"), 30)
    assert attempt.total()["attempts"] == 1
    assert "attempts.json.damaged" in caplog.text and (tmp_path / "attempts.json.damaged").is_file()
