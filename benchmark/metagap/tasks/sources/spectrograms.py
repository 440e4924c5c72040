"""Sounds as spectrograms: what all sources of sounds have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from metagap.errors import UserError
from metagap.tasks.record_source import RecordSource
from metagap.tasks.sources.mel import filters, log_mel


class Spectrograms(RecordSource):
    """A source of sounds with a class each. A subclass reads them and calls `spectrograms`.

    An example is a spectrogram (mels, frames), the logarithm of the power in bands of HTK's mel scale, of one channel.
    """

    chooses_kind = False

    kind: Literal["classification"] = "classification"  # pyright: ignore[reportIncompatibleVariableOverride]
    rate: int = Field(default=16000, ge=1000, le=192_000, description="samples a second, to which all are resampled")
    seconds: float = Field(
        default=1.0, ge=0.1, le=60, description="of an example: longer sounds are cut, shorter ones end with silence"
    )
    mels: int = Field(default=40, ge=1, le=512, description="bands")

    def check_bands(self) -> None:
        """Raise UserError unless every band holds a frequency; before sounds are read."""
        try:
            filters(self.rate, self.mels)
        except ValueError as error:
            raise UserError(f"{self.called}: mels = {self.mels}: {error}; allowed: fewer") from None

    def spectrograms(self, sounds: Iterable[np.ndarray]) -> tuple[np.ndarray, list[str]]:
        """Examples (n, mels, frames) of n sounds (samples,), and how many were cut or filled up."""
        count = round(self.seconds * self.rate)
        lengths, found = [], []
        for sound in sounds:
            lengths.append(len(sound))
            fitted = np.pad(sound[:count], (0, max(0, count - len(sound)))).astype(np.float32)
            found.append(log_mel(torch.from_numpy(fitted), self.rate, self.mels))
        notes = []
        for what, number in (
            ("cut", sum(length > count for length in lengths)),
            ("filled up with silence", sum(length < count for length in lengths)),
        ):
            if number:
                notes.append(f"{number} of {len(lengths)} sounds are {what}, to {self.seconds:g} s")
        return torch.stack(found).numpy(), notes
