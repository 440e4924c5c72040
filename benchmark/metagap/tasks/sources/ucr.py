"""Whole series with a class each, from files in the forms of the UCR/UEA archive."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from metagap.errors import UserError
from metagap.tasks.folders import data_folder
from metagap.tasks.records import Records
from metagap.tasks.sources.archives import opened
from metagap.tasks.sources.columns import ordered
from metagap.tasks.sources.download import Remote
from metagap.tasks.sources.frames import located
from metagap.tasks.sources.series_files import ENDINGS, parsed, read_series
from metagap.tasks.sources.stored_records import StoredRecords

STORE = "https://www.timeseriesclassification.com/aeon-toolkit"
NAME = re.compile(r"\w+")
"""Of a data set in the archive."""

ALLOWED = "a .ts or .arff file, or NAME of a pair NAME_TRAIN and NAME_TEST of such"


class UCRSource(StoredRecords):
    """Series in a form of the UCR/UEA archive, as `ucr:FILE` or, for both files of a data set, `ucr:NAME`.

    What is not here is fetched by `metagap data get ucr:NAME`, as a zip of both files. An example is a whole series,
    (channels, time). Of a pair, the domains are "train" and "test".
    """

    title = "UCR"
    licence = "yours, or that of the data set; the archive states none"
    citation = (
        "yours, or that of the data set; Dau et al. (2019), The UCR time series archive; Bagnall et al. (2018), The "
        "UEA multivariate time series classification archive"
    )
    download_size = "some kB to some 100 MB each"
    named_by = "file"
    chooses_kind = False
    allows_missing = True

    kind: Literal["classification"] = "classification"  # pyright: ignore[reportIncompatibleVariableOverride]
    file: str = Field(
        description="a .ts or .arff file; or NAME, for NAME_TRAIN and NAME_TEST, here or in a folder or zip NAME"
    )
    length: PositiveInt | None = Field(
        default=None,
        description="steps of an example: longer series are cut, shorter ones end with missing values; default: all "
        "must be of one length",
    )

    @property
    def called(self) -> str:
        """As in a suite."""
        return f"ucr:{self.file}"

    def addresses(self) -> list[Remote]:
        """The zip of a data set that is named."""
        return [Remote(f"{self.file}/{self.file}.zip", f"{STORE}/{self.file}.zip")] if NAME.fullmatch(self.file) else []

    def paths(self) -> list[Path]:
        """The files, or the zip that both are in."""
        return [*dict.fromkeys(path for path, _ in self._files().values())]

    def records(self) -> Records:
        """All series."""
        read = []
        for domain, (path, member) in self._files().items():
            if member:
                found = parsed(opened(path, self.called).one(member), f"{path}/{member}", self.called)
            else:
                found = read_series(path, self.called)
            read += [(domain, one) for one in found]
        lengths = sorted({len(channel) for _, one in read for channel in one.channels})
        counts = sorted({len(one.channels) for _, one in read})
        if len(counts) > 1:
            raise UserError(
                f"{self.called}: series have {counts[0]} to {counts[-1]} channels; allowed: the same number"
            )
        if len(lengths) > 1 and self.length is None:
            raise UserError(
                f"{self.called}: series have {lengths[0]} to {lengths[-1]} steps; set `length`, to which they are cut "
                "or filled up with missing values"
            )
        x = np.full((len(read), counts[0], self.length or lengths[0]), np.nan, np.float32)
        for row, (_, one) in zip(x, read, strict=True):
            for channel, values in zip(row, one.channels, strict=True):
                channel[: len(values)] = values[: x.shape[2]]
        notes = []
        if lengths != [x.shape[2]]:
            notes.append(f"series of {lengths[0]} to {lengths[-1]} steps are cut or filled up to {x.shape[2]}")
        if missing := int(np.isnan(x).sum()):
            notes.append(f"{missing} of {x.size} values are missing, and count as the mean")
        labels = [one.label for _, one in read]
        classes = ordered(labels)
        domain = np.array([domain for domain, _ in read]) if read[0][0] else None
        return Records(x, np.array([classes.index(label) for label in labels]), classes, domain=domain, notes=notes)

    def _files(self) -> dict[str, tuple[Path, str]]:
        """The file of each domain, and its name in it where it is a zip. Raises UserError where one is missing."""
        if self.file.lower().endswith(ENDINGS) or not self.file.strip():
            return {"": (located(self.file, self.called, ENDINGS, ALLOWED), "")}
        name = Path(self.file).name
        for folder in (Path(self.file).expanduser(), data_folder() / self.file):
            for place in (folder.parent, folder):
                for ending in ENDINGS:
                    pair = {part: (place / f"{name}_{part.upper()}{ending}", "") for part in ("train", "test")}
                    there = [path for path, _ in pair.values() if path.is_file()]
                    if len(there) == 1:
                        raise UserError(f"{self.called}: there is '{there[0]}' without the other of the pair")
                    if there:
                        return pair
                if (packed := place / f"{name}.zip").is_file():
                    return {part: (packed, f"{name}_{part.upper()}.ts") for part in ("train", "test")}
        fetch = f"; or fetch it with `metagap data get {self.called}`" if self.addresses() else ""
        raise UserError(
            f"{self.called}: there is no such file or pair, here or in '{data_folder()}'; allowed: {ALLOWED}{fetch}"
        )
