"""Fetching a file over HTTP: resumed where it broke off, checked, and in its place only when it is whole."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from rich.filesize import decimal

from metagap import __version__, digests
from metagap.errors import UserError
from metagap.progress import progress
from metagap.tasks.folders import cache_folder

BLOCK = 2**18
PATIENCE = 30
"""Seconds without a byte after which a connection counts as broken."""
HERE = {"localhost", "127.0.0.1", "::1"}
"""Names of this machine, to which nobody else can listen."""


class Remote(NamedTuple):
    """A file on a publisher's server."""

    path: str
    """Where it lies in the data folder."""
    url: str
    """Where it is fetched from: by https, unless its checksum is known ..."""
    md5: str = ""
    """The publisher's checksum, where it is known."""
    mirrors: tuple[str, ...] = ()
    """... and where else, if that does not answer."""


def fetch(remote: Remote, folder: Path, title: str) -> None:
    """Fetch a file into the data folder.

    What has arrived is kept as `NAME.part` next to its place, with what the server reported of it in `NAME.part.json`,
    so that the next call resumes there if the server can. The checksum that is known, or else the one that the server
    states, is compared before the file gets its name. Raises UserError where the server, the connection or the disk
    fails, with nothing changed in the data folder but these two; they are removed if the checksum is wrong.
    """
    place = folder / remote.path
    part = place.with_name(f"{place.name}.part")
    lock = cache_folder() / "locks" / f"{digests.of_text(str(place.resolve()))[:16]}.lock"
    made = not place.parent.exists()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            stated = _transfer(remote, part, title)
            _check(part, remote.md5 or stated, f"{title}: '{place.name}'")
            part.replace(place)
            _about(part).unlink(missing_ok=True)
    except Timeout:
        raise UserError(f"{title}: another process is fetching '{place}'") from None
    except OSError as error:
        raise UserError(f"{title}: '{place}' cannot be written: {error.strerror or error}{_kept(part)}") from None
    finally:
        if made:
            with suppress(OSError):  # it is not empty, so it was not made for nothing
                place.parent.rmdir()


def _transfer(remote: Remote, part: Path, title: str) -> str:
    """Append to `part` what is missing of it; returns the md5 that the server states, or an empty text."""
    have, known = (part.stat().st_size, _read_about(part)) if part.exists() else (0, {})
    response, url = _connect(remote, have, known.get("tag", ""), title)
    with response:
        if response.status == 416:  # nothing is missing; whether it is the right thing the checksum tells
            return known["md5"]
        if response.status != 206:
            have, known = 0, {"tag": _tag(response.headers), "md5": _stated_md5(response.headers)}
        left = response.headers.get("Content-Length")
        total = have + int(left) if left else None
        if total and (free := shutil.disk_usage(part.parent).free) < total - have:
            raise UserError(
                f"{title}: '{part.parent}' has {decimal(free)} free, but {decimal(total - have)} are to be fetched"
            )
        _about(part).write_text(json.dumps(known), encoding="utf-8")
        with progress(f"fetching {part.stem}", total, size=True) as advance, part.open("ab" if have else "wb") as file:
            advance(have)
            whole = _copy(response, file, advance)
    if not whole or (total and part.stat().st_size < total):
        raise UserError(f"{title}: the connection to {url} broke{_kept(part)}")
    return known["md5"]


def _connect(remote: Remote, have: int, tag: str, title: str) -> tuple[Any, str]:
    """The answer of the first server that gives one, and its address.

    Asks for all from byte `have` on, if the file is still the one with this tag; else, or if there is no such byte,
    for the whole file. An answer 416 says that there are `have` bytes.
    """
    faults = []
    for url in (remote.url, *remote.mirrors):
        if not remote.md5 and not _safe(url):
            faults.append(f"{url}: what comes by http without a known checksum may be anybody's; allowed: https")
            continue
        for resume in (True, False) if have and tag else (False,):
            request = urllib.request.Request(url, headers={"User-Agent": f"metagap/{__version__}"})
            if resume:
                request.add_header("Range", f"bytes={have}-")
                request.add_header("If-Range", tag)
            try:
                return _opener.open(request, timeout=PATIENCE), url
            except urllib.error.HTTPError as error:
                if resume and error.code == 416:
                    if error.headers.get("Content-Range") == f"bytes */{have}":
                        return error, url
                    continue
                faults.append(f"{url}: {error.code} {error.reason}")
            except (HTTPException, OSError) as error:
                faults.append(f"{url}: {getattr(error, 'reason', error)}")
            break
    raise UserError(f"{title}: the download failed: {'; '.join(faults)}; run it again, or put the file there yourself")


def _safe(url: str) -> bool:
    """Whether nobody on the way can have changed what comes from there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HERE)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address, but not from a safe one to one that is not."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https") or (_safe(req.full_url) and not _safe(newurl)):
            raise urllib.error.HTTPError(newurl, code, "a redirection away from https is not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_opener = urllib.request.build_opener(_Redirects)


def _copy(response: Any, file: IO[bytes], advance: Callable[[int], None]) -> bool:
    """Copy what arrives until its end; False if the connection is seen to break before."""
    while True:
        try:
            block = response.read(BLOCK)
        except (HTTPException, OSError):
            return False
        if not block:
            return True
        file.write(block)
        advance(len(block))


def _check(part: Path, md5: str, file: str) -> None:
    if md5 and (found := md5_of(part)) != md5:
        part.unlink()
        _about(part).unlink(missing_ok=True)
        raise UserError(f"{file} arrived with checksum {found}, but the publisher's is {md5}; it was thrown away")


def _about(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_about(part: Path) -> dict[str, str]:
    """What the server reported of the whole file: a tag of its version, and its md5 if it states one."""
    try:
        return {"tag": "", "md5": "", **json.loads(_about(part).read_text(encoding="utf-8"))}
    except (OSError, ValueError):
        return {"tag": "", "md5": ""}


def md5_of(path: Path) -> str:
    """The md5 of a file of any size."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file, progress(f"checking {path.name}", path.stat().st_size, size=True) as advance:
        while block := file.read(16 * BLOCK):
            digest.update(block)
            advance(len(block))
    return digest.hexdigest()


def _kept(part: Path) -> str:
    """The end of a message: what is here already."""
    size = part.stat().st_size if part.exists() else 0
    return f"; {decimal(size)} are kept: run it again to go on" if size else "; run it again"


def _tag(headers: Message) -> str:
    """What tells this version of a file from others, fit for If-Range: a strong ETag, else the time of change."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _stated_md5(headers: Message) -> str:
    """The md5 that a server states with a whole file, as Google's stores and Zenodo's do; else an empty text."""
    stated = [value.strip() for line in headers.get_all("x-goog-hash", []) for value in line.split(",")]
    stated = [value.removeprefix("md5=") for value in stated if value.startswith("md5=")]
    stated += [headers.get("Content-MD5", ""), headers.get("ETag", "").strip('"').removeprefix("md5:")]
    for value in stated:
        if re.fullmatch("[0-9a-f]{32}", value):
            return value
        if re.fullmatch("[A-Za-z0-9+/]{22}==", value):
            return base64.b64decode(value).hex()
    return ""
