"""Files of the store: written atomically, their digests known, and checked when they are read."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet
from rich.filesize import decimal

from metagap import digests
from metagap.errors import FULL, NoRoomError, UserError
from metagap.memory import FREE, require, require_arrays
from metagap.results.lease import guard
from metagap.writing import write_whole

SEAL = b"\nmetagap sha256 "
"""What stands between the content of a sealed file and its digest."""
NUMBER = 8
"""Bytes of a number in memory."""


class DamagedError(UserError):
    """A file of the store that is not what was written."""


class Table(NamedTuple):
    """Some columns of a data frame of n rows.

    texts: column -> (codes, names): the text of a row is that of `names` at its code, (n,). numbers: column -> (n,).
    """

    texts: dict[str, tuple[np.ndarray, list[str]]]
    numbers: dict[str, np.ndarray]


def write_bytes(path: Path, data: bytes) -> str:
    """Replace a file at one go, so that there is never half of one; returns its digest.

    Raises UserError where it cannot be written, NoRoomError for one on a full disk, and LostError where another process
    took over.
    """
    guard(path)
    try:
        write_whole(path, data)
    except OSError as error:
        kind = NoRoomError if error.errno in FULL else UserError
        raise kind(f"'{path}' cannot be written: {error.strerror or error}") from None
    return digests.of_bytes(data)


def write_json(path: Path, value: Any) -> str:
    """Write a plain value; returns the digest of the file."""
    return write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def write_signed(path: Path, value: dict[str, Any]) -> str:
    """Write a plain table with a digest of its own content, `digest`; returns the digest of the file."""
    return write_json(path, {**value, "digest": _content(value)})


def write_sealed(path: Path, data: bytes) -> str:
    """Write data with their digest behind them, which readers of zip files and so torch pass over."""
    return write_bytes(path, data + SEAL + digests.of_bytes(data).encode())


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


def read_bytes(path: Path, digest: str | None = None, most: int | None = None) -> bytes:
    """The content of a file; raises DamagedError where it is not that of the digest, or cannot be read."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe, for one, would be waited for
            raise DamagedError(f"'{path}' cannot be read: it is not a file")
        if most is not None and about.st_size > most:
            raise DamagedError(f"'{path}' cannot be read: it has {decimal(about.st_size)}; allowed: {decimal(most)}")
        data = path.read_bytes()
    except OSError as error:
        raise DamagedError(f"'{path}' cannot be read: {error.strerror or error}") from None
    if digest is not None and digests.of_bytes(data) != digest:
        raise DamagedError(f"'{path}' is damaged: it is not what was written, by its sha256")
    return data


def read_json(path: Path, digest: str | None = None) -> dict[str, Any]:
    """Read a plain table; raises DamagedError where it is damaged."""
    value = _parsed(path, digest, json.loads, FREE)
    if not isinstance(value, dict):
        raise DamagedError(f"'{path}' cannot be read: it holds no table")
    return value


def read_signed(path: Path) -> dict[str, Any]:
    """Read a table written by `write_signed`; raises DamagedError where it is not what was written."""
    value = read_json(path)
    if value.pop("digest", None) != _content(value):
        raise DamagedError(f"'{path}' is damaged: it is not what was written, by its digest")
    return value


def read_sealed(path: Path) -> bytes:
    """Data written by `write_sealed`; raises DamagedError where they are not what was written."""
    data = read_bytes(path)
    content, seal, digest = data.rpartition(SEAL)
    if not seal:
        raise DamagedError(f"'{path}' is damaged, or was written by an older version: it ends without a digest")
    if digest.decode(errors="replace") != digests.of_bytes(content):
        raise DamagedError(f"'{path}' is damaged: it is not what was written, by its sha256")
    return content


def read_frame(path: Path, digest: str | None = None) -> pd.DataFrame:
    """Read a data frame; raises DamagedError where it is damaged."""

    def parse(data: bytes) -> pd.DataFrame:
        with parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
            _require_rows(file.metadata, path)
            return file.read(use_threads=False).to_pandas()

    return _parsed(path, digest, parse)


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

    return _parsed(path, digest, parse)


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

    return _parsed(path, digest, parse)


def set_aside(path: Path) -> Path:
    """Rename a file that is of no use, so that nothing is lost; returns what it is called now."""
    guard(path)
    number, aside = 1, path.with_name(f"{path.name}.damaged")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    return path.rename(aside)


def _content(value: dict[str, Any]) -> str:
    return digests.of_value(value, sort_keys=True)


def _require_rows(about: parquet.FileMetaData, path: Path) -> None:
    """Raise UserError where a table would fill memory: what repeats itself takes next to nothing in a file."""
    require(2 * NUMBER * about.num_rows * about.num_columns, f"'{path}'")


def _parsed(path: Path, digest: str | None, parse: Callable[[bytes], Any], most: int | None = None) -> Any:
    data = read_bytes(path, digest, most)
    try:
        return parse(data)
    except Exception as error:  # a damaged file may raise anything
        raise DamagedError(f"'{path}' cannot be read: {error}") from None
