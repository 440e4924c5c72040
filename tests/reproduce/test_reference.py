"""The tables that were committed are what the records that were committed give, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from metagap.report.folder import MANIFEST
from metagap.report.reproduction import write
from metagap.reproduce import paper_table, reading

PROJECT = Path(__file__).parents[2]
TABLES = sorted(path.parent for path in (PROJECT / "reports/reference").glob("*/reproduction.md"))


@pytest.mark.parametrize("committed", TABLES, ids=lambda folder: folder.name)
def test_the_reference_records_give_the_reference_table(committed, tmp_path):
    table = reading.read(paper_table.load_table(committed.name), PROJECT / "results/reference")
    write(table, tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != MANIFEST}
    assert made == {path.name: path.read_bytes() for path in committed.iterdir() if path.name != MANIFEST}
    assert made


def test_there_are_such_tables():
    assert {"maml-sinusoid", "reptile-sinusoid"} <= {folder.name for folder in TABLES}
