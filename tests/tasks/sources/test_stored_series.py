"""Published series, from small files in the layout of their publishers: ETT, M4 and the UCR/UEA archive."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from layouts import write_folder, write_zip
from metagap.algorithms.naive import LastValue
from metagap.errors import UserError
from metagap.tasks import catalogue
from metagap.tasks.contract import examine
from metagap.tasks.episode import TaskSpec
from metagap.tasks.source import Part
from metagap.tasks.sources.ett import CHANNELS, ETT
from metagap.tasks.sources.m4 import M4
from metagap.tasks.sources.ucr import UCRSource

MONTHLY = "Train/Monthly-train.csv"
TS = "@problemName GunPoint\n@timeStamps false\n@classLabel true 1 2\n@data\n1,2,3:1\n4,5,6:2\n"


def write_ett(folder: Path, name: str, months: int = 3, minutes: int = 60) -> np.ndarray:
    """Hours that count; each channel has its own hundred thousand."""
    count = months * 30 * 24 * 60 // minutes
    dates = np.datetime64("2016-07-01T00:00:00") + np.arange(count) * np.timedelta64(minutes, "m")
    values = np.arange(count)[:, None] + 100_000 * np.arange(7)
    lines = [
        f"{str(date).replace('T', ' ')},{','.join(map(str, row))}" for date, row in zip(dates, values, strict=True)
    ]
    write_folder(folder, {f"ETT-small/{name}.csv": "\n".join([",".join(["date", *CHANNELS]), *lines, ""]).encode()})
    return values


def write_m4(folder: Path, rows: int = 6, info: str = "") -> None:
    """Series that count, of 30 values or fewer, in quotation marks as R writes them."""
    head = ",".join(f'"V{i}"' for i in range(1, 32))
    lines = [
        ",".join([f'"M{row}"', *(f'"{100 * row + i}.5"' if i < 30 - row else "" for i in range(30))])
        for row in range(1, rows + 1)
    ]
    about = [f"M{row},{'Micro' if row % 2 else 'Finance'},12,18,Monthly,01-06-76 12:00" for row in range(1, rows + 1)]
    heads = "M4id,category,Frequency,Horizon,SP,StartingDate"
    files = {MONTHLY: [head, *lines], "M4-info.csv": [heads, *about]}
    write_folder(folder, {f"M4/{name}": "\n".join([*text, ""]).encode() for name, text in files.items()})
    if info:
        (folder / "M4" / "M4-info.csv").write_text(info)


def test_ett_has_months_as_tasks_and_the_parts_of_the_literature(data):
    values = write_ett(data, "ETTh1")
    write_ett(data, "ETTh2", months=2)
    source = ETT(window=100, horizon=20)
    records = source.records()
    assert records.x.shape == ((3 + 2) * 6, 7, 100) and records.y.shape == (30, 20)
    second = records.x[7]  # the second window of the second month
    assert np.array_equal(second, values[720 + 120 : 720 + 220].T)
    assert np.array_equal(records.y[7], values[720 + 220 : 720 + 240, -1])
    assert records.task is not None and records.time is not None and records.domain is not None
    assert records.task[7] == "ETTh1 month 02"
    assert records.time[7] == np.datetime64("2016-07-01") + np.timedelta64(720 + 239, "h")
    assert Counter(records.domain.tolist()) == {"ETTh1": 18, "ETTh2": 12}
    known = source.split()
    assert {part: len(names) for part, names in known.items()} == {"train": 24, "val": 8, "test": 8}
    assert known["val"][0] == "ETTh1 month 13" and known["test"][-1] == "ETTh2 month 20"
    with pytest.raises(UserError, match="nothing is called 'ETTh1 month 04'"):
        source.parts()
    alone = ETT(window=100, horizon=20, files=["ETTh1"], target="HULL", train=["ETTh1 month 01", "ETTh1 month 02"])
    assert alone.records().y[0, 0] == 100_100
    hull = alone.records()
    assert hull.features == [*(name for name in CHANNELS if name != "HULL"), "HULL"]
    assert np.array_equal(hull.x[7, -1], values[720 + 120 : 720 + 220, CHANNELS.index("HULL")])
    tasks = alone.tasks(Part("train"), "cpu")
    examine(tasks, TaskSpec("regression", 1, 2, 3))
    assert tasks.scaling is not None and tasks.scaling.target_center == tasks.scaling.center[-1]


def test_a_month_of_quarters_of_an_hour_has_four_times_as_many_steps(data):
    write_ett(data, "ETTm1", months=1, minutes=15)
    records = ETT(files=["ETTm1"], window=700, horizon=20).records()
    assert len(records.x) == 4 and set(map(str, np.asarray(records.task))) == {"ETTm1 month 01"}


def test_m4_has_series_as_tasks_and_categories_as_domains(data):
    write_m4(data)
    records = M4(window=4, horizon=2).records()
    assert records.task is not None and records.domain is not None
    assert Counter(records.task.tolist()) == {"M1": 4, "M2": 4, "M3": 4, "M4": 4, "M5": 4, "M6": 4}
    assert records.x[5].tolist() == [[206.5, 207.5, 208.5, 209.5]] and records.y[5].tolist() == [210.5, 211.5]
    assert set(zip(records.task.tolist(), records.domain.tolist(), strict=True)) >= {("M1", "Micro"), ("M2", "Finance")}
    examine(M4(window=4, horizon=2).tasks(Part(), "cpu"), TaskSpec("regression", 1, 2, 2))
    assert LastValue.input_shape(M4(window=4, horizon=2).tasks(Part(), "cpu")) == (1, 4)  # targets are in its unit
    some = M4(window=4, horizon=2, series=3).records()
    assert sorted(set(map(str, np.asarray(some.task)))) == ["M1", "M3", "M6"]
    assert some.notes == ["3 of 6 series are used"]


def test_the_zip_of_the_archive_is_fetched_and_read(data, monkeypatch):
    files = {f"GunPoint_{part}{end}": TS.encode() for part in ("TRAIN", "TEST") for end in (".ts", ".arff", ".txt")}
    with pytest.raises(UserError, match=r"ucr:GunPoint: .*; or fetch it with `metagap data get ucr:GunPoint`"):
        UCRSource(file="GunPoint").records()
    asked = []

    def fetch(remote, folder: Path, _: str) -> None:
        asked.append(remote.url)
        write_zip(folder / remote.path, files)

    monkeypatch.setattr("metagap.tasks.sources.published.fetch", fetch)
    catalogue.get("ucr:GunPoint", Console())
    assert asked == ["https://www.timeseriesclassification.com/aeon-toolkit/GunPoint.zip"]
    records = UCRSource(file="GunPoint").records()
    assert records.x.shape == (4, 1, 3) and np.asarray(records.domain).tolist() == ["train"] * 2 + ["test"] * 2
    packed = UCRSource(file="GunPoint").digest()
    write_folder(data / "GunPoint", files)
    assert UCRSource(file="GunPoint").digest() == packed
    assert catalogue.verify(["ucr:GunPoint"]) == [
        {"name": "ucr:GunPoint", "state": "ok", "found": "4 examples of 2 classes"}
    ]


def test_a_zip_without_series_is_refused(data):
    write_zip(data / "GunPoint.zip", {"GunPoint_TRAIN.ts": b"@data\n", "GunPoint_TEST.txt": b""})
    with pytest.raises(UserError, match=r"'.*GunPoint\.zip/GunPoint_TRAIN\.ts': its series have no classes"):
        UCRSource(file="GunPoint").records()
    write_zip(data / "GunPoint.zip", {"GunPoint_TRAIN.ts": TS.encode()})
    with pytest.raises(UserError, match=r"no file 'GunPoint_TEST\.ts' in '.*GunPoint\.zip'"):
        UCRSource(file="GunPoint").records()
    with pytest.raises(UserError, match="data get: no data set 'ucr'"):
        catalogue.get("ucr", Console())


def test_what_is_not_as_published_is_refused(data):
    def refused(source: ETT | M4, message: str) -> None:
        with pytest.raises(UserError, match=f"^{source.title}: {message}"):
            source.records()

    refused(ETT(), "no file '.*ETTh1.csv'; fetch it with `metagap data get ett")
    refused(M4(frequency="Daily"), "no file '.*Daily-train.csv'; fetch it with `metagap data get m4:Daily")
    write_folder(data, {"ETT-small/ETTh1.csv": b"date,OT\n2016-07-01,3\n"})
    refused(ETT(files=["ETTh1"]), r"'.*ETTh1\.csv': allowed: the columns date, HUFL, .*OT, of dates and numbers")
    write_ett(data, "ETTh1", months=1)
    refused(ETT(files=["ETTh1"], window=720), r"window \+ horizon = 728: no month is as long")
    write_m4(data)
    refused(M4(window=30), r"window \+ horizon = 33: no series is as long")
    write_m4(data, info="M4id,category\nM1,Micro\n")
    refused(M4(), "'.*Monthly-train.csv': series 'M2' is not in '.*M4-info.csv'")
    write_m4(data, info="id,category\nM1,Micro\n")
    refused(M4(), "'.*M4-info.csv': allowed: a table with the columns M4id and category")
