"""Variations of a suite have reports in folders of their own; where none is asked for, it is what the file says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tiny_store import CPU, WAVES, load

from metagap import cli, results
from metagap.errors import UserError
from metagap.files import Files, check_writable
from metagap.results.own import Own
from metagap.runner import cell as runner
from metagap.runner.cell import run_cell


@pytest.fixture
def metagap(store, monkeypatch, capsys):
    """The command in the folder of a store, without its pages: exit code, output, and what was presented where."""
    folder, _ = store
    (folder / "results").mkdir()
    (folder / "tiny").rename(folder / "results" / "tiny")
    monkeypatch.chdir(folder)
    presented = []
    monkeypatch.setattr("metagap.cli.output.present", lambda found, page, json: presented.append((found, str(page))))

    def metagap(*arguments: str):
        presented.clear()
        monkeypatch.setattr("sys.argv", ["metagap", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), capsys.readouterr(), presented[-1] if presented else None

    for change in (["training.iterations=2"], ["algorithms.maml.inner_lr=0.5"]):
        for cell in load(folder, WAVES, *change):
            run_cell(cell, folder / "results", CPU)  # so that the command finds nothing to do
    return metagap


def test_reports_of_variations_leave_that_of_the_suite_alone(metagap):
    def shown(*arguments: str) -> tuple[str, list[int], float]:
        code, _, (found, page) = metagap(*arguments)
        assert code == 0
        return page, found.cells["iterations"].tolist(), found.suite.algorithms["maml"].hyperparameters["inner_lr"]

    usual = ("reports/tiny", [4, 0], 0.01)
    assert shown("run", "tiny.toml") == usual
    short, settings = shown("run", "tiny.toml", "--iterations", "2"), shown("run", "tiny.toml", "--set", CHANGE)
    assert short[0].startswith("reports/tiny/variants/") and short[1:] == ([2, 0], 0.01)
    assert settings[0].startswith("reports/tiny/variants/") and settings[1:] == ([4, 0], 0.5)
    assert short[0] != settings[0]
    assert "training.iterations 4 → 2" in metagap("run", "tiny.toml", "--iterations", "2")[2][0].notes[0]
    assert shown("report", "tiny") == usual  # though others were finished later
    assert shown("run", "tiny.toml", "-a", "maml", "-s", "0") == usual
    variant = Path(short[0]).name
    assert shown("report", "tiny", "--variant", variant) == short


def test_another_reference_needs_no_new_run(metagap):
    def reference(*arguments: str) -> str:
        code, _, (found, page) = metagap(*arguments)
        assert (code, page) == (0, "reports/tiny")
        return found.suite.reference_label

    assert reference("run", "tiny.toml") == "scratch"
    assert reference("run", "tiny.toml", "--set", "reference=maml") == "maml"
    assert reference("report", "tiny") == "maml"
    assert reference("run", "tiny.toml") == reference("report", "tiny") == "scratch"


CHANGE = "algorithms.maml.inner_lr=0.5"


def test_the_store_is_listed(metagap, monkeypatch):
    assert metagap("run", "tiny.toml")[0] == 0
    rows = json.loads(metagap("results", "list", "--json")[1].out)
    assert [(row["suite"], row["differs"]) for row in rows][::-1] == [
        ("tiny", "training.iterations 4 → 2"),
        ("tiny", ""),
    ]
    assert [(row["done"], row["failed"], row["damaged"]) for row in rows][::-1] == [(2, 0, 0), (3, 0, 0)]
    assert all(row["bytes"] > 1000 and row["finished"].startswith("20") and not row["report"] for row in rows)
    page = Path("reports/tiny/index.html")
    page.parent.mkdir(parents=True)
    page.touch()
    next(Path("results/tiny/maml").glob("*/curve.parquet")).write_bytes(b"")
    rows = json.loads(metagap("results", "list", "--json")[1].out)
    assert {row["report"] for row in rows} == {"", str(page)} and sum(row["damaged"] for row in rows) == 1
    text = metagap("results", "list")[1].out
    assert all(row["variant"] in text for row in rows)
    assert metagap("results", "list", "--results", "gone")[0] == 2


def test_the_file_is_read_once_and_each_cell_is_asked_once(metagap, monkeypatch):
    asked, reads = [], []
    is_done, table = runner.is_done, Files._table
    monkeypatch.setattr(runner, "is_done", lambda cell, *at: asked.append(cell.hash) or is_done(cell, *at))
    monkeypatch.setattr(Files, "_table", lambda self, path: reads.append(path) or table(self, path))
    code, printed, _ = metagap("run", "tiny.toml", "--set", CHANGE)
    assert code == 0 and "2 of 2 cells are already done." in printed.out
    assert len(asked) == len(set(asked)) == 2
    assert reads == [Path("tiny.toml")]


@pytest.mark.parametrize("option", ["--results", "--out"])
def test_folders_that_cannot_be_written_are_told_before_anything_is_run(metagap, monkeypatch, option):
    monkeypatch.setattr("metagap.executors.running.run_cells", lambda *_: 1 / 0)
    Path("file").write_text("mine")
    Path("link").symlink_to("nowhere")
    before = sorted(path for path in Path().rglob("*"))
    for folder, message in {
        "file": "'.*file' is not a folder",
        "file/below": "'.*file' is not a folder",
        "link": "'.*link' is not a folder",
        "a" * 300: "cannot be written: File name too long",
        "/proc/metagap": "cannot be written: ",
    }.items():
        code, (_, errors), _ = metagap("run", "tiny.toml", option, folder)
        assert code == 2 and errors.startswith(f"metagap: {option} '{folder}")
        with pytest.raises(UserError, match=message):
            check_writable(Path(folder), option)
    assert sorted(path for path in Path().rglob("*")) == before


def test_a_folder_on_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"--out '.*new' cannot be written: No space left on device"):
        check_writable(tmp_path / "new", "--out")
    assert list(tmp_path.iterdir()) == []


def test_what_is_the_suites_own_outlives_damage_and_edits(store):
    folder, (cell, _) = store[0] / "tiny", store[1]
    results.write_own(folder, cell.variant, {cell.hash, "1"})
    results.write_own(folder, cell.variant, {"2"})
    assert results.read_own(folder) == Own(cell.variant, frozenset({cell.hash, "2"}), "")  # 1 was never finished
    results.write_own(folder, "b", {"3"}, "maml")
    assert results.read_own(folder) == Own("b", frozenset({"3"}), "maml")
    (folder / "own.json").write_text("{")
    assert results.read_own(folder) is None
    assert results.read(store[0], "tiny").variant
