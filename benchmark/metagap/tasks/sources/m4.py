"""M4: a hundred thousand series of a competition in forecasting."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from metagap.errors import UserError
from metagap.tasks.records import Records
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.frames import read_frame
from metagap.tasks.sources.stored_records import StoredRecords
from metagap.tasks.sources.windows import forecasts

STORE = "https://raw.githubusercontent.com/Mcompetitions/M4-methods/master/Dataset"
INFO = "M4-info.csv"


class M4(StoredRecords):
    """M4: forecasts of series of one frequency, as `m4:Monthly`, each of which is a task.

    The domain is where a series is from: Demographic, Finance, Industry, Macro, Micro or Other. An example is `window`
    values of a series, after which the next `horizon` are to be predicted. No two examples share a value. Of the series
    so many as `series` are used, evenly spaced. Their levels differ by orders of magnitude: with `scaling = "support"`
    each is in a unit of its own. The values that the competition asked for are not read.
    """

    title = "M4"
    licence = "not stated"
    citation = (
        "Makridakis, Spiliotis, Assimakopoulos (2020), The M4 Competition: 100,000 time series and 61 forecasting "
        "methods, International Journal of Forecasting"
    )
    download_size = "up to 95 MB"
    named_by = "frequency"
    chooses_kind = False
    revision = 2

    kind: Literal["regression"] = "regression"  # pyright: ignore[reportIncompatibleVariableOverride]
    frequency: Literal["Yearly", "Quarterly", "Monthly", "Weekly", "Daily", "Hourly"] = Field(
        default="Monthly", description="of the series"
    )
    window: PositiveInt = Field(default=12, description="values of an example")
    horizon: PositiveInt = Field(default=3, description="values after them that are predicted")
    series: PositiveInt = Field(default=2000, description="series that are used, at most")

    def addresses(self) -> list[Remote]:
        """The series of the frequency, and what they are."""
        return [Remote(f"M4/{name}", f"{STORE}/{name}") for name in (self._file, INFO)]

    def paths(self) -> list[Path]:
        """The same two files."""
        return [
            self.find(f"M4/{name}", f"M4/{Path(name).name}", f"M4-methods/Dataset/{name}")
            for name in (self._file, INFO)
        ]

    def records(self) -> Records:
        """All windows, (n, 1, window); targets (n, horizon)."""
        path, about = self.paths()
        table, info = (read_frame(one, self.called).table for one in (path, about))
        if {"M4id", "category"} - {*info.columns}:
            raise UserError(f"{self.called}: '{about}': allowed: a table with the columns M4id and category")
        of = dict(zip(info["M4id"].astype(str), info["category"].astype(str), strict=True))
        rows = np.unique(np.linspace(0, len(table) - 1, min(self.series, len(table))).round().astype(int))
        names = table.iloc[rows, 0].astype(str).tolist()
        if unknown := [name for name in names if name not in of]:
            raise UserError(f"{self.called}: '{path}': series '{unknown[0]}' is not in '{about}'")
        x, y, task = [], [], []
        for name, values in zip(names, table.iloc[rows, 1:].to_numpy(np.float32), strict=True):
            values = values[~np.isnan(values)]  # shorter series end earlier
            inputs, ahead = forecasts(values[:, None], self.window, self.horizon)
            x.append(inputs)
            y.append(ahead)
            task += [name] * len(inputs)
        if not task:
            raise UserError(f"{self.called}: window + horizon = {self.window + self.horizon}: no series is as long")
        notes = [f"{len(rows):,} of {len(table):,} series are used"]
        domain = np.array([of[name] for name in task])
        return Records(np.concatenate(x), np.concatenate(y), (), np.array(task), domain, notes=notes, forecasts=True)

    @property
    def _file(self) -> str:
        return f"Train/{self.frequency}-train.csv"
