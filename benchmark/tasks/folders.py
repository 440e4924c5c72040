"""Where downloaded data lie, and where decoded images are kept between runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

DATA_VARIABLE = "METAGAP_DATA"


def data_folder() -> Path:
    """The folder of downloaded data: $METAGAP_DATA (which `--data` sets), else `data` in the user's cache folder."""
    chosen = os.environ.get(DATA_VARIABLE)
    return Path(chosen) if chosen else user_cache_path("metagap") / "data"


def cached(key: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of `make()`, kept in the user's cache folder under `key` (which must name everything they depend on).

    Written atomically; a cache folder that cannot be written to, or a damaged file in it, only costs time.
    """
    path = user_cache_path("metagap") / "banks" / f"{key}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, EOFError):
        arrays = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez(file, **arrays)
        Path(file.name).replace(path)
    except OSError:
        pass
    return arrays
