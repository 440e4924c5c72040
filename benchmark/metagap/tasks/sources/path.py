"""Images of the user's own, from a folder, an archive, or a file that has all of them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat

from metagap.errors import UserError
from metagap.tasks.folders import data_folder
from metagap.tasks.image_store import Reading
from metagap.tasks.images import ImageStore
from metagap.tasks.source import ImageSize, Seed
from metagap.tasks.sources import idx, labels, pixels
from metagap.tasks.sources.archives import Archive, opened
from metagap.tasks.sources.arrays import Labelled, joined, read_npz
from metagap.tasks.sources.brightness import Background, Rules
from metagap.tasks.sources.layout import PARTS, Place, by_folder, by_name, few, flat, shuffled
from metagap.tasks.sources.pictures import Picture, gathered
from metagap.tasks.sources.stored import StoredSource
from metagap.tasks.sources.users import SUFFIXES, Decoder

FORMS = re.compile(r"\.(npz|zip|tar|tar\.(gz|bz2|xz)|tgz|tbz2?|txz)$", re.IGNORECASE)

ALLOWED = (
    "a folder of images, an archive of such (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz), an .npz file, an IDX file of "
    f"images, or a table of pixels ({', '.join(pixels.ENDINGS)})"
)


def _pattern(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"has {groups} groups; allowed: one, for the class, as in '(.+)_[0-9]+'")
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]


class UserImages(StoredSource):
    """Your own images, as `path:FOLDER` with a folder per class, `path:ARCHIVE` of such, or `path:FILE`.

    A class is a folder of images, called by its path (`Greek/alpha`); or a table `labels.csv` at the top has columns
    `file` and `label`; or `pattern` finds it in the name of a file. Folders train, val and test at the top, with
    folders of classes in them, are the parts; without them the classes are shuffled into parts by `shares`. An .npz
    file holds `images` (n, H, W), (n, H, W, C) or (n, C, H, W) with `labels` (n,), or `images` (classes, n, H, W);
    `class_names` may stand next to them. IDX files are such as MNIST's. A table of pixels has a row for each image, by
    rows from the top. A relative path is looked up here, then in the data folder.

    Images are turned upright (EXIF) and squeezed to a square; of several frames the first counts. In images of more
    than 8 bits 0 is black, and white is the largest number of as many bits (1, 8, 10, 12, 14, 16, 24, 31 or 32) as the
    whole data set needs; of fractions, 1 or the same; or it is `white_level`. What is transparent becomes white, if
    that hides the ink of some image in the data set black, if this does too grey; or what `background` says.
    """

    title = "path:"
    licence = "yours"
    citation = "yours"
    named_by = "path"
    about_parts = StoredSource.about_parts | {"shares", "split_seed"}
    about_looks = frozenset({"invert", "white_level", "background"})

    path: str = Field(description="folder, archive (zip or tar), .npz file, IDX file of images or table of pixels")
    image_size: ImageSize = Field(default=28, description="images are resized to this many pixels a side")
    channels: Literal[1, 3] = Field(default=1, description="1 for grey, 3 for colour")
    invert: bool = Field(default=False, description="turn dark on light into light on dark")
    white_level: PositiveFloat | None = Field(
        default=None, allow_inf_nan=False, description="the value that is white in images that are not of 8 bits"
    )
    background: Background = Field(default="auto", description="what lies behind transparent pixels")
    pattern: Pattern | None = Field(
        default=None,
        exclude_if=lambda value: value is None,  # so that cells without it stay what they were
        description="a regular expression for the names of the files, without suffix, whose group is the class: "
        "'(.+)_[0-9]+'",
    )
    file_column: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="the column of files in the table of labels; default: one with a usual name",
    )
    label_column: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="the column of classes in a table; default: one with a usual name",
    )
    join_parts: bool = Field(
        default=False,
        exclude_if=lambda value: not value,
        description="take the parts of the files for one, where all have the same classes",
    )
    shares: tuple[float, float, float] = Field(
        default=(0.6, 0.2, 0.2), description="shares of train, val and test classes"
    )
    split_seed: Seed = Field(default=0, description="seed of the shuffle into parts")

    def paths(self) -> list[Path]:
        """The file or folder; with an IDX file of images that of its labels, if it is there."""
        if not self.path.strip():
            raise UserError(f"{self.called}: no file or folder is named; allowed: {ALLOWED}")
        try:
            for path in (Path(self.path).expanduser(), data_folder() / self.path):
                if path.is_dir() or (path.is_file() and _is_read(path.name)):
                    return [path, *(idx.beside(path) if path.is_file() else [])]
                if path.exists():
                    raise UserError(f"{self.called}: '{path}' is none of the forms that are read; allowed: {ALLOWED}")
        except PermissionError as error:
            raise UserError(f"{self.called}: '{error.filename}' cannot be read: {error.strerror}") from None
        except (OSError, RuntimeError):  # what can be no path: too long, or of a user who is not known
            pass
        raise UserError(
            f"{self.called}: neither a folder of images nor an .npz file nor an archive, here or in "
            f"'{data_folder()}' (--data)"
        )

    @property
    def called(self) -> str:
        """As in a suite."""
        return f"path:{self.path}"

    def read(self) -> Reading:
        """All images, from the file or the folder."""
        path = self.paths()[0]
        rules = Rules(self.white_level, self.background)
        if path.is_file() and path.suffix.lower() == ".npz":
            self._refuse("pattern", "file_column", "label_column")
            reading = read_npz(path, rules, self.join_parts)
        elif path.is_file() and path.name.lower().endswith(pixels.ENDINGS):
            self._refuse("pattern", "file_column")
            pieces, notes = pixels.read_pixels(path, self.called, self.label_column)
            reading = self._joined(pieces, f"{self.called}: '{path}'", rules, notes)
        else:
            reading = self._from_files(path, rules)
        return reading._replace(images=(255 - image for image in reading.images)) if self.invert else reading

    def parts(self, store: ImageStore) -> dict[str, list[int]]:
        """As the files say, or the shuffled shares."""
        if store.parts:
            return {part: found for part in PARTS if (found := [i for i, p in enumerate(store.parts) if p == part])}
        return shuffled(store.class_count, self.shares, self.split_seed)

    def remark(self) -> str:
        """How the files were read, where that is not plain."""
        notes = self.store().notes
        return f"{self.called}: {'; '.join(notes)}" if notes else ""

    def _from_files(self, path: Path, rules: Rules) -> Reading:
        alone = idx.stems([path.name]) if path.is_file() else {}
        archive = opened(path.parent if alone else path, self.called)
        if alone:
            archive.names = [one.name for one in self.paths()]
        names = archive.names
        images = [name for name in names if _suffix(name) in SUFFIXES]
        where = self.called if str(archive.path) == self.path else f"{self.called}: '{archive.path}'"
        if packed := alone or (idx.stems(names) if not images else {}):
            self._refuse("pattern", "file_column", "label_column")
            return self._joined(idx.read_pairs(archive, packed), where, rules, [])
        if not images:
            raise UserError(f"{where} has no images: {_by_suffix(names)}; allowed: {', '.join(sorted(SUFFIXES))}")
        places, notes = self._places(archive, images, where)
        files = sorted(places, key=lambda file: (places[file].name, file))
        decoder = Decoder(self.called, archive, files, self.image_size, self.channels, rules, notes)
        pictures = [Picture(file, places[file].name) for file in files]
        reading = gathered(self.called, [archive], pictures, decoder)
        part = {place.name: place.part for place in places.values() if place.part}
        return reading._replace(
            names=[_printable(name) for name in reading.names],
            parts=[part[name] for name in reading.names] if part else [],
            notes=notes,
        )

    def _places(self, archive: Archive, images: list[str], where: str) -> tuple[dict[str, Place], list[str]]:
        """The place of every image by the folders or the tables, and what there is to report of it."""
        if self.pattern:
            self._refuse("file_column", "label_column")
            return by_name(images, self.pattern, where, self.join_parts), []
        found = labels.candidates(archive.names, images)
        columns = self.file_column, self.label_column
        tables = [labels.read(name, data, where, *columns) for name, data in archive.read(found)]
        own, fit = [table for table in tables if table.own], [table for table in tables if table.rows is not None]
        parts = flat(images)
        if any(columns) and not tables:
            raise UserError(f"{where}: file_column and label_column are about a table of labels, and there is none")
        if own or any(columns) or (tables and parts is not None):
            used = fit if any(columns) and fit else own or fit or tables
            places = labels.by_table(used, images, parts or {}, where, self.join_parts)
            left = len(images) - len(places)
            notes = [f"{left} of {len(images)} images are in no table and were left out"] if left else []
            if guessed := {table.columns for table in used} - {("file", "label"), columns}:
                said = " and ".join(f"'{file}' the files, '{label}' the classes" for file, label in sorted(guessed))
                notes.append(f"of the columns of {few(table.name for table in used)}, {said}")
            return places, notes
        places = by_folder(images, where, self.join_parts)
        inside = {PurePosixPath(image).parent for image in images}
        above = {folder for image in inside for folder in image.parents} - inside
        other = [n for n in archive.names if _suffix(n) not in SUFFIXES | labels.SIDE_FILES]
        other = [name for name in other if PurePosixPath(name).parent not in above]
        what = "one file is" if len(other) == 1 else f"{len(other)} files are"
        notes = [f"{what} of no kind that is read ({_by_suffix(other)})"] if other else []
        if fit:
            notes.append(f"classes are by folder, {few(table.name for table in fit)} was not read")
        return places, notes

    def _joined(self, pieces: dict[str, Labelled], where: str, rules: Rules, notes: list[str]) -> Reading:
        reading = joined(pieces, where, rules, self.join_parts)
        return reading._replace(notes=[*notes, *reading.notes])

    def _refuse(self, *keys: str) -> None:
        """Raise UserError for options that these files have no use for."""
        if set_ := [key for key in keys if getattr(self, key) is not None]:
            raise UserError(f"{self.called}: {set_[0]} = '{getattr(self, set_[0])}' says nothing about these files")


def _is_read(name: str) -> bool:
    """Whether a file of this name holds images of a data set."""
    return bool(FORMS.search(name) or name.lower().endswith(pixels.ENDINGS) or idx.stems([name]))


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _by_suffix(names: list[str]) -> str:
    """How many files there are of each kind."""
    counts = Counter(_suffix(name) or "without a suffix" for name in names)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {suffix}" for suffix, count in ranked[:8]) or "it is empty"


def _printable(name: str) -> str:
    """A file's name as text, whatever bytes are in it."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
