"""ETT: load and oil temperature of two electricity transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import MinLen
from pydantic import Field, PositiveInt

from metagap.errors import UserError
from metagap.tasks.records import Records
from metagap.tasks.sources import columns
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.frames import read_frame
from metagap.tasks.sources.stored_records import StoredRecords
from metagap.tasks.sources.windows import forecasts

STORE = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small"
CHANNELS = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
MONTH = {"ETTh1": 30 * 24, "ETTh2": 30 * 24, "ETTm1": 30 * 96, "ETTm2": 30 * 96}
"""Steps of 30 days."""
SPLIT = {"train": range(1, 13), "val": range(13, 17), "test": range(17, 21)}
"""The months of each part."""


class ETT(StoredRecords):
    """ETT: forecasts for two transformers of different counties, hourly (h) or every quarter of an hour (m).

    A task is a month of 30 days of one file; the domain is the file: `domains = ["ETTh2"]`. An example is `window`
    steps of six loads and the oil temperature, after which the next `horizon` values of `target`, the last channel, are
    to be predicted. No two examples share a step. The parts are those of the literature: 12 months, 4 and 4; later ones
    are in none.
    """

    title = "ETT"
    licence = "CC BY-ND 4.0"
    citation = (
        "Zhou, Zhang, Peng, Zhang, Li, Xiong, Zhang (2021), Informer: Beyond Efficient Transformer for Long Sequence "
        "Time-Series Forecasting, AAAI"
    )
    download_size = "26 MB"
    remotes = tuple(Remote(f"ETT-small/{name}.csv", f"{STORE}/{name}.csv") for name in MONTH)
    chooses_kind = False
    revision = 2

    kind: Literal["regression"] = "regression"  # pyright: ignore[reportIncompatibleVariableOverride]
    files: Annotated[list[Literal["ETTh1", "ETTh2", "ETTm1", "ETTm2"]], MinLen(1)] = Field(
        default=["ETTh1", "ETTh2"], description="which files are read"
    )
    target: Literal["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"] = Field(
        default="OT", description="what is to be predicted; OT: the oil temperature"
    )
    window: PositiveInt = Field(default=24, description="steps of an example")
    horizon: PositiveInt = Field(default=8, description="steps after them that are predicted")

    def paths(self) -> list[Path]:
        """The files that are asked for."""
        return [self.find(f"ETT-small/{name}.csv", f"ETDataset/ETT-small/{name}.csv") for name in self.files]

    def records(self) -> Records:
        """All windows, (n, 7, window); targets (n, horizon)."""
        x, y, task, domain, time = [], [], [], [], []
        channels = [*(name for name in CHANNELS if name != self.target), self.target]
        for path, name in zip(self.paths(), self.files, strict=True):
            table = read_frame(path, self.called).table
            when = columns.dates(table["date"]) if [*table.columns] == ["date", *CHANNELS] else None
            if when is None or any(columns.is_text(table[channel]) for channel in CHANNELS):
                allowed = f"the columns date, {', '.join(CHANNELS)}, of dates and numbers"
                raise UserError(f"{self.called}: '{path}': allowed: {allowed}")
            values = table[channels].to_numpy(np.float32)
            for month, first in enumerate(range(0, len(values), MONTH[name]), 1):
                steps = slice(first, first + MONTH[name])
                inputs, ahead = forecasts(values[steps], self.window, self.horizon)
                last = (np.arange(len(inputs)) + 1) * (self.window + self.horizon) - 1
                x.append(inputs)
                y.append(ahead)
                task += [f"{name} month {month:02}"] * len(inputs)
                domain += [name] * len(inputs)
                time.append(when[steps][last])
        if not task:
            raise UserError(f"{self.called}: window + horizon = {self.window + self.horizon}: no month is as long")
        return Records(
            np.concatenate(x), np.concatenate(y), (), np.array(task), np.array(domain), np.concatenate(time),
            features=channels, forecasts=True,
        )  # fmt: skip

    def split(self) -> dict[str, list[str]]:
        """The months of each part."""
        return {part: [f"{name} month {m:02}" for name in self.files for m in months] for part, months in SPLIT.items()}
