"""Sounds of the user's own, from a folder with a folder for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from metagap.errors import UserError
from metagap.tasks.folders import data_folder, files_in, stamp
from metagap.tasks.record_source import RecordSource
from metagap.tasks.records import Records
from metagap.tasks.sources.columns import ordered
from metagap.tasks.sources.mel import filters, log_mel
from metagap.tasks.sources.sound import ENDINGS, read_sound


class AudioSource(RecordSource):
    """Sounds of your own, as `audio:FOLDER`: WAV or FLAC files in a folder for each class.

    An example is a spectrogram (mels, frames), the logarithm of the power in bands of HTK's mel scale, of one channel.
    """

    licence = "yours"
    citation = "yours"
    named_by = "folder"
    chooses_kind = False

    kind: Literal["classification"] = "classification"  # pyright: ignore[reportIncompatibleVariableOverride]
    folder: str = Field(description="a folder of .wav and .flac files")
    layout: Literal["class", "domain/class", "task/class"] = Field(
        default="class", description="what the folders in it stand for, from the outermost to the file's"
    )
    rate: int = Field(default=16000, ge=1000, le=192_000, description="samples a second, to which all are resampled")
    seconds: float = Field(
        default=1.0, ge=0.1, le=60, description="of an example: longer sounds are cut, shorter ones end with silence"
    )
    mels: int = Field(default=40, ge=1, le=512, description="bands")

    @property
    def called(self) -> str:
        """As in a suite."""
        return f"audio:{self.folder}"

    def stamp(self) -> Any:
        """That of the folder."""
        return stamp(self._folder)

    def records(self) -> Records:
        """All sounds, in the order of their paths."""
        try:
            filters(self.rate, self.mels)
        except ValueError as error:
            raise UserError(f"{self.called}: mels = {self.mels}: {error}; allowed: fewer") from None
        names = [name for name in sorted(files_in(self._folder)) if name.lower().endswith(ENDINGS)]
        if not names:
            raise UserError(f"{self.called}: there are no .wav or .flac files in '{self._folder}'")
        outer = self.layout.split("/")
        for name in names:
            if name.count("/") != len(outer):
                raise UserError(
                    f"{self.called}: '{name}' is not in {self.layout.upper()}/FILE; allowed: so, or another layout"
                )
        count = round(self.seconds * self.rate)
        sounds = [read_sound(self._folder / name, self.rate, self.called) for name in names]
        x = [log_mel(torch.from_numpy(_fitted(sound, count)), self.rate, self.mels) for sound in sounds]
        notes = []
        for what, number in (
            ("cut", sum(len(sound) > count for sound in sounds)),
            ("filled up with silence", sum(len(sound) < count for sound in sounds)),
        ):
            if number:
                notes.append(f"{number} of {len(names)} sounds are {what}, to {self.seconds:g} s")
        of = dict(zip(outer, np.array([name.split("/")[:-1] for name in names]).T, strict=True))
        classes = ordered(of["class"].tolist())
        y = np.array([classes.index(name) for name in of["class"]])
        return Records(torch.stack(x).numpy(), y, classes, of.get("task"), of.get("domain"), notes=notes)

    @property
    def _folder(self) -> Path:
        for path in (Path(self.folder).expanduser(), data_folder() / self.folder):
            if self.folder.strip() and path.is_dir():
                return path
        raise UserError(f"{self.called}: there is no such folder, here or in '{data_folder()}' (--data)")


def _fitted(sound: np.ndarray, count: int) -> np.ndarray:
    """The first `count` samples, float32."""
    return np.pad(sound[:count], (0, max(0, count - len(sound)))).astype(np.float32)
