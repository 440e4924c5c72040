"""What is kept in the cache folder, and how sizes read."""

from __future__ import annotations

import pytest

from metagap.tasks.folders import cache_folder, kept


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_it_is_made_once_for_the_same_facts():
    made = []
    for facts in ([1, "a"], [1, "a"], [2, "a"]):
        assert kept("things", facts, lambda: made.append(1) or ["é"]) == ["é"]
    assert len(made) == 2


def test_a_damaged_or_closed_cache_only_costs_time(tmp_path):
    assert kept("things", 1, lambda: "one") == "one"
    next(cache_folder().rglob("*.json")).write_text("half a")
    assert kept("things", 1, lambda: "two") == "two"
    assert kept("things", 1, lambda: "three") == "two"
    (cache_folder() / "closed").write_text("a file where the folder should be")
    assert kept("closed", 1, lambda: "four") == "four"
