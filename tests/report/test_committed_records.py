"""Reports of committed records say what they said when the records were committed, number by number."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from metagap.report.contents import CONTENTS
from metagap.report.frames import Frames
from metagap.report.page import make, tables_of
from metagap.report.panels import TableKind
from metagap.results import read

PROJECT = Path(__file__).parents[2]
BEFORE = Path(__file__).parent / "before"
"""Of results/reference/reptile-sinusoid, written by the version before metrics, gaps and panels became objects."""
TABLES = [shown for shown in CONTENTS if isinstance(shown, TableKind)]
GONE = {"interval", "bootstrap_low", "bootstrap_high", "open_score", "open_low", "open_high"}
"""Columns that have changed by intent."""
KEYS = ["algorithm", "a", "b", "gap", "split", "condition", "statistic"]


@pytest.fixture(scope="module")
def regression():
    return Frames.of(read(PROJECT / "results/reference", "reptile-sinusoid"))


@pytest.fixture(scope="module")
def classification():
    return tables_of(make(Frames.of(read(PROJECT / "results/reference", "omniglot-5way-1shot")), TABLES)[1])


@pytest.mark.parametrize("name", ["gaps", "scores", "pairs"])
def test_every_number_is_what_it_was(regression, name):
    """The headline was the interval over seeds, which now stands beside the crossed one."""
    before = pd.read_csv(BEFORE / f"{name}.csv")
    keys = [key for key in KEYS if key in before]
    now = getattr(regression, name)
    if "seeds_low" in now:
        now = now.drop(columns=["low", "high"]).rename(columns={"seeds_low": "low", "seeds_high": "high"})
    kept = [column for column in before if column in now and column != "interval"]
    assert {*keys, "low", "high", "seeds"} <= set(kept) and set(before) - set(kept) <= GONE
    now = now[kept].sort_values(keys, ignore_index=True)
    before = before[kept].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(now, before, check_dtype=False, rtol=1e-9)


def test_the_headline_holds_more_than_the_luck_of_the_seeds(regression):
    rows = regression.scores
    assert set(rows["interval"]) == {"crossed"}
    wider = (rows["high"] - rows["low"]) / (rows["seeds_high"] - rows["seeds_low"])
    assert (wider > 0.7).all() and wider.max() > 1.02


@pytest.mark.parametrize("name", ["scores", "gaps", "gaps-within"])
def test_the_committed_values_of_classification_are_made_again(classification, name):
    """Their intervals are bounded now; the chance-normalised gap gave way to the error ratio and the loss."""
    path = PROJECT / f"reports/reference/omniglot-5way-1shot/tables/{name}.csv"
    labels = classification[name].labels
    before, now = (
        {tuple(row[:labels]): [cell.split(" ")[0] for cell in row[labels:]] for row in csv.reader(io.StringIO(text))}
        for text in (path.read_text(encoding="utf-8"), classification[name].csv())
    )
    same = {row: cells for row, cells in before.items() if "chance-normalised" not in row[0]}
    assert len(same) >= 2 and {row: now[row] for row in same} == same


def test_the_committed_settings_are_made_again_to_the_byte(classification):
    committed = PROJECT / "reports/reference/omniglot-5way-1shot/tables/settings.csv"
    assert classification["settings"].csv() == committed.read_text(encoding="utf-8")
