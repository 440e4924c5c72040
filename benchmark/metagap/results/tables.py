"""Data frames and arrays as files of the store, checked when they are read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from metagap.memory import require, require_arrays
from metagap.results.files import parsed, write_bytes

NUMBER = 8
"""Bytes of a number in memory."""


class Table(NamedTuple):
    """Some columns of a data frame of n rows.

    texts: column -> (codes, names): the text of a row is that of `names` at its code, (n,). numbers: column -> (n,).
    """

    texts: dict[str, tuple[np.ndarray, list[str]]]
    numbers: dict[str, np.ndarray]


def write_frame(path: Path, frame: pd.DataFrame) -> str:
    """Write a data frame as Parquet, with a checksum of every page; returns the digest of the file."""
    floats = list(frame.select_dtypes("float"))  # their bytes side by side, first of all with first: half the size
    options: dict[str, Any] = {
        "use_dictionary": [name for name in frame if name not in floats],
        "use_byte_stream_split": floats,
    }
    data = io.BytesIO()
    frame.to_parquet(data, index=False, compression="zstd", compression_level=9, write_page_checksum=True, **options)
    return write_bytes(path, data.getvalue())


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> str:
    """Write named arrays as .npz, the same ones always as the same bytes; returns the digest of the file."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_DEFLATED)
    return write_bytes(path, data.getvalue())


def read_frame(path: Path, digest: str | None = None) -> pd.DataFrame:
    """Read a data frame; raises DamagedError where it is damaged."""

    def parse(data: bytes) -> pd.DataFrame:
        with parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            _require_rows(file.metadata, path)
            return file.read(use_threads=False).to_pandas()

    return parsed(path, digest, parse)


def read_columns(path: Path, digest: str | None, columns: Sequence[str], texts: Sequence[str]) -> Table:
    """Read some columns of a data frame; `texts` says which of them are texts.

    Raises DamagedError where it is damaged, or lacks one.
    """

    def parse(data: bytes) -> Table:
        options: dict[str, Any] = {"page_checksum_verification": True, "read_dictionary": list(texts)}
        with parquet.ParquetFile(pa.BufferReader(data), **options) as file:
            _require_rows(file.metadata, path)
            names = file.schema_arrow.names
            if missing := [name for name in columns if name not in names]:
                raise ValueError(f"it lacks the column {', '.join(missing)}")
            table = file.read(list(columns), use_threads=False)
        numbers = {name: table[name].to_numpy() for name in columns if name not in texts}
        return Table({name: _coded(table[name]) for name in texts}, numbers)

    return parsed(path, digest, parse)


def _coded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    if column.null_count:
        raise ValueError("a text is missing in it")
    whole = cast("pa.DictionaryArray", column.dictionary_encode().unify_dictionaries().combine_chunks())
    return whole.indices.to_numpy().astype(int), whole.dictionary.to_pylist()


def read_arrays(path: Path, digest: str | None = None) -> dict[str, np.ndarray]:
    """Read named arrays; raises DamagedError where they are damaged."""

    def parse(data: bytes) -> dict[str, np.ndarray]:
        require_arrays(io.BytesIO(data), f"'{path}'")
        return dict(np.load(io.BytesIO(data), allow_pickle=False))

    return parsed(path, digest, parse)


def _require_rows(about: parquet.FileMetaData, path: Path) -> None:
    """Raise UserError where a table would fill memory: what repeats itself takes next to nothing in a file."""
    require(2 * NUMBER * about.num_rows * about.num_columns, f"'{path}'")
