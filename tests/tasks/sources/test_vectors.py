"""Inputs of a table that are arrays: of a file beside it, or of a column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metagap.errors import UserError
from metagap.tasks.contract import examine
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part
from metagap.tasks.sources.table import TableSource

ROWS = 24
X = np.random.default_rng(0).normal(size=(ROWS, 5))
ABOUT = {"bird": [f"bird {i % 6}" for i in range(ROWS)], "site": ["a", "b"] * (ROWS // 2), "note": ["x"] * ROWS}


def table(folder: Path, array: Any = X, **changes: list[Any]) -> TableSource:
    """A CSV with an array beside it."""
    pd.DataFrame(ABOUT | changes).to_csv(folder / "t.csv", index=False)
    with (folder / "x.npy").open("wb") as file:
        np.save(file, array)
    return TableSource(file=str(folder / "t.csv"), target="bird", domain="site", vectors=str(folder / "x.npy"))


def column(folder: Path, values: list[Any], **options: Any) -> TableSource:
    """A parquet file with a column of lists."""
    pd.DataFrame(ABOUT | {"embedding": values}).to_parquet(folder / "t.parquet")
    return TableSource(file=str(folder / "t.parquet"), target="bird", vectors="embedding", **options)


def test_rows_of_a_file_stay_with_those_of_the_table(tmp_path):
    site = list(ABOUT["site"])
    site[2] = None
    records = table(tmp_path, site=site).records()
    np.testing.assert_array_equal(records.x, np.delete(X, 2, 0).astype(np.float32))
    assert [records.classes[label] for label in records.y] == np.delete(ABOUT["bird"], 2).tolist()
    assert list(records.notes) == ["1 row without 'site' was left out"]


def test_a_column_is_as_a_file(tmp_path):
    found, other = column(tmp_path, [*X]).records(), table(tmp_path).records()
    np.testing.assert_array_equal(found.x, other.x)
    np.testing.assert_array_equal(found.y, other.y)


def test_tasks_are_made_of_vectors_of_any_shape(tmp_path):
    made = table(tmp_path, X.reshape(ROWS, 1, 5))
    tasks, spec = made.tasks(Part("train"), "cpu"), TaskSpec("classification", 2, 1, 1)
    assert tasks.x_shape == (1, 5)
    examine(tasks, spec)


def test_other_numbers_are_other_data(tmp_path):
    digest, stamp = (made := table(tmp_path)).digest(), made.stamp()
    changed = table(tmp_path, X + 1.0)
    assert changed.digest() != digest and changed.stamp() != stamp


WRONG = {
    "shorter": (X[:-1], r"x.npy' has 23 rows, and the table 24; allowed: as many"),
    "flat": (X[:, 0], r"holds float64 \(24,\); allowed: numbers \(rows, features, ...\)"),
    "texts": (X.astype(str), r"holds <U\d+ \(24, 5\); allowed: numbers"),
    "objects": (X.astype(object), "is no readable array"),
    "missing": (np.where(X > 1, np.nan, X), f"{(X > 1).sum()} of 120 values are missing, infinite or too large"),
    "large": (X * 1e300, "120 of 120 values are missing, infinite or too large"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_does_not_fit_is_refused(tmp_path, case):
    array, said = WRONG[case]
    with pytest.raises(UserError, match=f"table:.*t.csv: vectors: .*{said}"):
        table(tmp_path, array).records()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0] * ROWS, "holds no lists of numbers"),
        ([[1.0]] * (ROWS - 1) + [[1.0, 2.0]], "has 1 to 2 numbers in a row; allowed: as many in each"),
        ([["a"]] * ROWS, "holds lists of something else than numbers"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(tmp_path, values, said):
    with pytest.raises(UserError, match=f"vectors: column 'embedding' {said}"):
        column(tmp_path, values).records()


def test_what_is_named_and_not_there_is_refused(tmp_path):
    pd.DataFrame(ABOUT).to_csv(tmp_path / "t.csv", index=False)
    given = {"file": str(tmp_path / "t.csv"), "target": "bird"}
    for options, said in (
        ({"vectors": "nothing.npy"}, "vectors: there is no such file"),
        ({"vectors": "note", "features": ["site"]}, "vectors and features are both set; allowed: one of them"),
        ({"vectors": "nothing"}, "vectors = 'nothing': there is no such column"),
        ({"vectors": "bird"}, "column 'bird' is named for target and for vectors; allowed: once"),
    ):
        with pytest.raises(UserError, match=said):
            TableSource(**given, **options).records()
