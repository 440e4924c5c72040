"""Cells that failed are counted in the tables and listed with their reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import make_results

from metagap.report.contents import CONTENTS
from metagap.report.frames import Frames
from metagap.report.page import make, render
from metagap.report.panels import Panel
from metagap.report.tables.failures import failures
from metagap.report.tables.leaders import leaders
from metagap.report.verdict import plain, verdict
from metagap.results import Failed

WHEN = "2026-11-30T19:20:00+00:00"
FAILED = (
    Failed("maml", 7, "v", WHEN, "its process was killed", kind="killed", phase="training", done=120, total=4000),
    Failed("<b>never", 0, "v", WHEN, "ValueError('a < b')\nmore", checkpoint=3),
    Failed("reptile", 1, "v", WHEN, "the meta-parameters are no longer numbers", kind="diverged"),
)


@pytest.fixture(scope="module")
def frames():
    results = make_results("regression", ("maml", "reptile"), episodes=12, small=True, published=False)
    return Frames.of(replace(results, failed=FAILED))


def test_a_table_says_what_failed_where_and_why(frames):
    table = failures(frames)
    rows = table.frame.set_index("algorithm")
    assert list(rows.loc["maml"][["what", "where", "when"]]) == ["killed", "training, 120 of 4,000", "2026-11-30 19:20"]
    assert list(rows.loc["<b>never"][["where", "last good checkpoint", "why"]]) == ["–", "3", "ValueError('a < b')"]
    assert "Killed: its process was" in table.caption and "count as the worst" in table.caption
    assert failures(replace(frames, failed=())) is None


def test_the_leaders_count_seeds_and_name_who_has_none(frames):
    seeds = leaders(frames).frame.set_index("algorithm")["seeds"].to_dict()
    assert seeds == {"maml": "3 of 4", "reptile": "3 of 3", "<b>never": "0 of 1"}
    assert "seeds" not in leaders(replace(frames, failed=FAILED[2:])).frame  # it has results


def test_the_findings_say_that_numbers_lack_what_failed(frames):
    assert "2 cells failed (1 of maml and 1 of <b>never) and are not in these numbers" in plain(verdict(frames))


def test_the_page_shows_it(frames):
    _, blocks = make(frames, [one for one in CONTENTS if one.section == "findings" and not isinstance(one, Panel)])
    page = render(frames, blocks)
    assert "Failed cells" in page and "training, 120 of 4,000" in page and "&lt;b&gt;never" in page
    assert "<b>never" not in page
