"""Reading archives as they lie: zip, tar (packed or not), and folders. Nothing is unpacked onto the disk."""

from __future__ import annotations

import gzip
import io
import lzma
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from metagap.errors import UserError
from metagap.memory import FREE, GROWTH, require_growth, require_unpacked
from metagap.tasks.folders import files_in, kept

FAULTS = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)
"""What the libraries raise for damaged archives."""

Faults = dict[str, str]
"""What is wrong with files, by name."""


LONGEST = 4096
"""Bytes of the target of a link that are looked at."""


class Archive(ABC):
    """Files in a fixed order, whatever they are packed in."""

    def __init__(self, path: Path, title: str):
        self.path, self.title = path, title

    @cached_property
    @abstractmethod
    def names(self) -> list[str]:
        """The names of all files but hidden ones, with slashes, in the order in which `read` gives them.

        Raises UserError where the archive is damaged, or has a member that points outside its folder: no publisher's
        archive has, and whoever unpacks it elsewhere may lose files by it.
        """

    @abstractmethod
    def read(self, wanted: Container[str], faults: Faults | None = None) -> Iterator[tuple[str, bytes]]:
        """Names and contents of these files, one by one. Raises UserError where one is damaged.

        faults: where such files are put down instead, as long as others can be read.
        """

    def one(self, ending: str) -> bytes:
        """The file whose name ends so. Raises UserError where there is none."""
        return self.several(ending)[0]

    def several(self, *endings: str) -> list[bytes]:
        """The files whose names end so, read together. Raises UserError for the first of them that is missing."""
        found = {}
        for ending in endings:
            found[ending] = next((name for name in self.names if f"/{name}".endswith(f"/{ending}")), None)
            if found[ending] is None:
                raise UserError(f"{self.title}: no file '{ending}' in '{self.path}'")
        data = dict(self.read(set(found.values())))
        return [data[found[ending]] for ending in endings]

    @contextmanager
    def _reading(self, member: str = "", faults: Faults | None = None) -> Iterator[None]:
        """Name the archive, and the member, in whatever goes wrong; or put the fault of the member down."""
        try:
            yield
        except FAULTS as error:
            damage = f"'{member}' in '{self.path}' is damaged" if member else f"'{self.path}' is {self.unreadable}"
            fault = (getattr(error, "strerror", None) or str(error)).partition(":\n")[0]
            if faults is not None:
                faults[member] = fault
                return
            raise UserError(f"{self.title}: {damage}: {fault}; remove it and get it again") from None

    def _require(self, unpacked: int, packed: int, member: str) -> None:
        """Raise UserError where too much comes out of a member."""
        require_unpacked(unpacked, packed, f"{self.title}: '{member}' in '{self.path}'")

    unreadable = "not readable"

    def _kept(self, name: str, target: str = "") -> bool:
        """Whether a member counts; raises UserError where it, or what it links to, is outside."""
        for path in (name, target):
            path = posixpath.normpath(path.replace("\\", "/"))
            if path.startswith("/") or re.match("[A-Za-z]:", path) or path.split("/")[0] == "..":
                raise UserError(
                    f"{self.title}: '{self.path}' has a member that points outside its folder, '{name}'"
                    f"{f' to {target!r}' if target else ''}; this is not the publisher's archive, remove it"
                )
        return seen(name)


def seen(name: str) -> bool:
    """Whether a file is not hidden, nor made by a system for itself."""
    return not any(part.startswith((".", "__MACOSX", "@eaDir")) for part in name.split("/") if part != ".")


class Folder(Archive):
    """An unpacked archive."""

    unreadable = "not a folder that can be listed"

    @cached_property
    def names(self) -> list[str]:
        """In alphabetical order."""
        with self._reading():
            return sorted(name for name in files_in(self.path) if seen(name))

    def read(self, wanted: Container[str], faults: Faults | None = None) -> Iterator[tuple[str, bytes]]:
        """File by file."""
        for name in self.names:
            if name in wanted:
                data = None
                with self._reading(name, faults):
                    if not (self.path / name).is_file():
                        raise OSError("it is a link to nothing, or no ordinary file")
                    data = (self.path / name).read_bytes()
                if data is not None:
                    yield name, data


class Zip(Archive):
    """A zip archive."""

    unreadable = "not a readable zip archive"

    @cached_property
    def names(self) -> list[str]:
        """In alphabetical order: every member can be had by itself."""
        with self._reading(), zipfile.ZipFile(self.path) as archive:
            found = []
            total = sum(member.file_size for member in archive.infolist())
            require_growth(total, self.path.stat().st_size, f"{self.title}: '{self.path}'")
            for member in archive.infolist():
                link = stat.S_ISLNK(member.external_attr >> 16)
                target = archive.open(member).read(LONGEST).decode(errors="replace") if link else ""
                linked = posixpath.join(posixpath.dirname(member.filename), target) if link else ""
                if self._kept(member.filename, linked) and not link and not member.is_dir():
                    found.append(_slashed(member.filename))
        return sorted(set(found))

    def read(self, wanted: Container[str], faults: Faults | None = None) -> Iterator[tuple[str, bytes]]:
        """Member by member; the format holds a checksum of each."""
        with self._reading(), zipfile.ZipFile(self.path) as archive:
            members = {_slashed(member): member for member in archive.namelist()}
            for name in self.names:
                if name in wanted:
                    data = None
                    with self._reading(name, faults):
                        about = archive.getinfo(members[name])
                        self._require(about.file_size, about.compress_size, name)
                        data = archive.read(members[name])
                    if data is not None:
                        yield name, data


def _slashed(name: str) -> str:
    """A member's name as the format has it; some programs write backslashes."""
    return name.replace("\\", "/")


class Tar(Archive):
    """A tar archive, packed by gzip, bzip2 or xz, or not. The names of a packed one are kept in the cache folder."""

    unreadable = "not a readable tar archive"

    @cached_property
    def names(self) -> list[str]:
        """In the order in which they are packed, for what is packed can only be read from the start."""
        about = self.path.stat()
        return kept("indexes", [str(self.path.resolve()), about.st_size, about.st_mtime_ns], self._listed)

    def _listed(self) -> list[str]:
        found = []
        with self._reading(), tarfile.open(self.path, "r:*") as archive:
            total, packed = 0, self.path.stat().st_size
            for member in archive:
                total += member.size
                require_growth(total, packed, f"{self.title}: '{self.path}'")
                linked = member.linkname
                if member.issym():
                    linked = posixpath.join(posixpath.dirname(member.name), linked)
                if self._kept(member.name, linked) and member.isreg():
                    found.append(member.name)
        return list(dict.fromkeys(found))

    def read(self, wanted: Container[str], faults: Faults | None = None) -> Iterator[tuple[str, bytes]]:
        """In one pass, which ends where the archive is damaged."""
        left = {name for name in self.names if name in wanted}
        with self._reading(), tarfile.open(self.path, "r|*") as archive:
            for member in archive:
                if member.isreg() and member.name in left:
                    with self._reading(member.name):
                        self._require(member.size, self.path.stat().st_size, member.name)
                        file = archive.extractfile(member)
                        data = file.read() if file else b""
                        if len(data) < member.size:
                            raise EOFError("it ends too early")
                    left.discard(member.name)
                    yield member.name, data
                    if not left:
                        return
            if left:  # tarfile takes a missing end for the end
                raise EOFError("it ends too early")


def gunzipped(data: bytes, what: str) -> bytes:
    """Unpack gzip, of which only the end says how large it is; raises UserError where that is too much."""
    most = max(FREE, GROWTH * len(data))
    with gzip.open(io.BytesIO(data)) as file:
        unpacked = file.read(most + 1)
    require_growth(len(unpacked), len(data), what)
    return unpacked


def opened(path: Path, title: str) -> Archive:
    """The archive or folder at this path, whatever it is; title: the data set, for messages."""
    if path.is_dir():
        return Folder(path, title)
    return Tar(path, title) if re.search(r"\.(tar(\.\w+)?|tgz|tbz2?|txz)$", path.name, re.I) else Zip(path, title)
