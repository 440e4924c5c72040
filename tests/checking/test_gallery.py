"""Every algorithm that we register passes `metagap check`."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from metagap.checking.examine import EXAMINATIONS, examine

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ALGORITHMS = PROJECT["entry-points"]["metagap.algorithms"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_ours_pass(name):
    if name.startswith("learn2learn"):
        pytest.importorskip("learn2learn")
    found = list(examine(EntryPoint(name, ALGORITHMS[name], "metagap.algorithms").load()))
    assert [finding.examination for finding in found] == list(EXAMINATIONS)
    assert [str(finding) for finding in found if finding.outcome == "failed"] == []
