"""Which class each image file is in, by tables of the user's: CSV files with a column of files and one of classes."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from metagap.errors import UserError
from metagap.tasks.sources.layout import Place, few, part_of, settled

COLUMNS = {
    "file": ("file", "filename", "file_name", "image", "image_name", "image_file", "image_id", "path", "filepath",
             "file_path", "image_path"),
    "id": ("id",),
    "class name": ("class_name", "classname", "label_name"),
    "label": ("label", "class", "category", "target"),
    "part": ("split", "part", "subset"),
}  # fmt: skip
"""The column heads that are understood, in any capitals."""

SUFFIXES = (".csv", ".tsv")

SIDE_FILES = {*SUFFIXES, "", ".db", ".html", ".ini", ".json", ".md", ".txt", ".xml", ".yaml", ".yml"}
"""Of files that often lie next to images and are none."""

OWN_NAME = "labels"
"""A table of this name says the classes whatever the folders are."""


class Table(NamedTuple):
    """What is read of a table."""

    name: str
    heads: list[str]
    rows: list[tuple[int, str, str, str]] | None
    """Line, file, class and part, the part in the user's word; empty where there is no such column.

    None where there is no column of files or none of classes.
    """
    columns: tuple[str, str] = ("", "")
    """The heads of those of files and of classes."""

    @property
    def own(self) -> bool:
        """Whether it has the name that always counts."""
        return PurePosixPath(self.name).stem.casefold() == OWN_NAME

    @property
    def part(self) -> str:
        """The part that it is called after, or lies in the folder of; often empty."""
        path = PurePosixPath(self.name)
        return part_of(path.stem) or part_of(path.parent.name)


def candidates(names: Iterable[str], images: Sequence[str]) -> list[str]:
    """The tables that lie in the folder that all images are in, or above it, or in the folder of a part."""
    above = {PurePosixPath(image).parent for image in images}
    common = [
        one for one in (next(iter(above)), *next(iter(above)).parents) if all(a.is_relative_to(one) for a in above)
    ]
    places = {*common, *(folder for folder in above if part_of(folder.name))}
    return [n for n in names if PurePosixPath(n).suffix.lower() in SUFFIXES and PurePosixPath(n).parent in places]


def read(name: str, data: bytes, where: str, file_column: str | None = None, label_column: str | None = None) -> Table:
    """A table. Raises UserError where it cannot be read, or a row lacks something.

    file_column, label_column: the heads of the columns of files and of classes; None: one of `COLUMNS`.
    """
    try:
        text = data.decode("utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        heads = [head.strip().casefold() for head in next(rows, [])]
        found = {
            kind: [i for i, head in enumerate(heads) if head.replace(" ", "_") in known]
            for kind, known in COLUMNS.items()
        }
        files, classes = (
            guessed if chosen is None else [i for i, head in enumerate(heads) if head == chosen.strip().casefold()]
            for chosen, guessed in (
                (file_column, found["file"] or found["id"]),
                (label_column, found["class name"] or found["label"]),
            )
        )
        if not files or not classes:
            return Table(name, heads, None)
        for columns in (files, classes, found["part"]):
            if len(columns) > 1:
                raise UserError(
                    f"{where}: table '{name}' has the columns {few(heads[i] for i in columns)}; allowed: one, or "
                    "set file_column and label_column"
                )
        file, label, part = files[0], classes[0], (found["part"] or [None])[0]
        filled = []
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            cells = [row[i].strip() if i is not None and i < len(row) else "" for i in (file, label, part)]
            if not cells[0] or not cells[1]:
                raise UserError(f"{where}: table '{name}', line {rows.line_num}: the file or its class is missing")
            filled.append((rows.line_num, *cells))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where}: table '{name}' is not a readable table in UTF-8: {error}") from None
    return Table(name, heads, filled, (heads[file], heads[label]))


def by_table(
    tables: Sequence[Table], images: Sequence[str], folders: Mapping[str, str], where: str, join: bool = False
) -> dict[str, Place]:
    """The place of every image that a table names. Raises UserError where a table is not clear.

    tables: one, or one for each part. folders: the part that an image is in by its folder, where a table does not say.
    join: the parts are one.
    """
    if unclear := next((table for table in tables if table.rows is None), None):
        raise UserError(
            f"{where}: table '{unclear.name}' has the columns {few(unclear.heads)}; allowed: one of files "
            f"({', '.join(COLUMNS['file'] + COLUMNS['id'])}) and one of classes "
            f"({', '.join(COLUMNS['class name'] + COLUMNS['label'])}); or set file_column and label_column"
        )
    of_parts = all(table.part for table in tables)
    if len(tables) > 1 and not of_parts:
        named = few(table.name for table in tables)
        raise UserError(f"{where}: {named} could each say the classes; allowed: one table, or train, val and test")
    places: dict[str, Place] = {}
    for table in tables:
        find = _Finder(table, images)
        absent = []
        for line, file, label, word in table.rows or ():
            if (image := find(file)) is None:
                absent.append(file)
                continue
            part = part_of(word) or (table.part if of_parts else folders.get(image, ""))
            if word and not part:
                raise UserError(
                    f"{where}: table '{table.name}', line {line}: no part '{word}'; allowed: train, val, test"
                )
            if places.setdefault(image, Place(label, part)) != (label, part):
                before = "/".join(filter(None, places[image][::-1]))
                raise UserError(
                    f"{where}: table '{table.name}', line {line}: '{file}' is '{label}' here and '{before}' above"
                )
        if absent:
            rows = f"{len(absent)} of {len(table.rows or ())} rows"
            raise UserError(f"{where}: table '{table.name}' has {rows} without an image: {few(absent)}")
    if not places:
        raise UserError(f"{where}: table {few(table.name for table in tables)} has no rows")
    if len({bool(place.part) for place in places.values()}) > 1:
        raise UserError(f"{where}: table {few(table.name for table in tables)} names the part of some images only")
    return settled(places, where, join)


class _Finder:
    """Finds the image that a row means: by its path from the table on, or by its name alone, with suffix or without.

    Capitals count where images differ in nothing else.
    """

    def __init__(self, table: Table, images: Sequence[str]):
        self._top = PurePosixPath(table.name).parent
        self._by: list[Mapping[str, list[str]]] = []
        for key in (str, lambda image: image.name, lambda image: image.stem):
            for same in (str, str.casefold):
                found = defaultdict(list)
                for image in map(PurePosixPath, images):
                    found[same(key(image))].append(str(image))
                self._by.append(found)

    def __call__(self, file: str) -> str | None:
        path = PurePosixPath(file.replace("\\", "/"))
        names = (path.name, path.name) if len(path.parts) == 1 else ()
        wanted = [spelling for name in (str(self._top / path), *names) for spelling in (name, name.casefold())]
        for known, one in zip(self._by, wanted, strict=False):
            if len(found := known.get(one, [])) == 1:
                return found[0]
        return None
