"""A run of which everything is done leaves the report alone that is of these very results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metagap import registry
from metagap.cli import output


@pytest.fixture
def run(store, here, monkeypatch):
    """`metagap run` of the store's suite: what it prints, and whether the page was made again."""
    folder, _ = store
    (folder / "results").mkdir()
    (folder / "tiny").rename(folder / "results" / "tiny")
    page = Path("reports/tiny/index.html")

    def run(*arguments: str) -> tuple[str, bool]:
        before = page.stat().st_ino if page.exists() else None
        made = []
        with monkeypatch.context() as patch:
            present = output.present
            patch.setattr(output, "present", lambda *given: made.append(1) or present(*given))
            code, printed, _ = here("run", "tiny.toml", *arguments)
        assert code == 0 and page.exists()
        assert made or page.stat().st_ino == before
        return printed, bool(made)

    return run


def test_it_is_made_once(run, store, monkeypatch):
    folder, (cell, _) = store
    printed, made = run()
    assert made and "Scores" in printed
    printed, made = run()
    assert not made and "of these very results" in printed and "2 of 2 cells are already done." in printed
    printed, made = run("--json")
    assert made and json.loads(printed)["scores"]
    assert run()[1] is False  # a report of the same is the same

    there = cell.folder(folder / "results")
    (there / "curve.parquet").touch()
    assert run()[1] is True and run()[1] is False
    next(Path("reports/tiny/tables").glob("*.csv")).unlink()
    assert run()[1] is True and run()[1] is False
    monkeypatch.setattr(registry, "has_plugins", lambda: True)
    assert run()[1] and run()[1]
