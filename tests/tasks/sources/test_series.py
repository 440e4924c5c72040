"""Windows of series: what they hold, and that no two examples share a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from metagap.algorithms.naive import LastValue
from metagap.errors import UserError
from metagap.tasks.episode import TaskSpec
from metagap.tasks.records import Records
from metagap.tasks.source import Part
from metagap.tasks.sources.series import SeriesSource
from metagap.tasks.sources.windows import gaps, starts


def walk(steps: int = 30, machines: str = "ab") -> pd.DataFrame:
    """A row for each hour of each machine: `level` counts on, `state` changes in the middle."""
    return pd.concat(
        pd.DataFrame({
            "machine": machine,
            "hour": pd.date_range("2020-01-01", periods=steps, freq="h"),
            "level": np.arange(steps) + 1000.0 * place,
            "heat": np.arange(steps) * 0.5,
            "state": ["off"] * (steps // 2) + ["on"] * (steps - steps // 2),
        })
        for place, machine in enumerate(machines)
    ).reset_index(drop=True)  # fmt: skip


def made(folder: Path, table: pd.DataFrame, **options: Any) -> SeriesSource:
    table.to_csv(folder / "s.csv", index=False)
    given = {"file": str(folder / "s.csv"), "target": "state", "time": "hour", "task": "machine", "window": 4}
    return SeriesSource(**{**given, **options})


def read(folder: Path, table: pd.DataFrame, **options: Any) -> Records:
    return made(folder, table, **options).records()


def levels(records: Records) -> list[list[float]]:
    """The first channel of each window."""
    return records.x[:, 0].tolist()


def test_windows_hold_one_class_of_one_series(tmp_path):
    records = read(tmp_path, walk())
    assert records.x.shape == (12, 2, 4) and records.x.dtype == np.float32 and records.features == ["level", "heat"]
    assert records.x[1].tolist() == [[4, 5, 6, 7], [2, 2.5, 3, 3.5]]
    assert levels(records)[:6] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], *([15 + i, 16 + i, 17 + i, 18 + i]
                                   for i in (0, 4, 8))]  # fmt: skip
    assert records.classes == ["off", "on"] and records.y.tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert records.task is not None and records.task.tolist() == ["a"] * 6 + ["b"] * 6
    assert records.time is not None and str(records.time[0]) == "2020-01-01T03:00:00"


def test_windows_cross_no_gap_and_the_order_is_that_of_time(tmp_path):
    table = walk(machines="a").drop(index=[5, 6])
    records = read(tmp_path, table.sample(frac=1, random_state=0))
    assert levels(records) == [[0, 1, 2, 3], [7, 8, 9, 10], [11, 12, 13, 14], *([15 + i, 16 + i, 17 + i, 18 + i]
                               for i in (0, 4, 8))]  # fmt: skip
    assert "1 gaps in time" in "; ".join(records.notes) and "put in the order" in "; ".join(records.notes)
    assert levels(read(tmp_path, table, gap=4))[1] == [4, 7, 8, 9]


def test_a_row_without_a_class_is_in_no_window(tmp_path):
    table = walk(machines="a")
    table.loc[5, "state"] = None
    for options in ({}, {"time": None, "channels": ["level"]}):
        assert levels(read(tmp_path, table, **options))[:3] == [[0, 1, 2, 3], [6, 7, 8, 9], [10, 11, 12, 13]]


def test_forecasts_are_of_the_steps_after_the_window(tmp_path):
    records = read(tmp_path, walk(), kind="regression", target="level", horizon=2)
    assert records.x.shape == (10, 2, 4) and records.y.shape == (10, 2) and not records.classes
    assert records.features == ["heat", "level"]  # that of the target is the last
    assert records.x[1, 1].tolist() == [6, 7, 8, 9] and records.y[1].tolist() == [10, 11]
    assert records.time is not None and str(records.time[0]) == "2020-01-01T05:00:00"


@pytest.mark.parametrize("scaling", ["train", "none", "support"])
@pytest.mark.parametrize("channels", [None, ["heat"]])
def test_the_last_value_forecasts_or_is_refused(tmp_path, scaling, channels):
    """The step after is one above the last, whatever inputs and targets are scaled by."""
    options = {"kind": "regression", "target": "level", "scaling": scaling, "channels": channels}
    tasks = made(tmp_path, walk(60), shares=(1, 0, 0), **options).tasks(Part("train"), "cpu")
    if scaling != "none" and channels:
        with pytest.raises(UserError, match=r"algorithm last-value: .* allowed: source.scaling = 'none', or a source"):
            LastValue.input_shape(tasks)
        return
    assert LastValue.input_shape(tasks) == (2 if channels is None else 1, 4)
    if channels is None:
        spec = TaskSpec("regression", 1, 4, 4)
        draw = tasks.draw(5, spec, torch.Generator().manual_seed(0))
        (support_x, *_, query_x, query_y, _), read = tasks.episode(draw, spec), levels_of(tasks, draw)
        train, support = tasks.x[:, -1].flatten(), read[:, :4].flatten(1)
        unit = {"train": train.std(correction=0), "none": torch.ones(()), "support": support.std(1, correction=0)}
        one = 1 / unit[scaling].view(-1, 1, 1)
        error = query_y - query_x[:, :, -1, -1:]
        torch.testing.assert_close(error, one.expand_as(error), atol=1e-3, rtol=0)
        if scaling == "support":
            torch.testing.assert_close(support_x[:, :, -1].mean((1, 2)), torch.zeros(5), atol=1e-5, rtol=0)


def levels_of(tasks: Any, draw: Any) -> torch.Tensor:
    """The last channel of examples, support sets first, as it is in the file: (T, n, steps)."""
    return tasks.x[draw.rows[:, 0], -1]


def test_forecasts_of_support_sets_with_one_value_keep_the_unit_of_training(tmp_path):
    """An error of 0 would be that of anything."""
    table = walk(120).assign(level=lambda one: np.where(one["hour"] < "2020-01-04T03", 7.0, one["level"]))
    tasks = made(tmp_path, table, kind="regression", target="level", scaling="support", channels=["level"])
    tasks = tasks.tasks(Part("all"), "cpu")
    spec = TaskSpec("regression", 1, 1, 8)
    draw = tasks.draw(50, spec, torch.Generator().manual_seed(0))
    episode, read = tasks.episode(draw, spec), levels_of(tasks, draw)
    still = (read[:, 0] == 7).all(1)
    assert 0 < still.sum() < 50 and tasks.scaling is not None
    errors = (episode.query_y - episode.query_x[:, :, -1, -1:])[still]
    moved = (read[still, 1:, 0] > 7)[..., None]
    torch.testing.assert_close(errors, moved * tasks.scaling.target_factor, atol=1e-4, rtol=1e-3)
    assert moved.any() and episode.query_y.isfinite().all()


def test_forecasts_scaled_otherwise_make_other_cells(tmp_path):
    digests = [
        made(tmp_path, walk(), kind="regression", target="level", channels=channels, scaling=scaling).digest()
        for channels in (["level"], ["heat"])
        for scaling in ("train", "none", "support")
    ]
    assert [digest == digests[0] for digest in digests[:3]] == [True, True, False]
    assert len({*digests[3:]}) == 1


def test_a_split_without_the_past_of_its_target_is_refused(tmp_path):
    options = {"kind": "regression", "target": "level"}
    (tmp_path / "other").mkdir()
    own, other = (
        made(folder, walk(), channels=[name], **options).tasks(Part("all"), "cpu")
        for folder, name in ((tmp_path, "level"), (tmp_path / "other", "heat"))
    )
    with pytest.raises(UserError, match="its targets are not later values of the last feature"):
        other.like(own)
    with pytest.raises(UserError, match="its targets are later values of the last feature"):
        own.like(other)


def test_support_and_query_share_no_step(tmp_path):
    """Of any episode, by the numbers of the steps that its examples hold, inputs and targets."""
    options = {"kind": "regression", "target": "level", "horizon": 2, "scaling": "none", "channels": ["level"]}
    tasks = made(tmp_path, walk(60), **options).tasks(Part("all"), "cpu")
    spec = TaskSpec("regression", 1, 4, 4)
    episode = tasks.episode(tasks.draw(50, spec, torch.Generator().manual_seed(0)), spec)
    for support_x, support_y, query_x, query_y in zip(*episode[:4], strict=True):
        support, query = torch.cat([support_x[:, 0], support_y], 1), torch.cat([query_x[:, 0], query_y], 1)
        assert not set(support.flatten().tolist()) & set(query.flatten().tolist())


@pytest.mark.parametrize(("kind", "least"), [("classification", 4), ("regression", 6)])
def test_a_stride_that_makes_examples_share_steps_is_refused(tmp_path, kind, least):
    options = {"kind": kind, "target": "level" if kind == "regression" else "state", "horizon": 2}
    with pytest.raises(UserError, match=f"stride = {least - 1}.*share steps.*allowed: at least {least}"):
        read(tmp_path, walk(), stride=least - 1, **options)
    assert len(read(tmp_path, walk(), stride=least, **options).x)


def test_before_shows_nothing_later(tmp_path):
    date = "2020-01-01T15:00"
    options = {"kind": "regression", "target": "level", "horizon": 2, "scaling": "none"}
    table = walk(machines="a")
    early = made(tmp_path, table, before=date, **options).tasks(Part("all"), "cpu")
    late = made(tmp_path, table, after=date, **options).tasks(Part("all"), "cpu")
    assert early.y is not None and late.y is not None
    assert early.y.max() < 15 <= late.y.min() and early.x[:, 1].max() < late.x[:, 1].min()


def test_fractions_of_seconds_order_steps(tmp_path):
    table = walk(machines="a").assign(hour=pd.date_range("2020-01-01", periods=30, freq="100ms"))
    assert len(read(tmp_path, table).x) == 6
    table.to_parquet(tmp_path / "s.parquet")
    assert len(made(tmp_path, table, file=str(tmp_path / "s.parquet")).records().x) == 6


def test_months_are_regular_and_weekends_are_not():
    days = pd.date_range("2020-01-01", periods=24, freq="MS").to_numpy().astype(np.int64)
    assert not gaps(days, np.zeros(24, int), 1.5).any()
    days = pd.bdate_range("2020-01-06", periods=15).to_numpy().astype(np.int64)
    assert np.flatnonzero(gaps(days, np.zeros(15, int), 1.5)).tolist() == [5, 10]
    assert not gaps(days, np.zeros(15, int), 4).any()


def test_starts_against_a_plain_loop():
    random = np.random.default_rng(0)
    for _ in range(50):
        breaks, extent = random.random(40) < 0.15, int(random.integers(1, 8))
        stride = extent + int(random.integers(0, 3))
        wanted, runs = [], np.split(np.arange(40), np.flatnonzero(breaks[1:]) + 1)
        for run in runs:
            wanted += [int(run[i]) for i in range(0, len(run) - extent + 1, stride)]
        begin, longest = starts(breaks, extent, stride)
        assert begin.tolist() == wanted and longest == max(map(len, runs))
