"""Our algorithms compared with the official code: it has every algorithm, and what it names is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from metagap import registry
from metagap.models.making import make_model
from metagap.suite import Training
from metagap.tasks.sources import Omniglot

PAGE = Path(__file__).parents[1] / "benchmark" / "docs" / "official-code.md"
ROW = re.compile(r"^\| *(?P<names>(?:`[\w-]+`[, ]*)*)\| (?P<code>.*?) \| (?P<aspect>.*?) \| (?P<ours>.*) \|$")


def rows() -> list[dict[str, str]]:
    """The rows of the table, each with the algorithms that it is about."""
    found, names = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith(("|---", "| algorithm")):
            match = ROW.match(line.replace(r"\|", "¦"))
            assert match, line
            names = match["names"] or names
            found.append(match.groupdict() | {"names": names})
    return found


def named(row: dict[str, str]) -> list[str]:
    return re.findall(r"`([^`]+)`", row["names"])


def settings() -> list[tuple[str, str, object]]:
    """(algorithm, key, value) of every `key = value` in the table."""
    found = []
    for row in rows():
        for key, value in re.findall(r"`([\w.-]+) = ([^`]+)`", row["ours"]):
            found += [(name, key, tomllib.loads(f"value = {value}")["value"]) for name in named(row)]
    return found


def test_every_built_in_algorithm_has_a_row():
    algorithms = {name for name in registry.names("algorithm") if not name.startswith("learn2learn-")}
    assert {name for row in rows() for name in named(row)} == algorithms


def test_every_row_says_what_ours_is_and_where_theirs_stands():
    commits: dict[str, str] = {}
    for row in rows():
        assert row["ours"].startswith(("same", "different: ", "setting: ")), row
        assert "`" in row["code"] or row["code"] == "none", row
        for repository, linked, commit in re.findall(r"github\.com/([^/]+/[^/)]+)/tree/(\w+)\) `(\w+)`", row["code"]):
            assert linked == commit == commits.setdefault(repository, commit)
        if row["ours"].startswith("setting: "):
            assert re.search(r"`[\w.-]+ = |`\[task\]`", row["ours"]), row
    assert len(commits) > 8


@pytest.mark.parametrize(("name", "key", "value"), settings())
def test_settings_that_it_names_can_be_set(name, key, value):
    section, _, option = key.rpartition(".")
    if section == "training":
        others = {"schedule_steps": {"schedule": "linear"}, "decay": {"schedule": "step", "schedule_steps": 2}}
        others |= {"schedule": {"schedule_steps": 2, "decay": 0.5} if value == "step" else {}}
        others |= {"final_lr": {"schedule": "cosine"}}
        assert getattr(Training(iterations=1, **{option: value}, **others.get(option, {})), option) == value
    elif section == "source":
        assert getattr(Omniglot(**{option: value}), option) == value
    elif section:
        make_model({"name": section, option: value}, (1, 16, 16), 2)
    else:
        algorithm = registry.load("algorithm", name)(**{option: value})
        assert algorithm.model_dump(mode="json")[option] == value
