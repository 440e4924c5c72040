"""Archives to publish results in: written with the same bytes for the same results, and read with distrust.

An archive is a `.tar.gz` or `.zip` of files as they lie in the store, with `manifest.json` first, which has the sha256
and the size of every file.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from rich.filesize import decimal

from metagap import __version__, digests, registry
from metagap.errors import UserError
from metagap.files import fault_of_name
from metagap.memory import FREE, GROWTH, require_growth
from metagap.results.cells import CELL, OURS, cells, suites
from metagap.results.environments import distinct
from metagap.results.files import read_bytes, read_json, read_signed
from metagap.results.leftovers import IMPORTING
from metagap.results.markers import digest_of, known_files, read_marker
from metagap.results.verify import in_work, verify
from metagap.source_tables import registered_name
from metagap.writing import writing

MANIFEST = "manifest.json"
FORMAT = 1
ENDINGS = (".tar.gz", ".zip")
CHUNK = 2**20
FAULTS = (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, tarfile.TarError, zlib.error)
"""What the libraries raise for damaged archives."""


class Exported(NamedTuple):
    """What an archive holds. notes: sentences on what was left out."""

    cells: int
    files: int
    bytes: int
    notes: list[str]


class Imported(NamedTuple):
    """The cells that came into the store, and those that were there."""

    placed: list[str]
    skipped: list[str]


def export(results: Path, suite: str, file: Path, variant: str | None = None, weights: bool = True) -> Exported:
    """Write the finished cells of a suite, or of one variant of it, into an archive.

    weights: with checkpoints and snapshots. Raises UserError for a file that is there or cannot be written, where there
    is nothing to export, and DamagedError where a file is not what was written.
    """
    _ending(file, "-o")
    if file.exists():
        raise UserError(f"-o '{file}' is there already: remove it, or choose another name")
    (folder,) = suites(results, suite)
    members, notes = _members(folder, variant, weights)
    manifest = _manifest(folder, members)
    try:
        with writing(file) as raw, closing(_Zip(raw) if file.suffix == ".zip" else _Tar(raw)) as archive:
            archive.add(MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
            for path, known in sorted(members.items()):
                archive.add(path, read_bytes(results / path, known["sha256"]))
    except OSError as error:
        raise UserError(f"-o '{file}' cannot be written: {error.strerror or error}") from None
    count = len({tuple(path.split("/")[1:3]) for path in members if path.count("/") > 1})
    return Exported(count, len(members), file.stat().st_size, notes)


def bring_in(results: Path, file: Path) -> Imported:
    """Put the cells of an archive into the store, each at one go; those that are there already and equal are skipped.

    Everything is checked before anything is put in place. Raises UserError for an archive that is damaged, too large or
    no export of metagap's, and where cells are there already and differ; nothing is changed then.
    """
    is_new = not results.exists()
    results.mkdir(parents=True, exist_ok=True)
    try:
        return _bring_in(results, file)
    except BaseException:
        if is_new:
            with suppress(OSError):
                results.rmdir()
        raise


def _bring_in(results: Path, file: Path) -> Imported:
    with unpacked(file, results) as (store, suite):
        placed, skipped, differing = [], [], []
        for cell in cells(store / suite):
            target = results / cell.relative_to(store)
            if in_work(target):
                differing.append(f"{target} (it is in work)")
            elif not target.exists():
                placed.append(cell)
            elif others := [name for name in _kept(cell) if not _same(cell / name, target / name)]:
                differing.append(f"{target} ({', '.join(others[:3])}{' ...' if len(others) > 3 else ''})")
            else:
                skipped.append(cell)
        if differing:
            listed = "\n".join(differing)
            raise UserError(f"'{file}' has cells that are here already and differ; nothing was imported:\n{listed}")
        for cell in placed:
            target = results / cell.relative_to(store)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                cell.rename(target)
            except OSError as error:
                raise UserError(f"'{target}' cannot be written: {error.strerror or error}") from None
        own = store / suite / "own.json"
        if own.is_file() and not (results / suite / "own.json").exists():
            own.rename(results / suite / "own.json")
    return Imported(*([str(results / one.relative_to(store)) for one in some] for some in (placed, skipped)))


@contextmanager
def unpacked(file: Path, beside: Path | None = None) -> Iterator[tuple[Path, str]]:
    """The store that an archive holds, checked, while the context lasts; and the name of its suite.

    beside: the folder in which it is unpacked, in a hidden one. Raises UserError as `bring_in` does.
    """
    store = Path(tempfile.mkdtemp(prefix=IMPORTING, dir=beside))
    try:
        suite = _unpack(file, store)
        faults = [str(fault).replace(f"{store}/", "") for one in verify(store, suite) for fault in one.faults]
        bare = [str(cell.relative_to(store)) for cell in cells(store / suite) if not any(cell.glob("done-*.json"))]
        if faults or bare:
            lines = "\n".join([*faults, *(f"{name}: it has no marker" for name in bare)])
            raise UserError(f"'{file}' is damaged; nothing was imported:\n{lines}")
        yield store, suite
    finally:
        shutil.rmtree(store, ignore_errors=True)


def _members(folder: Path, variant: str | None, weights: bool) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Path in the store -> sha256 and size, and sentences on what is left out."""
    found: dict[str, dict[str, Any]] = {}
    notes, variants = [], set()
    for cell in cells(folder):
        if busy := in_work(cell):
            notes.append(f"'{cell}' was left out: {busy} has it in work.")
            continue
        for path in sorted(cell.glob("done-*.json")):
            marker = read_marker(path)
            if marker is None:
                notes.append(f"'{path}' was left out: this version does not know its format.")
                continue
            variants.add(marker["variant"])
            if variant not in (None, marker["variant"]):
                continue
            for name in [path.name, *known_files(marker), "attempts.json"]:
                file, place = cell / name, f"{folder.name}/{cell.parent.name}/{cell.name}/{name}"
                if place in found or (name.endswith(".pt") and not weights) or not file.is_file():
                    continue
                digest = digest_of(marker, name) if name in marker.get("sha256", {}) else None
                if digest is None and name.endswith(".json") and name not in ("config.json", "environment.json"):
                    (read_json if marker["format"] == 1 and name == path.name else read_signed)(file)
                found[place] = _about(read_bytes(file, digest))
    if not found:
        known = f"; there are the variants {', '.join(sorted(variants))}" if variants else ""
        raise UserError(f"no finished results {f'of variant {variant!r} ' if variant else ''}in '{folder}'{known}")
    if variant is None and (own := folder / "own.json").is_file():
        read_signed(own)
        found[f"{folder.name}/own.json"] = _about(own.read_bytes())
    return found, notes


def _about(data: bytes) -> dict[str, Any]:
    return {"sha256": digests.of_bytes(data), "bytes": len(data)}


def _manifest(folder: Path, members: Mapping[str, Any]) -> dict[str, Any]:
    """What the archive says of itself."""
    markers = [marker for name in members if "/done-" in name and (marker := read_marker(folder.parent / name))]
    environments = [read_json(folder.parent / name) for name in members if name.endswith("/environment.json")]
    titles = {one["variant"]: one["suite"].get("title", folder.name) for one in markers}
    names = [split.get("source") or {} for one in markers for split in one["suite"].get("splits", [])]
    sources = sorted(
        {str(one["name"]) for one in [*(one["suite"]["source"] for one in markers), *names] if "name" in one}
    )
    shown = any(name.endswith(".npz") for name in members)
    return {
        "format": FORMAT,
        "metagap": __version__,
        "suite": folder.name,
        "variants": {
            variant: {"title": title, "cells": sum(one["variant"] == variant for one in markers)}
            for variant, title in sorted(titles.items())
        },
        "environments": [{k: v for k, v in one.items() if k not in ("date", "host")} for one in distinct(environments)],
        "licences": {name: _licence(name) for name in sources} if shown else {},
        "remark": LICENCES if shown else "",
        "files": dict(sorted(members.items())),
    }


LICENCES = (
    "Sample episodes (evaluation/*.npz) hold some inputs of the sources named under licences, and are under their "
    "licences. Those of sources that may not be shown are not here."
)


def _licence(source: str) -> str:
    found = None if ".py:" in source else registry.intact("source", registered_name({"name": source}))
    return getattr(found, "licence", "") or "none is needed: it is made by metagap, or it is not known"


class _Tar:
    """A tar archive packed by gzip, without times and owners."""

    def __init__(self, raw: IO[bytes]):
        self._packed = gzip.GzipFile("", "wb", 9, raw, mtime=0)
        self._archive = tarfile.TarFile(fileobj=self._packed, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), 0o644
        self._archive.addfile(member, io.BytesIO(data))

    def close(self) -> None:
        self._archive.close()
        self._packed.close()


class _Zip:
    """The same as a zip archive."""

    def __init__(self, raw: IO[bytes]):
        self._archive = zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=9)

    def add(self, name: str, data: bytes) -> None:
        member = zipfile.ZipInfo(name)
        member.create_system, member.external_attr = 3, (stat.S_IFREG | 0o644) << 16
        self._archive.writestr(member, data, zipfile.ZIP_DEFLATED)

    def close(self) -> None:
        self._archive.close()


class _Member(NamedTuple):
    name: str
    size: int
    read: Callable[[int], bytes]


class _Bounded(io.RawIOBase):
    """A stream that ends with an error where it gives more than `most` bytes, whatever is in it."""

    def __init__(self, stream: gzip.GzipFile, most: int):
        self._stream, self._left, self._most = stream, most, most

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"it unpacks to more than {decimal(self._most)}")
        return data


def _read(file: Path) -> Iterator[_Member]:
    """The members of an archive, each to be read before the next; raises ValueError for what is no ordinary file."""
    most = max(FREE, GROWTH * file.stat().st_size)
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                kind = stat.S_IFMT(member.external_attr >> 16)
                if kind not in (0, stat.S_IFREG) or member.is_dir():
                    raise ValueError(f"'{member.filename}' is no ordinary file")
                with archive.open(member) as data:
                    yield _Member(member.filename, member.file_size, data.read)
        return
    with gzip.open(file) as packed, tarfile.open(fileobj=_Bounded(packed, most), mode="r|") as archive:
        for member in archive:
            data = archive.extractfile(member) if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else None
            if data is None:
                raise ValueError(f"'{member.name}' is no ordinary file")
            yield _Member(member.name, member.size, data.read)


def _unpack(file: Path, store: Path) -> str:
    """Write the files of an archive into an empty folder, and return the name of its suite."""
    _ending(file, "FILE")
    if not file.is_file():
        raise UserError(f"no file '{file}'")
    try:
        members = _read(file)
        suite, files = _described(next(members, None), file)
        for member in members:
            known = files.pop(member.name, None)
            if known is None:
                raise ValueError(f"'{member.name}' is not in its manifest, or there twice")
            if member.size != known["bytes"]:
                raise ValueError(f"'{member.name}' has another size than its manifest says")
            if _write(store / member.name, member) != known["sha256"]:
                raise ValueError(f"'{member.name}' is not what its manifest says, by its sha256")
        if files:
            raise ValueError(f"'{next(iter(files))}' is in its manifest, and not in it")
    except FAULTS as error:
        raise UserError(f"'{file}' cannot be imported: {error}") from None
    return suite


def _described(member: _Member | None, file: Path) -> tuple[str, dict[str, Any]]:
    """The suite, and sha256 and size of each file; raises ValueError where a manifest says what none of ours says."""
    if member is None or member.name != MANIFEST:
        raise ValueError(f"it is no export of metagap's: it does not begin with {MANIFEST}")
    if member.size > FREE:
        raise ValueError(f"its manifest has {decimal(member.size)}; allowed: {decimal(FREE)}")
    manifest = json.loads(member.read(FREE))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"its manifest has another format than {FORMAT}, which this version knows")
    suite, files = manifest.get("suite"), manifest.get("files")
    if not isinstance(suite, str) or fault_of_name(suite):
        raise ValueError(f"its manifest names the suite {suite!r}, which no folder can be called")
    if not isinstance(files, dict) or not all(map(_is_known, files.values())):
        raise ValueError("its manifest does not have the sha256 and the size of every file")
    for name in files:
        if not _belongs(name, suite):
            raise ValueError(f"its manifest names {name!r}, which is no file of a cell of '{suite}'")
    if len({name.casefold() for name in files}) < len(files):
        raise ValueError("its manifest has names that differ in capitals only")
    total = sum(known["bytes"] for known in files.values())
    require_growth(total, file.stat().st_size, f"'{file}'")
    return suite, files


def _is_known(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("bytes")) is int
        and value["bytes"] >= 0
        and bool(re.fullmatch("[0-9a-f]{64}", str(value.get("sha256"))))
    )


def _belongs(name: str, suite: str) -> bool:
    first, *rest = name.split("/", 3)
    if first != suite:
        return False
    if len(rest) < 3:
        return rest == ["own.json"]
    label, cell, file = rest
    return not fault_of_name(label) and file.isprintable() and bool(CELL.fullmatch(cell) and OURS.fullmatch(file))


def _write(path: Path, member: _Member) -> str:
    """Write a member; returns its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known, left = hashlib.sha256(), member.size
    if shutil.disk_usage(path.parent).free < member.size:
        raise ValueError(f"there is no room for '{member.name}', which has {decimal(member.size)}")
    with path.open("xb") as file:
        while data := member.read(CHUNK):
            left -= len(data)
            if left < 0:
                break
            known.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return known.hexdigest() if left == 0 else ""


def _kept(cell: Path) -> list[str]:
    """The files of a cell that stay what they are, whatever is run later."""
    names = (path.relative_to(cell).as_posix() for path in cell.rglob("*") if path.is_file())
    return sorted(name for name in names if name != "attempts.json")


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return digests.of_file(one) == digests.of_file(other)
    return False


def _ending(file: Path, what: str) -> None:
    if not file.name.endswith(ENDINGS):
        raise UserError(f"{what} '{file}': an archive is called *.tar.gz or *.zip")
