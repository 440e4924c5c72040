"""CWRU: vibrations of ball bearings, whole and damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt
from scipy import io

from metagap.errors import UserError
from metagap.tasks.records import Records
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.layout import few
from metagap.tasks.sources.stored_records import StoredRecords

STORE = "https://engineering.case.edu/sites/default/files"

FIRST = {
    "normal": 97,
    "inner race 7 mils": 105, "inner race 14 mils": 169, "inner race 21 mils": 209,
    "ball 7 mils": 118, "ball 14 mils": 185, "ball 21 mils": 222,
    "outer race 7 mils": 130, "outer race 14 mils": 197, "outer race 21 mils": 234,
}  # fmt: skip
"""The number of the recording of each class without load; those under load follow. Outer races: at six o'clock."""
LOADS = ("0 hp", "1 hp", "2 hp", "3 hp")


class CWRU(StoredRecords):
    """CWRU's bearings: acceleration at the drive end of a motor, for ten states of its bearing, under four loads.

    A class is a fault: none, or one of the inner race, a ball or the outer race (at six o'clock) of 7, 14 or 21 mils,
    recorded 12,000 times a second. The domain is the load of the motor: `domains = ["0 hp"]`. Each class has one
    recording under each load, which is cut into windows that do not overlap, whose remainder is left out.
    """

    title = "CWRU"
    licence = "not stated"
    citation = (
        "Case Western Reserve University Bearing Data Center; as a benchmark: Smith, Randall (2015), Rolling element "
        "bearing diagnostics using the Case Western Reserve University data: A benchmark study"
    )
    download_size = "about 150 MB"
    chooses_kind = False

    kind: Literal["classification"] = "classification"  # pyright: ignore[reportIncompatibleVariableOverride]
    window: PositiveInt = Field(default=1024, description="length of a window in samples")

    def addresses(self) -> list[Remote]:
        """A file for each recording."""
        return [Remote(f"cwru/{number}.mat", f"{STORE}/{number}.mat") for number in _numbers()]

    def paths(self) -> list[Path]:
        """A file for each recording, called by its number, or such as `12k_Drive_End_IR007_0_105.mat`."""
        return [
            self.find(f"cwru/{number}.mat", f"cwru/**/{number}.mat", f"cwru/**/*_{number}.mat") for number in _numbers()
        ]

    def records(self) -> Records:
        """All windows, (n, 1, window)."""
        recordings = [self._recording(path, number) for path, number in zip(self.paths(), _numbers(), strict=True)]
        counts = np.array([len(recording) // self.window for recording in recordings])
        if short := [path for path, count in zip(self.paths(), counts, strict=True) if not count]:
            raise UserError(f"{self.called}: window = {self.window}: '{short[0]}' is shorter")
        whole = [recording[: count * self.window] for recording, count in zip(recordings, counts.tolist(), strict=True)]
        of = np.repeat(np.arange(len(counts)), counts)
        return Records(
            np.concatenate(whole).reshape(-1, 1, self.window).astype(np.float32),
            of // len(LOADS),
            [*FIRST],
            domain=np.array(LOADS)[of % len(LOADS)],
            notes=[
                "windows of one recording do not overlap, but may be in support set and queries of a task",
                "some studies hold that `normal` was recorded 48,000 times a second, which alone may tell it",
            ],
        )

    def _recording(self, path: Path, number: int) -> np.ndarray:
        """The acceleration at the drive end (n,). A file may hold a second recording: that of its number counts."""
        try:
            found = io.loadmat(path, variable_names=[name for name, *_ in io.whosmat(path) if name.endswith("DE_time")])
        except Exception as error:  # of whatever type scipy raises for damaged files
            raise UserError(f"{self.called}: '{path}' is no readable MATLAB file: {error}") from None
        names = [name for name in found if name.endswith("_DE_time")]
        own = [name for name in names if name == f"X{number:03}_DE_time"] or names
        if len(own) != 1:
            raise UserError(f"{self.called}: '{path}' holds {few(names) or 'nothing'}; allowed: X{number:03}_DE_time")
        return np.asarray(found[own[0]], np.float64).ravel()


def _numbers() -> list[int]:
    return [first + load for first in FIRST.values() for load in range(len(LOADS))]
