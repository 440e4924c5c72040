"""Files of tables as data frames: CSV and TSV in whatever encoding and with whatever delimiter, parquet and feather."""

from __future__ import annotations

import gzip
import io
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from metagap.errors import UserError
from metagap.tasks.folders import data_folder

TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
BINARY = (".parquet", ".pq", ".feather", ".arrow")
ALLOWED = "a file that ends in .csv, .tsv or .txt (also .csv.gz, .tsv.gz), .parquet or .feather"

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "?", "-")
"""What stands for a missing value in a text file, but not in columns of names, where only the empty text does."""

NUMBER = re.compile(r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?")


class Frame(NamedTuple):
    """A table of a file."""

    table: pd.DataFrame
    """Texts are objects; columns of text files that hold nothing but numbers are numbers."""
    decimal_comma: bool
    """Whether fields are divided by semicolons, as where commas are in numbers."""
    notes: list[str]
    """How it was read, where that is not plain."""


def located(file: str, called: str, endings: tuple[str, ...] = (*TEXT, *BINARY), allowed: str = ALLOWED) -> Path:
    """A file here or in the data folder. Raises UserError where there is none, or of no form that is read."""
    if not file.strip():
        raise UserError(f"{called}: no file is named; allowed: {allowed}")
    for path in (Path(file).expanduser(), data_folder() / file):
        try:
            if path.is_file():
                if path.name.lower().endswith(endings):
                    return path
                raise UserError(f"{called}: '{path}' is of no form that is read; allowed: {allowed}")
            if path.exists():
                raise UserError(f"{called}: '{path}' is no file; allowed: {allowed}")
        except (OSError, ValueError):  # what can be no path: too long, or with a null in it
            pass
    raise UserError(f"{called}: there is no such file, here or in '{data_folder()}' (--data)")


def read_frame(
    path: Path,
    called: str,
    names: frozenset[str] = frozenset(),
    missing: tuple[str, ...] = (),
    headless: bool = False,
) -> Frame:
    """The table in a file.

    names: columns whose values are names, so that they stay as they are written ("007"). missing: further texts that
    stand for a missing value. headless: whether a first row of numbers, but for one cell, is a row like the others,
    and columns are called "column 1", ...; numbers that count the columns are heads. Raises UserError for a file that
    is damaged, empty or no table.
    """
    try:
        if path.name.lower().endswith(BINARY):
            frame = Frame(_binary(path), False, [])
        else:
            frame = _text(path, called, names, missing, headless)
    except UserError:
        raise
    except pd.errors.EmptyDataError:
        raise UserError(f"{called}: '{path}' is empty") from None
    except (OSError, EOFError, ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise UserError(f"{called}: '{path}' is not a readable table: {str(error).strip().splitlines()[0]}") from None
    table = frame.table
    if not len(table):
        raise UserError(f"{called}: '{path}' has no rows below its {len(table.columns)} columns")
    heads = Counter(table.columns)
    if twice := [head for head, count in heads.items() if count > 1]:
        raise UserError(f"{called}: '{path}' has {heads[twice[0]]} columns '{twice[0]}'; allowed: one of a name")
    return frame


def _binary(path: Path) -> pd.DataFrame:
    read = pd.read_parquet if path.suffix.lower() in (".parquet", ".pq") else pd.read_feather
    table = read(path)
    if any(table.index.names):
        table = table.reset_index()
    return table.set_axis([str(head) for head in table.columns], axis=1)


def _text(path: Path, called: str, names: frozenset[str], missing: tuple[str, ...], headless: bool) -> Frame:
    data = path.read_bytes()
    text, notes = _decoded(gzip.decompress(data) if path.suffix.lower() == ".gz" else data, path, called)
    first = text.lstrip().partition("\n")[0]
    delimiter = "\t" if ".tsv" in path.name.lower() else max(",;\t|", key=first.count)
    heads = pd.read_csv(io.StringIO(text), sep=delimiter, nrows=1, header=None, dtype=str, keep_default_na=False)
    columns = [str(head).strip() for head in heads.iloc[0]]
    bare = headless and _of_numbers(columns)
    if bare:
        notes.append("there are no heads: the first row is of numbers")
        columns = [f"column {place}" for place in range(1, len(columns) + 1)]
    distinct = [f"{place} {head}" for place, head in enumerate(columns)]  # some may have no name, or the same one
    as_written = [one for one, head in zip(distinct, columns, strict=True) if head in names]
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows that are longer than the head
        table = pd.read_csv(
            io.StringIO(text),
            sep=delimiter,
            decimal="," if delimiter == ";" else ".",
            names=distinct,
            header=None if bare else 0,
            index_col=False,
            skipinitialspace=True,
            low_memory=False,
            dtype=dict.fromkeys(as_written, str),
            keep_default_na=False,
            na_values={one: [""] if one in as_written else [*MISSING, *missing] for one in distinct},
        )
    table = table.set_axis(columns, axis=1)
    unnamed = [place for place, head in enumerate(columns) if not head]
    if unnamed:
        count = "a column without a name was" if len(unnamed) == 1 else f"{len(unnamed)} columns without names were"
        notes.append(f"{count} left out")
        table = table.iloc[:, [place for place in range(len(columns)) if place not in unnamed]]
    return Frame(table, delimiter == ";", notes)


def _of_numbers(cells: list[str]) -> bool:
    """Whether cells are numbers, but for one at most, which do not just count."""
    numbers = [cell for cell in cells if NUMBER.fullmatch(cell)]
    counts = any(numbers == [str(i + first) for i in range(len(numbers))] for first in (0, 1))
    return len(numbers) >= max(2, len(cells) - 1) and not counts


def _decoded(data: bytes, path: Path, called: str) -> tuple[str, list[str]]:
    """The text of a file, and how it was decoded where it is not Unicode."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16"), []
    if b"\0" in data[:4096]:
        raise UserError(f"{called}: '{path}' is not a readable table: it holds no text; allowed: {ALLOWED}")
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), ["read as Windows-1252, for it is no UTF-8"]
