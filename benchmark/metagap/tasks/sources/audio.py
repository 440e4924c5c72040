"""Sounds of the user's own, from a folder with a folder for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from metagap.errors import UserError
from metagap.tasks.folders import data_folder, files_in, stamp
from metagap.tasks.records import Records
from metagap.tasks.sources.columns import ordered
from metagap.tasks.sources.sound import ENDINGS, read_sound
from metagap.tasks.sources.spectrograms import Spectrograms


class AudioSource(Spectrograms):
    """Sounds of your own, as `audio:FOLDER`: WAV or FLAC files in a folder for each class.

    An example is a spectrogram (mels, frames), the logarithm of the power in bands of HTK's mel scale, of one channel.
    """

    licence = "yours"
    citation = "yours"
    named_by = "folder"

    folder: str = Field(description="a folder of .wav and .flac files")
    layout: Literal["class", "domain/class", "task/class"] = Field(
        default="class", description="what the folders in it stand for, from the outermost to the file's"
    )

    @property
    def called(self) -> str:
        """As in a suite."""
        return f"audio:{self.folder}"

    def stamp(self) -> Any:
        """That of the folder."""
        return stamp(self._folder)

    def records(self) -> Records:
        """All sounds, in the order of their paths."""
        self.check_bands()
        names = [name for name in sorted(files_in(self._folder)) if name.lower().endswith(ENDINGS)]
        if not names:
            raise UserError(f"{self.called}: there are no .wav or .flac files in '{self._folder}'")
        outer = self.layout.split("/")
        for name in names:
            if name.count("/") != len(outer):
                raise UserError(
                    f"{self.called}: '{name}' is not in {self.layout.upper()}/FILE; allowed: so, or another layout"
                )
        paths = [self._folder / name for name in names]
        x, notes = self.spectrograms(read_sound(path, str(path), self.rate, self.called) for path in paths)
        of = dict(zip(outer, np.array([name.split("/")[:-1] for name in names]).T, strict=True))
        classes = ordered(of["class"].tolist())
        y = np.array([classes.index(name) for name in of["class"]])
        return Records(x, y, classes, of.get("task"), of.get("domain"), notes=notes)

    @property
    def _folder(self) -> Path:
        for path in (Path(self.folder).expanduser(), data_folder() / self.folder):
            if self.folder.strip() and path.is_dir():
                return path
        raise UserError(f"{self.called}: there is no such folder, here or in '{data_folder()}' (--data)")
