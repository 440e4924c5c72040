"""What `metagap data` does with the data sets: list, fetch and check them, and look for what two of them share."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.filesize import decimal

from metagap import registry
from metagap.errors import UserError
from metagap.messages import validated
from metagap.progress import progress
from metagap.tasks.folders import data_folder
from metagap.tasks.image_store import Reading
from metagap.tasks.leaks import Overlap, shared
from metagap.tasks.record_source import RecordSource
from metagap.tasks.source import ImageSource, Part
from metagap.tasks.sources.download import md5_of
from metagap.tasks.sources.layout import PARTS
from metagap.tasks.sources.path import UserImages
from metagap.tasks.sources.published import Published
from metagap.tasks.sources.stored import StoredSource

BRIEFLY = ("name", "state", "on disk", "download", "licence")
"""Of a row of `listing`, what fits on a terminal."""

T = TypeVar("T")


def listing() -> list[dict[str, Any]]:
    """A row for each source that has files: whether they are here, and what is to be known of them."""
    rows = []
    for name, source in _stored().items():
        state, size, remark = _state(source())
        about = {"download": source.download_size or "none", "licence": source.licence, "citation": source.citation}
        rows.append({"name": name, "state": state, "on disk": size, "remark": remark, **about})
    return rows


def get(name: str, console: Console) -> None:
    """Fetch a source into the data folder, unless it is there. Raises UserError where that fails."""
    source = _one(name, "get")
    try:
        source.paths()
        console.print(f"{name}: already in {data_folder()}")
        return
    except UserError:
        if source.addresses():
            what = f"fetching {source.download_size} into {data_folder()} ({source.licence})"
            console.print(f"{name}: {what}", markup=False)
    try:
        data_folder().mkdir(parents=True, exist_ok=True)
        source.download(data_folder())
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"data get {name}: the download failed: {error}; run it again, or put the files there"
        ) from None
    console.print(f"{name}: here")


def verify(names: list[str]) -> list[dict[str, Any]]:
    """Read each named source whole, or all that are here; `state` is ok, damaged or missing, `found` says why."""
    rows = []
    for name in names:
        _one(name, "verify")
    for name in names or _stored():
        source = _one(name, "verify")
        try:
            paths = source.paths()
        except UserError as error:
            if names:
                rows.append({"name": name, "state": "missing", "found": str(error)})
            continue
        try:
            found = _read_whole(source)
        except UserError as error:
            rows.append({"name": name, "state": "damaged", "found": str(error)})
            continue
        known = source.checksums()
        same = [md5_of(path) == known[path.name] for path in paths if path.is_file() and path.name in known]
        origin = ("files are the publisher's" if all(same) else "repacked files") if same else ""
        found = "; ".join(filter(None, [found, origin, _remark(source)]))
        rows.append({"name": name, "state": "ok", "found": found})
    return rows


def leaks(first: str, second: str) -> Overlap:
    """What two sources, or parts of them, have in common. Each is NAME, NAME:PART, path:FILE or path:FILE:PART.

    Images are compared at one size and in one colour mode: the larger of the two sources' own.
    """
    sources = [_parse(text) for text in (first, second)]
    size = {key: max(getattr(source, key) for source, _ in sources) for key in ("image_size", "channels")}
    stores = [source.model_copy(update=size).tasks(Part(part), "cpu") for source, part in sources]
    notes = [
        note for (a, _), (b, _) in (sources, sources[::-1]) if (note := getattr(a, "related", {}).get(_name_of(b), ""))
    ]
    return shared(first, stores[0], second, stores[1], list(dict.fromkeys(notes)))


def _state(source: Published) -> tuple[str, str, str]:
    """Whether a source is here, its size on disk, and a remark on what is here."""
    try:
        paths = source.paths()
    except UserError:
        return "not here", "", ""
    size = decimal(sum(map(_size, paths))) if paths else ""
    try:
        return "here" if paths else "ships with scikit-learn", size, _remark(source)
    except UserError as error:
        return "damaged", size, str(error)


def _remark(source: Published) -> str:
    """What is to be known of images that are here; of other examples one has to read all for it."""
    return source.remark() if isinstance(source, StoredSource) else ""


def _read_whole(source: Published) -> str:
    """What there is, after every image was decoded."""
    if isinstance(source, RecordSource):
        records = source.records()
        of = f" of {len(records.classes):,} classes" if len(records.classes) else ""
        return f"{len(records.x):,} examples{of}"
    assert isinstance(source, StoredSource)
    reading, count = Reading(*source.read()), 0
    with progress(f"reading {source.title}", len(reading.labels)) as advance:
        for _ in reading.images:
            count += 1
            advance(1)
    if count != len(reading.labels):
        raise UserError(f"{source.title}: {count} images, but {len(reading.labels)} labels")
    return f"{count:,} images of {len(np.unique(reading.labels)):,} classes"


def _parse(text: str) -> tuple[ImageSource, str]:
    """A source with its default options, and the part that is asked for."""
    name, _, part = text.rpartition(":")
    if name in ("", "path") or (text.startswith("path:") and part not in (*PARTS, "all")):
        name, part = text, "all"
    if name.startswith("path:"):
        return UserImages(path=name.removeprefix("path:")), part
    known: dict[str, type[ImageSource]] = _sources(ImageSource)
    if name not in known:
        allowed = registry.suggest(name, [*known])
        raise UserError(f"data leaks: no source of images '{name}'{allowed}; and path:FILE, each with :PART")
    return known[name](), part


def _name_of(source: Any) -> str:
    return getattr(source, "title", type(source).__name__).lower()


def _one(text: str, command: str) -> Published:
    """The source of this name, if it has files; a fault of a plugin is reported when it is asked for.

    text: NAME, or NAME:VALUE for another than the default of the option that its name may be followed by.
    """
    name, _, value = text.partition(":")
    source = registry.load("source", name) if name in registry.names("source") else None
    if source is None or not issubclass(source, Published) or not (value or name in _stored()):
        raise UserError(f"data {command}: no data set '{name}'{registry.suggest(name, list(_stored()))}")
    if not value:
        return source()
    if not source.named_by:
        raise UserError(f"data {command}: '{text}': nothing may follow the name '{name}'")
    return validated(source, {source.named_by: value}, f"data {command} {text}")


def _stored() -> dict[str, type[Published]]:
    """The sources that have files, by name."""
    return _sources(Published)


def _sources(kind: type[T]) -> dict[str, type[T]]:
    """The sources of this kind that can be made without options, by name; a plugin that is broken is left out."""
    found = {}
    for name in registry.names("source"):
        try:
            source = registry.load("source", name)
        except UserError:
            continue
        if not any(field.is_required() for field in source.model_fields.values()) and issubclass(source, kind):
            found[name] = source
    return found


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
