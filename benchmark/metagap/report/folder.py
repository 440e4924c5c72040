"""The folder of a report: written file by file, so that nothing else in it is replaced or removed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from metagap.digests import of_bytes
from metagap.errors import UserError
from metagap.files import is_inside
from metagap.results.files import DamagedError, read_signed, write_bytes, write_signed

MANIFEST = ".metagap.json"
"""In a report's folder: the files that were written there, and their sha256."""


def publish(files: Mapping[str, bytes], out: Path, signature: bytes) -> None:
    """Write the files of a report into `out`, the last one last, and remove those of the report before it.

    Only files that metagap wrote, and that are still what it wrote, are replaced or removed: another one in the place
    of a file is kept as `NAME.kept`. Raises UserError where a file cannot be written.

    Args:
        files: content of each file by its path in the folder.
        out: the folder; made if it is not there.
        signature: what the last file of a report has in it, by which a report without a manifest is known.
    """
    known = _written(out)
    legacy = not known and signature in _content(out / list(files)[-1])
    for name in files:
        _room_for(out, name)
    made = {name: of_bytes(data) for name, data in files.items()}
    both = {name: [*known.get(name, []), *([made[name]] if name in made else [])] for name in {**known, **made}}
    write_signed(out / MANIFEST, {"files": both})  # first, so that a report that breaks off is known too
    for name, data in files.items():
        path = out / name
        there = path.is_file() and of_bytes(_content(path))
        if there == made[name]:
            continue
        if there and not legacy and there not in known.get(name, []):
            _keep(path)
        write_bytes(path, data)
    for name, digests in known.items():
        path = out / name
        if name not in made and path.is_file() and of_bytes(_content(path)) in digests:
            path.unlink()
    write_signed(out / MANIFEST, {"files": {name: [digest] for name, digest in made.items()}})


def stamp(out: Path, state: str) -> None:
    """Note what a report is of, for `is_of`, if that can be written: `state` identifies the results."""
    with suppress(UserError):
        write_signed(out / MANIFEST, {**read_signed(out / MANIFEST), "of": state})


def is_of(out: Path, state: str) -> bool:
    """Whether a report is of the results that `state` identifies, and all of its files are there."""
    try:
        known = read_signed(out / MANIFEST)
        return known.get("of") == state and all((out / name).is_file() for name in known["files"] if is_inside(name))
    except (DamagedError, KeyError):
        return False


def _room_for(out: Path, name: str) -> None:
    """Raise UserError where a folder lies in the place of a file, or a file in that of a folder."""
    above = [out / parent for parent in PurePosixPath(name).parents]
    if wrong := [path for path in above if path.exists() and not path.is_dir()]:
        raise UserError(f"'{wrong[-1]}' is a file, where the report has a folder; move it or choose another --out")
    if (out / name).is_dir():
        raise UserError(f"'{out / name}' is a folder, where the report has a file; move it or choose another --out")


def _written(out: Path) -> dict[str, list[str]]:
    """What was written into a folder: the digests of each file."""
    try:
        files = read_signed(out / MANIFEST)["files"]
    except (DamagedError, KeyError):
        return {}
    return {name: digests for name, digests in files.items() if is_inside(name)}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _keep(path: Path) -> None:
    number, kept = 1, path.with_name(f"{path.name}.kept")
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.kept-{number}")
    path.rename(kept)
