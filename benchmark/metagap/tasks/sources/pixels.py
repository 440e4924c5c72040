"""Images in a table: a row for each, with its class and its grey pixels in columns, or in one column as text."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from metagap.errors import UserError
from metagap.tasks.sources import columns
from metagap.tasks.sources.arrays import Labelled
from metagap.tasks.sources.frames import read_frame
from metagap.tasks.sources.labels import COLUMNS
from metagap.tasks.sources.layout import few, part_of

ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")

TEXTS = ("pixels", "pixel", "image", "img")
"""Heads of a column that has all pixels of an image as text."""


def read_pixels(path: Path, called: str, label_column: str | None) -> tuple[dict[str, Labelled], list[str]]:
    """The images of a table, by part, and how it was read.

    label_column: that of the classes; None: one with a head as in `labels.COLUMNS`, or the first where there are no
    heads. Raises UserError where that, or what the pixels are, is not clear.
    """
    where = f"{called}: '{path}'"
    heads = COLUMNS["class name"] + COLUMNS["label"]
    as_written = {spelt for head in heads for spelt in (head, head.upper(), head.capitalize())} | {label_column or ""}
    table, _, notes = read_frame(path, called, frozenset(as_written), headless=True)
    known = {_plain(head): head for head in table.columns}
    label = known.get(_plain(label_column)) if label_column else _first(known, heads)
    if label is None and label_column is None and "column 1" in table.columns:
        label = "column 1"
    if label is None:
        wanted = f"label_column = '{label_column}'" if label_column else "it is not clear which column has the classes"
        raise UserError(f"{where}: {wanted}; found: {few(table.columns)}; allowed: set label_column to one of them")
    part = _first(known, COLUMNS["part"])
    names = columns.names(table[label])
    if missing := int(names.isna().sum()):
        raise UserError(f"{where}: column '{label}' lacks {missing} classes")
    rest = table.drop(columns=[name for name in (label, part) if name is not None])
    images, of = _images(rest, where, notes)
    notes.append(f"classes are column '{label}', pixels {of}, as {images.shape[1]} x {images.shape[2]}")
    labels = names.to_numpy(dtype=str)
    if part is None:
        return {"": Labelled(images, labels, {})}, notes
    words = columns.names(table[part]).fillna("")
    parts = np.array([part_of(word) for word in words])
    if (parts == "").any():
        word = words[parts == ""].iloc[0]
        raise UserError(f"{where}: column '{part}': no part '{word}'; allowed: train, val, test")
    return {name: Labelled(images[parts == name], labels[parts == name], {}) for name in np.unique(parts)}, notes


def _plain(head: str) -> str:
    """A head as `COLUMNS` has it."""
    return head.strip().casefold().replace(" ", "_")


def _first(known: dict[str, str], heads: tuple[str, ...]) -> str | None:
    return next((known[head] for head in heads if head in known), None)


def _images(rest: pd.DataFrame, where: str, notes: list[str]) -> tuple[np.ndarray, str]:
    """Images (n, H, W), and the name of the column or columns of pixels."""
    texts = [name for name in rest.columns if name.casefold() in TEXTS and columns.is_text(rest[name])]
    if texts:
        head = texts[0]
        try:
            pixels = np.array([np.array(text.split(), np.float64) for text in rest[head].astype(str)])
        except ValueError:
            raise UserError(
                f"{where}: column '{head}': allowed: numbers with spaces between them, as many in each row"
            ) from None
        used, of = [head], f"column '{head}'"
    else:
        ids = {*COLUMNS["file"], *COLUMNS["id"]}
        used = [
            name for name in rest.columns if pd.api.types.is_numeric_dtype(rest[name]) and name.casefold() not in ids
        ]
        pixels = rest[used].to_numpy()
        of = f"'{used[0]}' to '{used[-1]}'" if used else ""
    side = math.isqrt(pixels.shape[1])
    if not side or side * side != pixels.shape[1]:
        raise UserError(
            f"{where}: {pixels.shape[1]} pixels, {of or 'of no column'}, are no square grey image; allowed: a column "
            "for each pixel, by rows, and none of other numbers; for others an .npz file"
        )
    if left := [name for name in rest.columns if name not in used]:
        notes.append(f"columns not read: {few(left)}")
    if np.isfinite(pixels).all() and (pixels == np.floor(pixels)).all() and pixels.min() >= 0:
        pixels = pixels.astype(np.min_scalar_type(int(pixels.max())))
    return pixels.reshape(-1, side, side), of
