"""Reports of committed records say what they said when the records were committed, number by number."""

from __future__ import annotations

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
KEYS = ["algorithm", "a", "b", "gap", "split", "condition", "statistic"]


@pytest.fixture(scope="module")
def regression():
    return Frames.of(read(PROJECT / "results/reference", "reptile-sinusoid"))


@pytest.mark.parametrize("name", ["gaps", "scores", "pairs"])
def test_every_number_is_what_it_was(regression, name):
    before = pd.read_csv(BEFORE / f"{name}.csv")
    keys = [key for key in KEYS if key in before]
    now = getattr(regression, name)[before.columns].sort_values(keys, ignore_index=True)
    before = before.sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(now, before, check_dtype=False, rtol=1e-9)


def test_the_committed_tables_of_classification_are_made_again_to_the_byte():
    committed = PROJECT / "reports/reference/omniglot-5way-1shot/tables"
    made = tables_of(make(Frames.of(read(PROJECT / "results/reference", "omniglot-5way-1shot")), TABLES)[1])
    names = {path.stem for path in committed.glob("*.csv")} - {"provenance"}  # which has further columns now
    assert {"scores", "gaps", "gaps-within", "intervals"} <= names
    for name in names:
        assert made[name].csv() == (committed / f"{name}.csv").read_text(encoding="utf-8"), name
