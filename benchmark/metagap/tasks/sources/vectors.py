"""Inputs that were computed elsewhere, such as the features of a pretrained network: an array with a row for each."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from metagap.errors import UserError

ENDING = ".npy"


def is_file(vectors: str) -> bool:
    """Whether `vectors` names a file, and not a column."""
    return vectors.lower().endswith(ENDING)


def of_file(path: Path, rows: int, called: str) -> np.ndarray:
    """The array of a .npy file (rows, features, ...). Raises UserError where it is none, or has not so many rows."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{called}: vectors: '{path}' is no readable array: {error}") from None
    if not isinstance(array, np.ndarray):
        raise UserError(
            f"{called}: vectors: '{path}' is an archive of arrays; allowed: one array, as np.save writes it"
        )
    if array.ndim < 2 or array.dtype.kind not in "fiub" or not array.size:
        raise UserError(
            f"{called}: vectors: '{path}' holds {array.dtype} {array.shape}; allowed: numbers (rows, features, ...)"
        )
    if len(array) != rows:
        raise UserError(f"{called}: vectors: '{path}' has {len(array)} rows, and the table {rows}; allowed: as many")
    return array


def of_column(column: pd.Series, called: str) -> np.ndarray:
    """The vectors that a column holds (rows, features), none missing. Raises UserError unless all are of one length."""
    if any(pd.api.types.is_scalar(value) for value in column):
        raise UserError(
            f"{called}: vectors: column '{column.name}' holds no lists of numbers, as columns of .parquet files may"
        )
    lengths = sorted({len(value) for value in column})
    if len(lengths) > 1 or not lengths[0]:
        raise UserError(
            f"{called}: vectors: column '{column.name}' has {lengths[0]} to {lengths[-1]} numbers in a row; allowed: "
            "as many in each"
        )
    try:
        return np.stack([np.asarray(value, np.float64) for value in column])
    except (TypeError, ValueError):
        raise UserError(
            f"{called}: vectors: column '{column.name}' holds lists of something else than numbers"
        ) from None


def checked(vectors: np.ndarray, called: str) -> np.ndarray:
    """Float32 vectors. Raises UserError unless all are finite."""
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(vectors, np.float32)
    if bad := int((~np.isfinite(found)).sum()):
        raise UserError(f"{called}: vectors: {bad} of {found.size} values are missing, infinite or too large")
    return found
