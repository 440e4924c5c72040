"""Two Japanese vowels, spoken by nine men."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field, PositiveInt

from metagap.tasks.records import Records
from metagap.tasks.sources.packaged import PackagedSource
from metagap.tasks.sources.series_files import read_series
from metagap.tasks.sources.windows import resampled

SESSIONS = {"first": "TRAIN", "later": "TEST"}
"""The domains, and what the archive calls them."""


class Vowels(PackagedSource):
    """The vowels /ae/ of nine speakers, as 12 coefficients of linear prediction over 7 to 29 frames: who speaks?

    A class is a speaker. The domain is when an utterance was recorded: 30 of each speaker at "first", which the archive
    calls its training set, and 24 to 88 "later", its test set. A series is squeezed or stretched to `length` frames.
    """

    licence = "CC BY 4.0 (UCI Machine Learning Repository); shipped with the package sktime"
    citation = (
        "Kudo, Toyama, Shimbo (1999), Multidimensional curve classification using passing-through regions, Pattern "
        "Recognition Letters"
    )

    length: PositiveInt = Field(default=16, description="frames of an utterance, interpolated linearly")

    def paths(self) -> list[Path]:
        """The files that sktime ships."""
        folder = "datasets/data/JapaneseVowels/JapaneseVowels"
        return self.shipped("sktime", *(f"{folder}_{name}.ts" for name in SESSIONS.values()))

    def records(self) -> Records:
        """All utterances, (n, 12, length)."""
        x, y, domain = [], [], []
        for path, session in zip(self.paths(), SESSIONS, strict=True):
            for channels, speaker in read_series(path, self.called):
                x.append([resampled(values, self.length) for values in channels])
                y.append(int(speaker) - 1)
                domain.append(session)
        names = [f"speaker {i + 1}" for i in range(max(y) + 1)]
        return Records(np.array(x, np.float32), np.array(y), names, domain=np.array(domain))
