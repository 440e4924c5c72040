"""Files of sound as samples."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from metagap.errors import UserError

ENDINGS = (".wav", ".flac")


def read_sound(file: Path | bytes, name: str, rate: int, called: str) -> np.ndarray:
    """Samples (n,) in -1..1, the mean of all channels, at `rate` a second, of a file or its content.

    Raises UserError, which has its name, where the file is damaged or empty, or is a FLAC file and the extra that reads
    it is missing.
    """
    content = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        samples, own = _wav(content) if name.lower().endswith(".wav") else _flac(content, name, called)
    except UserError:
        raise
    except Exception as error:  # of whatever type the libraries raise for damaged files
        raise UserError(f"{called}: '{name}' cannot be read: {str(error).strip() or type(error).__name__}") from None
    if not samples.size or not np.isfinite(samples).all():
        raise UserError(
            f"{called}: '{name}' {'holds values that are no numbers' if samples.size else 'holds no sound'}"
        )
    mono = samples.reshape(len(samples), -1).mean(1)
    common = math.gcd(rate, own)
    return mono if own == rate else resample_poly(mono, rate // common, own // common)


def _wav(content: Path | io.BytesIO) -> tuple[np.ndarray, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks that hold no sound
        warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)  # a truncated file
        own, samples = wavfile.read(content)
    if samples.dtype.kind == "f":
        return samples.astype(np.float64), own
    if samples.dtype == np.uint8:
        return (samples - 128.0) / 128, own
    return samples / -float(np.iinfo(samples.dtype).min), own  # 24 bits are the upper ones of 32


def _flac(content: Path | io.BytesIO, name: str, called: str) -> tuple[np.ndarray, int]:
    try:
        import soundfile  # pyright: ignore[reportMissingImports] - an extra
    except ImportError:
        raise UserError(f"{called}: '{name}' needs soundfile: pip install 'metagap[audio]'; WAV files do not") from None
    return soundfile.read(content)
