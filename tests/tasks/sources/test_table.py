"""Tables as people have them: each is read right, or refused in one message."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metagap.errors import UserError
from metagap.suite import Suite, make_source, resolve
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part
from metagap.tasks.sources.table import TableSource

PLAIN = """shop,day,price,city,sold
a,2020-01-01,1.5,Bonn,yes
a,2020-01-02,2.5,Rome,no
b,2020-01-03,3.5,Bonn,yes
b,2020-01-04,4.5,Rome,no
c,2020-01-05,5.5,Oslo,yes
c,2020-01-06,6.5,Rome,no
"""
OPTIONS = {"target": "sold", "task": "shop"}


def source(folder: Path, text: str | bytes = PLAIN, name: str = "t.csv", **options: Any) -> TableSource:
    data = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(data)
    return TableSource(**{"file": str(folder / name), **OPTIONS, **options})


def read(folder: Path, text: str | bytes = PLAIN, **options: Any) -> tuple[dict[str, list[float]], str, Any]:
    """The features by name, the remark, and the records."""
    made = source(folder, text, **options)
    records = made.records()
    columns = {name: values.tolist() for name, values in zip(records.features, records.x.T, strict=True)}
    return columns, "; ".join(records.notes), records


def of(**columns: list[Any]) -> str:
    """A table with the columns of PLAIN and these."""
    table = {**{head: values for head, values in _columns(PLAIN).items() if head not in columns}, **columns}
    quoted = [[f'"{value}"' if "," in str(value) else str(value) for value in row] for row in zip(*table.values())]  # noqa: B905
    return "\n".join([",".join(table), *map(",".join, quoted)]) + "\n"


def _columns(text: str) -> dict[str, list[Any]]:
    head, *rows = (line.split(",") for line in text.splitlines())
    return {name: list(values) for name, values in zip(head, zip(*rows, strict=True), strict=True)}


def test_a_plain_table(tmp_path):
    columns, notes, records = read(tmp_path, time="day")
    assert columns == {
        "price": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5],
        "city=Bonn": [1, 0, 1, 0, 0, 0],
        "city=Oslo": [0, 0, 0, 0, 1, 0],
        "city=Rome": [0, 1, 0, 1, 0, 1],
    }
    assert records.levels.tolist() == [0, 1, 1, 1]
    assert records.classes == ["no", "yes"] and records.y.tolist() == [1, 0, 1, 0, 1, 0]
    assert records.task.tolist() == list("aabbcc") and records.domain is None
    assert str(records.time[-1]) == "2020-01-06T00:00:00"
    assert notes == "features: price, city"


PRICE = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]
RIGHT: dict[str, tuple[str | bytes, dict[str, Any], str, list[float], str]] = {
    "byte-order mark": (b"\xef\xbb\xbf" + PLAIN.encode(), {"target": "sold"}, "price", PRICE, ""),
    "UTF-16": (PLAIN.encode("utf-16"), {}, "price", PRICE, ""),
    "Windows-1252": (PLAIN.replace("Bonn", "Köln").encode("cp1252"), {}, "city=Köln", [1, 0, 1, 0, 0, 0], "Windows"),
    "semicolons and decimal commas": (PLAIN.replace(",", ";").replace(".", ","), {}, "price", PRICE, ""),
    "semicolons and decimal points": (of(price=[1.234, 2.5, 3, 4, 5, 6]).replace(",", ";"), {}, "price",
                                      [1.234, 2.5, 3, 4, 5, 6], ""),
    "semicolons and points in thousands": (of(price=["1.234", "2.500", 3, 4, 5, 6]).replace(",", ";"), {}, "price",
                                           [1234, 2500, 3, 4, 5, 6], "'1.234' is read as 1234"),
    "tabs": (PLAIN.replace(",", "\t"), {"name": "t.tsv"}, "price", PRICE, ""),
    "gzip": (gzip.compress(PLAIN.encode()), {"name": "t.csv.gz"}, "price", PRICE, ""),
    "lines of Windows": (PLAIN.replace("\n", "\r\n"), {}, "price", PRICE, ""),
    "spaces around names": (PLAIN.replace("price", " price "), {}, "price", PRICE, ""),
    "thousands": (
        of(price=["1,234", "2,500.5", "12", "1,000,000", "0.5", "-3,000"]), {}, "price",
        [1234, 2500.5, 12, 1e6, 0.5, -3000], "'price': '1,234' is read as 1234",
    ),
    "decimal commas": (of(price=["1,5", "0,125", "3", "4", "5", "1,25"]), {}, "price", [1.5, 0.125, 3, 4, 5, 1.25], ""),
    "points in thousands": (of(price=["1.234,5", "2", "3", "4", "5", "1.000.000,25"]), {}, "price",
                            [1234.5, 2, 3, 4, 5, 1000000.25], "1234.5"),
    "money": (of(price=["€ 1.50", "$2.5", "3.5 EUR", "4.5", "55%", "£6.5"]), {}, "price", [1.5, 2.5, 3.5, 4.5, 55, 6.5],
              "'€ 1.50' is read as 1.5"),
    "minus signs": (of(price=["−1.5", "–2", "-3", "4", "5", "6"]), {}, "price", [-1.5, -2, -3, 4, 5, 6], "as -1.5"),
    "booleans": (of(price=["True", "False", "true", "", "false", "TRUE"]), {}, "price", [1, 0, 1, np.nan, 0, 1], ""),
    "dates as a feature": (PLAIN, {}, "day", [18262, 18263, 18264, 18265, 18266, 18267], "'day': dates count as days"),
    "missing numbers": (of(price=[1.5, "NA", "", "?", 5.5, 6.5]), {}, "price is missing", [0, 1, 1, 1, 0, 0], ""),
    "a missing category": (of(city=["x", "", "y", "x", "y", "x"]), {}, "city is missing", [0, 1, 0, 0, 0, 0], ""),
    "own missing values": (of(price=[1, "none", 3, 4, 5, 6]), {"missing_values": ["none"]}, "price",
                           [1, np.nan, 3, 4, 5, 6], ""),
    "dropped rows": (of(price=[1, "", 3, 4, 5, 6]), {"missing": "drop"}, "price", [1, 3, 4, 5, 6], "1 row in"),
    "dropped rows and an empty column": (of(price=[1, "", 3, 4, 5, 6], memo=[""] * 6), {"missing": "drop"}, "price",
                                         [1, 3, 4, 5, 6], "1 row in which a feature is missing was left out"),
    "rows without a target": (of(sold=["yes", "no", "", "no", "", "no"]), {}, "price", [1.5, 2.5, 4.5, 6.5],
                              "2 rows without 'sold' were left out"),
    "a target of regression": (of(sold=["1,5", "2", "3", "4", "5", "6"]), {"kind": "regression"}, "price", PRICE, ""),
    "a column without a name": (of(**{"": [0, 1, 2, 3, 4, 5]}), {}, "price", PRICE, "a column without a name"),
    "row numbers": (of(row=[1, 2, 3, 4, 5, 6]), {}, "price", PRICE, "left out: 'row', which counts the rows"),
    "row numbers, asked for": (of(row=[0, 1, 2, 3, 4, 5]), {"features": ["row"]}, "row", [0, 1, 2, 3, 4, 5], ""),
    "free text": (of(memo=["a b", "c d", "e f", "g h", "i j", "k l"]), {}, "price", PRICE, "which has 6 different"),
    "an empty column": (of(memo=[""] * 6), {}, "price", PRICE, "left out: 'memo', which has no values"),
    "codes": (PLAIN, {"categories": "codes"}, "city", [1, 3, 1, 3, 2, 3], "tabular-mlp, categories = [3]"),
    "some numbers among few texts": (of(city=["1", "2", "3+", "1", "2", "3+"]), {}, "city=3+", [0, 0, 1, 0, 0, 1], ""),
    "names with zeros": (of(shop=["007", "007", "010", "010", "8", "8"]), {}, "price", PRICE, ""),
    "names that are NA": (of(shop=["007", "007", "NA", "NA", "8", "8"]), {}, "price", PRICE, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_what_is_odd_is_read_right(tmp_path, case):
    text, options, column, values, said = RIGHT[case]
    columns, notes, records = read(tmp_path, text, **options)
    assert np.array_equal(columns[column], np.float32(values), equal_nan=True)
    assert said in notes
    if case.startswith("names"):
        other = "010" if case == "names with zeros" else "NA"
        assert records.task.tolist() == ["007", "007", other, other, "8", "8"]
    if case == "rows without a target":
        assert records.y.tolist() == [1, 0, 0, 0]
    if case == "a target of regression":
        assert records.y.tolist() == [[1.5], [2], [3], [4], [5], [6]]


FLOATS = [f"{i / 7:.3f}" for i in range(30)]
LONG = {"shop": ["a"] * 30, "day": ["x"] * 30, "price": [1] * 30, "city": ["y"] * 30}
WRONG: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "nothing": ("", {}, "t.csv' is empty"),
    "a head alone": ("shop,sold\n", {}, "t.csv' has no rows below its 2 columns"),
    "no such column": (PLAIN, {"target": "sould"}, "target = 'sould': there is no such column; did you mean 'sold'?"),
    "no such feature": (PLAIN, {"features": ["prise"]}, "features = 'prise': there is no such column; did you mean"),
    "two roles": (PLAIN, {"domain": "shop"}, "column 'shop' is named for task and for domain; allowed: once"),
    "a target among features": (PLAIN, {"features": ["sold"]}, "column 'sold' is named for target and for features"),
    "twice a column": (PLAIN.replace("city", "price"), {}, "has 2 columns 'price'; allowed: one of a name"),
    "long rows": (PLAIN + "c,2020-01-06,6.5,Rome,no,more\n", {}, "is not a readable table: "),
    "no text": (b"PK\0\0\0\0", {}, "is not a readable table: it holds no text; allowed: a file that ends in .csv"),
    "no parquet": (PLAIN, {"name": "t.parquet"}, "t.parquet' is not a readable table: "),
    "no gzip": (PLAIN, {"name": "t.csv.gz"}, "t.csv.gz' is not a readable table: Not a gzipped file"),
    "another form": (PLAIN, {"name": "t.xlsx"}, "is of no form that is read; allowed: a file that ends in .csv, .tsv"),
    "no file": (PLAIN, {"file": "gone.csv"}, "table:gone.csv: there is no such file, here or in '"),
    "no name": (PLAIN, {"file": " "}, "no file is named; allowed: a file that ends in .csv"),
    "one class": (of(sold=["yes"] * 6), {}, "target = 'sold' is 'yes' in all rows; allowed: two classes or more"),
    "no target": (of(sold=[""] * 6), {}, "target = 'sold': the column has no values"),
    "floats as classes": (
        of(**LONG, sold=FLOATS), {},
        "target = 'sold' has 30 different numbers, such as 0.143, and classes are names or whole numbers",
    ),
    "names as numbers": (PLAIN, {"kind": "regression"}, "target = 'sold': 6 of 6 values are no numbers, such as 'yes'"),
    "no task": (PLAIN, {"kind": "regression", "target": "price", "task": None}, "regression needs `task`, the column"),
    "infinite": (of(price=[1, "inf", 3, 4, 5, 6]), {}, "column 'price' has 1 infinite values; allowed: finite"),
    "too large": (of(price=[1, 1e200, 3, 4, 5, 6]), {}, "column 'price' has 1 infinite values"),
    "infinite targets": (of(sold=[1, "-inf", 3, 4, 5, 6]), {"kind": "regression"}, "'sold' has 1 infinite values"),
    "numbers and a few texts": (
        of(**{**LONG, "price": [*range(3, 32), "unknown"]}, sold=["a", "b"] * 15), {},
        "column 'price': 1 of 30 values are no numbers, such as 'unknown'; allowed: list such texts in",
    ),
    "numbers in two ways": (of(price=["1,5", "2.5", 3, 4, 5, 6]), {}, "more than one way, such as '1,5' and '2.5'"),
    "targets in two ways": (
        of(sold=["1,5", "2.5", 3, 4, 5, 6]), {"kind": "regression"}, "in more than one way, such as '1,5' and '2.5'",
    ),
    "no dates": (PLAIN, {"time": "city"}, "time = 'city': 'Bonn' and others are no dates; allowed: such as 2020-12-31"),
    "day or month": (
        of(day=["01/02/2020", "03/04/2020"] * 3), {"time": "day"},
        "time = 'day': '01/02/2020' may have the day or the month first; allowed: dates such as 2020-12-31",
    ),
    "missing values": (of(price=[1, "", 3, 4, 5, ""]), {"missing": "refuse"}, "and values are missing in 'price' (2)"),
    "no row is whole": (of(price=[1, "", 3, "", 5, ""], city=["", "x"] * 3), {"missing": "drop"}, "leaves no row"),
    "no feature": ("shop,sold\na,x\na,y\n", {}, "no column is left that can be a feature"),
    "texts as a feature": (of(city=[""] * 6), {"features": ["city"]}, "features: column 'city' has no values"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_message(tmp_path, case):
    text, options, said = WRONG[case]
    made = source(tmp_path, text, **options)
    with pytest.raises(UserError) as raised:
        made.tasks(Part("all"), "cpu")
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"table:{made.file}: ")


@pytest.mark.parametrize(
    ("days", "first"),
    [
        (["31.12.2019", "01.02.2020"] * 3, "2019-12-31T00:00:00"),
        (["12/31/2019", "01/02/2020"] * 3, "2019-12-31T00:00:00"),
        (["2020-01-01 12:30", "2021-01-01 00:00"] * 3, "2020-01-01T12:30:00"),
        (["2020-01-01T12:30:00+02:00", "2021-01-01T12:30:00Z"] * 3, "2020-01-01T10:30:00"),
        (["1999", "2005"] * 3, "1999-01-01T00:00:00"),
    ],
)
def test_dates_and_years_are_times(tmp_path, days, first):
    *_, records = read(tmp_path, of(day=days), time="day")
    assert str(records.time[0]) == first


@pytest.mark.parametrize(("name", "write"), [("t.parquet", "to_parquet"), ("t.feather", "to_feather")])
def test_parquet_and_feather_are_as_csv(tmp_path, name, write):
    table = pd.read_csv(source(tmp_path).file, parse_dates=["day"], dtype={"city": "category"})
    table["whole"] = [1.0, 2.0, 1.0, 2.0, np.nan, 1.0]
    getattr(table, write)(tmp_path / name)
    made = TableSource(file=str(tmp_path / name), target="whole", task="shop", time="day", features=["price", "city"])
    records = made.records()
    assert list(records.classes) == ["1", "2"] and records.y.tolist() == [0, 1, 0, 1, 0]
    assert records.features == ["price", "city=Bonn", "city=Rome"]
    assert str(records.time[0]) == "2020-01-01T00:00:00"


def test_numbers_as_classes_are_in_their_order(tmp_path):
    *_, records = read(tmp_path, of(sold=["10", "9", "2", "10", "9", "2"]))
    assert records.classes == ["2", "9", "10"]


def test_a_category_that_training_never_has_is_zero_and_said(tmp_path):
    for categories in ("one-hot", "codes"):
        made = source(tmp_path, train=["a"], test=["b", "c"], time="day", categories=categories, scaling="none")
        store, spec = made.tasks(Part("test"), "cpu"), TaskSpec("classification", 2, 1, 1)
        rows, city = store.x[store.rows], store.features.index
        inputs, _ = store.scaling.inputs(rows[None], rows[None])
        if categories == "one-hot":
            assert (
                inputs[0, :, city("city=Bonn")].tolist() == [1, 0, 0, 0] or inputs[0, :, city("city=Bonn")].sum() == 1
            )
            assert not inputs[0, :, city("city=Oslo")].any() and store.x[:, city("city=Oslo")].any()
            assert "training has no example of city=Oslo, which count as 0" in store.remark(spec)
        else:
            assert rows[:, city("city")].sort().values.tolist() == [1, 2, 3, 3]
            assert inputs[0, :, city("city")].sort().values.tolist() == [0, 1, 3, 3]
            assert "training has no example of city" in store.remark(spec)
        assert "training has no" not in made.tasks(Part("train"), "cpu").remark(spec)


SUITE: dict[str, Any] = {
    "title": "Own",
    "task": {"ways": 2, "shots": 1, "queries": 1},
    "model": "mlp",
    "training": {"iterations": 1},
    "evaluation": {"steps": 1},
    "algorithms": {"maml": {}},
    "splits": [{"name": "new", "role": "in-distribution", "classes": "test"}],
}


@pytest.mark.parametrize("named", [{"name": "table:t.csv"}, {"name": "table", "file": "t.csv"}])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_suite_names_it_in_three_lines(tmp_path, monkeypatch, named, kind):
    source(tmp_path)
    monkeypatch.chdir(tmp_path)
    task = SUITE["task"] if kind == "classification" else {"kind": kind, "shots": 1, "queries": 1}
    far = {"name": "far", "role": "cross-domain", "source": {"domains": ["Rome"]}}
    own = {**named, "target": "price" if kind == "regression" else "sold", "task": "shop", "domain": "city"}
    suite: Suite = resolve({**SUITE, "task": task, "source": own, "splits": [*SUITE["splits"], far]}, Path("own.toml"))
    assert suite.source["name"] == "table:t.csv" and suite.source["kind"] == kind and "file" not in suite.source
    assert suite.splits[1].source == {**suite.source, "domains": ["Rome"]}
    assert len(make_source(suite.splits[1].source).tasks(Part("all"), "cpu").x) == 3


def test_what_follows_the_name_of_another_source_is_refused(tmp_path):
    with pytest.raises(UserError, match="'glyphs' takes nothing after its name, and 'x' follows it"):
        resolve({**SUITE, "source": "glyphs:x"}, Path("own.toml"))
